"""Where a gradient comes from: its terms, time step by time step."""

from __future__ import annotations

from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._data.inputs import Inputs
from rnncore._diagnostics import (
    flow_figures,
    heat_maps,
    page,
    passing_back,
    summaries,
    unrolled,
)
from rnncore._diagnostics.jacobians import jacobians_of, products_of
from rnncore._diagnostics.norms import norms_of, radii_of
from rnncore._diagnostics.remedies import remedies
from rnncore._diagnostics.terms import norms_by_parameter, terms_of
from rnncore._model.model import HasModel, Model
from rnncore._types import Array

#: Lags up to this count as short: most of the gradient of a plain network lies within them.
SHORT = 10
#: The ratio of |dL/dh| at the first step to that at the last from which gradients explode; they
#: vanish below its reciprocal.
FAR = 1e3


class GradientFlow:
    """The gradient of a loss, split up by time step; returned by ``net.gradient_flow``.

    The term of time step j is what the use of the weights at that step contributes, through all
    later states. The terms sum to the gradient from ``loss_and_grad`` or, if ``dy`` was given, from
    ``vjp``. Sequences of different lengths are aligned at their ends: row T - 1 is the last step of
    every sequence.

    Attributes
    ----------
    steps : int
        T, of the longest sequence.
    every_step : bool
        Whether there is an output, and so a loss, at every step.
    loss : float or None
        None if ``dy`` was given: only the caller then knows the loss.
    terms : dict of str to ndarray
        For every parameter the terms of the time steps, ``(T, *shape)``, in float64, down to
        1e-308.
    norms : dict of str to ndarray
        Their norms, (T,).
    norms_of_last : dict of str to ndarray
        The same of the last step's loss alone, where there is one at every step.
    term_norms : ndarray
        Norms of the terms of all recurrent layers together, (T,), in the order in which each layer
        runs through time: in a reverse direction, row T - 1 is the first step of the sequence.
    state_norms : ndarray
        Norms of dL/dh_t, (T + 1,), t = 0 being the state before the first step, over all
        sequences and layers, in the order in which each layer runs (of an LSTM, of h and c
        together). With one direction and layer, ``state_norms[t - 1] <= product_norms[t - 1] *
        state_norms[T]``. With ``readout="all"``, of the last step's loss alone; with "before"
        likewise, and the last is 0, because no output reads that state.
    short_share, long_share : float
        Shares of the last ten steps and of the steps before in the sum of ``term_norms``.
    horizon : int
        The lag within which 99 % of that sum lies. With ``readout="all"`` it and the shares are
        those of the last step's loss: they say how far back gradients reach, not where losses are.
    factor : float
        The factor by which ``|dL/dh|`` changes with each step backwards, on average over the
        longest sequences.
    verdict : str
        "vanishing" or "exploding" if ``|dL/dh|`` changes by more than a factor of 1000 between the
        last step and the first (with a skip connection of s steps, between the largest of the last
        s and the largest of the first s), else "healthy".
    remedies : list of str
        What helps against gradients that vanish or explode.

    See Also
    --------
    rnncore.RNN.gradient_flow : returns it; with an example.
    """

    def __init__(
        self,
        model: Model,
        x: Any,
        given: tuple[Any, Any, Any],
        dy: Any,
        options: dict[str, Any],
    ) -> None:
        """given: y, target_mask and sample_weight; without y, dy. options: h0, lengths, mask."""
        if (given[0] is None) == (dy is None):
            came = "neither" if dy is None else "both"
            raise ValueError(f"y: expected either y or dy, got {came}")
        self._model = model = model.in_float64()
        self._inputs = inputs = Inputs(model.spec, x, **options)
        self._lengths = np.full(inputs.count, inputs.time)
        if inputs.lengths is not None:
            self._lengths = inputs.lengths
        self.steps = int(self._lengths.max())
        terms = terms_of(model, inputs, self._lengths, given, dy, last_only=False)
        self.loss = terms.loss if dy is None else None
        self.every_step = model.spec.every_step
        sizes = [values.size for values in model.parameters.values()]
        starts = np.cumsum([0, *sizes[:-1]]).tolist()
        self._given, self._dy = given, dy
        self.terms = {
            name: terms.values[:, start : start + values.size].reshape(-1, *values.shape)
            for start, (name, values) in zip(starts, model.parameters.items(), strict=True)
        }
        norms = norms_by_parameter(terms.values, starts)
        self.norms = dict(zip(model.parameters, norms.T, strict=True))
        if self.every_step:  # the rest says how far back gradients reach, not where losses are
            terms = terms_of(model, inputs, self._lengths, given, dy, last_only=True)
            norms = norms_by_parameter(terms.values, starts)
        self.norms_of_last = dict(zip(model.parameters, norms.T, strict=True))
        self.state_norms = terms.state_norms
        self._sum_up(norms)
        self._judge(terms.longest_norms)
        self.remedies = remedies(self.verdict, model, self.steps)

    def _sum_up(self, norms: Array) -> None:
        """Norms of all recurrent parameters' terms together, and how they are spread over time."""
        self.term_norms = np.zeros(self.steps)
        for k, name in enumerate(self._model.parameters):
            if not name.startswith("head.") and name not in ("h0", "c0"):
                along = norms[::-1, k] if name.endswith("_reverse") else norms[:, k]
                self.term_norms = np.hypot(self.term_norms, along)
        peak = self.term_norms.max()
        shares = self.term_norms / peak if 0 < peak < np.inf else 1.0 * (self.term_norms == np.inf)
        by_lag = shares[::-1].cumsum()
        whole = by_lag[-1]
        self.short_share = float(by_lag[min(SHORT, self.steps) - 1] / whole) if whole else 1.0
        self.long_share = 1 - self.short_share
        self.horizon = int((by_lag < 0.99 * whole).sum()) + 1

    def _judge(self, norms: Array) -> None:
        """The factor and the verdict, from the norms of dL/dh_t of the longest sequences."""
        # With a skip connection of s steps, the largest of s neighbouring norms counts, because the
        # gradient may reach only some of these states.
        if self._model.spec.before:  # no output reads the state after the last step
            norms = norms[:-1] if self.steps > 1 else norms[[0, 0]]
        steps = len(norms) - 1
        s = min(self._model.spec.history, steps)
        first, last = norms[1 : 1 + s].max(), norms[-s:].max()
        ratio = float(first / last) if last else 1.0
        seen = np.flatnonzero(norms[1:])  # the others are too small for float64
        self.factor = 1.0
        if last and seen[0] < steps - s:
            begin = float(norms[1 + seen[0] :][:s].max() / last)
            self.factor = begin ** (1 / (steps - s - seen[0]))
        self.verdict = "healthy"
        if not isfinite(ratio) or ratio > FAR:
            self.verdict = "exploding"
        elif ratio < 1 / FAR:
            self.verdict = "vanishing"

    # ---- Jacobians ------------------------------------------------------------------

    @cached_property
    def jacobians(self) -> Array:
        """d state_t / d state_{t-1} of the last layer's forward direction, (T, S, n, n), for the
        first S of the longest sequences: 4, or fewer if they would need more than 128 MB, but at
        least one. The state is h (n = H), of an LSTM [h c] (2 H), with a skip connection
        [h_t .. h_{t-s+1}] (s H). Computed when it is first asked for."""
        return jacobians_of(self._model, self._inputs, self._lengths)

    @cached_property
    def products(self) -> Array:
        """d state_T / d state_{t-1}: products of the Jacobians from the last down to t, shaped as
        these."""
        return products_of(self.jacobians)

    @cached_property
    def jacobian_norms(self) -> Array:
        """Spectral norms of the `jacobians`, (T,), the mean over the sequences."""
        return norms_of(self.jacobians)

    @cached_property
    def product_norms(self) -> Array:
        """Spectral norms of their running `products`, (T,)."""
        return norms_of(self.products)

    @cached_property
    def jacobian_radii(self) -> Array:
        """Spectral radii of the `jacobians`, (T,), the mean over the sequences."""
        return radii_of(self.jacobians)

    @cached_property
    def product_radii(self) -> Array:
        """Spectral radii of the `products`, (T,)."""
        return radii_of(self.products)

    # ---- summaries ------------------------------------------------------------------

    def summary(self) -> str:
        """The verdict, its numbers and the remedies as text."""
        end = self.steps - self._model.spec.before  # the last state that is read
        first, last = self.state_norms[min(1, end)], self.state_norms[end]
        lines = [
            f"Gradient over {self.steps} steps: {self.verdict}",
            f"  |dL/dh| from {last:.3g} at the last step to {first:.3g} at the first: "
            f"times {self.factor:.3g} per step backwards",
            f"  99 % of the terms' norms within the last {self.horizon} of {self.steps} steps",
            f"  last {min(SHORT, self.steps)} steps {100 * self.short_share:.3g} %, "
            f"before {100 * self.long_share:.3g} %",
        ]
        rows = [(name, values) for name, values in self.norms.items() if len(values)]
        width = max(len(name) for name, _ in rows)
        lines.append(f"  {'norm of the term of'.ljust(width)}  step 1      middle      step T")
        for name, values in rows:
            three = (values[0], values[len(values) // 2], values[-1])
            lines.append(f"  {name.ljust(width)}  " + "  ".join(f"{v:<10.3g}" for v in three))
        if self.remedies:
            lines.append("What helps:")
            lines += [f"  - {remedy}" for remedy in self.remedies]
        return "\n".join(line.rstrip() for line in lines)

    def __repr__(self) -> str:
        return (
            f"GradientFlow({self.steps} steps, {self.verdict}, horizon {self.horizon}, "
            f"{self.factor:.3g} per step)"
        )

    def _repr_html_(self) -> str:
        return summaries.flow(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the terms and Jacobians, as plain lists and numbers."""
        return {
            "steps": self.steps,
            "loss": self.loss,
            "verdict": self.verdict,
            "horizon": self.horizon,
            "factor": self.factor,
            "short_share": self.short_share,
            "long_share": self.long_share,
            "remedies": list(self.remedies),
            "norms": {name: values.tolist() for name, values in self.norms.items()},
            "term_norms": self.term_norms.tolist(),
            "state_norms": self.state_norms.tolist(),
            "jacobian_norms": self.jacobian_norms.tolist(),
            "product_norms": self.product_norms.tolist(),
        }

    # ---- figures --------------------------------------------------------------------

    state_gradients = passing_back.state_gradients
    plot = flow_figures.plot
    plot_units = heat_maps.plot_units
    plot_unrolled = unrolled.plot_unrolled
    to_html = page.to_html


def gradient_flow(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike | None = None,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    dy: npt.ArrayLike | None = None,
    target_mask: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
) -> GradientFlow:
    """Which time steps the gradient of the loss comes from, and how far back it reaches. [1]_

    Parameters
    ----------
    x, y, h0, lengths, mask, target_mask, sample_weight
        As for `loss`.
    dy : array_like, optional
        Instead of y, for a loss of your own: its gradient dL/dy, as `vjp` takes it. The network
        then needs no loss.

    Returns
    -------
    GradientFlow
        The term of every time step for every parameter, norms, a verdict ("vanishing",
        "exploding" or "healthy") and what helps. Computed in float64, whatever the network's
        precision, in one pass back through time.

    Raises
    ------
    TypeError, ValueError
        As `loss`, or `vjp`; if both y and dy are given, or neither.

    References
    ----------
    .. [1] R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent
       neural networks", ICML 2013.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
    >>> flow = net.gradient_flow(np.ones((2, 50, 1)), np.zeros(2))
    >>> flow.verdict, flow.terms["weight_hh_l0"].shape
    ('vanishing', (50, 1, 1))
    >>> grads = net.loss_and_grad(np.ones((2, 50, 1)), np.zeros(2))[1]
    >>> bool(np.allclose(flow.terms["weight_hh_l0"].sum(axis=0), grads["weight_hh_l0"]))
    True

    For a loss of your own, here the sum of all outputs:

    >>> flow = net.gradient_flow(np.ones((2, 50, 1)), dy=np.ones((2, 1)))
    >>> flow.loss is None, flow.verdict
    (True, 'vanishing')
    """
    options = {"h0": h0, "lengths": lengths, "mask": mask}
    return GradientFlow(self._model, x, (y, target_mask, sample_weight), dy, options)
