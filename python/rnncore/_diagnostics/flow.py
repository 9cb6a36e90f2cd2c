"""Where a gradient comes from: its terms, time step by time step."""

from __future__ import annotations

from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._diagnostics.norms import norms_of, radii_of
from rnncore._diagnostics.remedies import remedies
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._calls.running import Function

#: Lags up to this are short: where plain networks have most of their gradient.
SHORT = 10
#: |dL/dh| at the first step over that at the last from which it has exploded; or, the other way
#: round, vanished.
FAR = 1e3
#: By which numbers are scaled whose squares float64 does not have, and which those are.
SCALE, SMALL, LARGE = 1e180, 1e-140, 1e140
#: Of how many sequences Jacobians are formed, if they have no more numbers than these (128 MB), and
#: of how many at a time: every build has as many lanes.
SAMPLE, MOST_NUMBERS, TOGETHER = 4, 1 << 24, 2


class GradientFlow:
    """The gradient of a loss, taken apart by time step; from ``net.gradient_flow``.

    The term of time step j is what the weights' use at that step contributes, through all later
    states; the terms sum to the gradient of ``loss_and_grad``, given ``dy`` to that of ``vjp``. Of
    sequences of different lengths the last steps stand together: row T - 1 is every sequence's
    last.

    Attributes
    ----------
    steps : int
        T, of the longest sequence.
    loss : float or None
        None where ``dy`` was given: the loss is then the caller's own.
    terms : dict of str to ndarray
        Of every parameter the terms of the time steps, (T, *shape), in float64, down to 1e-308.
    norms : dict of str to ndarray
        Their norms, (T,).
    term_norms : ndarray
        Norms of all recurrent layers' terms together, (T,), along each layer's way through time:
        of a reverse direction, row T - 1 is the first step of the sequence.
    state_norms : ndarray
        Norms of dL/dh_t, (T + 1,), t = 0 being the state before the first step, over all
        sequences and layers, along each layer's way (of an LSTM, of h and c together): in one
        direction and layer ``state_norms[t - 1] <= product_norms[t - 1] * state_norms[T]``. With
        ``readout="all"``, of the last step's loss alone.
    short_share, long_share : float
        Shares of the last ten steps and of those before in the sum of ``term_norms``.
    horizon : int
        The lag within which 99 % of that sum lies. With ``readout="all"`` it and the shares are
        those of the last step's loss: how far back credit goes, not where losses are.
    factor : float
        By what |dL/dh| shrinks or grows per step backwards, on average over the longest
        sequences.
    verdict : str
        "vanishing" or "exploding" where |dL/dh| changes by more than a factor of 1000 between
        the last step and the first (of a skip connection of s steps, the largest of the last s and
        of the first s), else "healthy".
    remedies : list of str
        What helps, where something is wrong.

    See Also
    --------
    rnncore.RNN.gradient_flow : makes it, with an example.
    """

    def __init__(
        self, net: Function, x: Any, of: tuple[Any, Any, Any], dy: Any, options: dict[str, Any]
    ) -> None:
        """of: y, target_mask and sample_weight, or without y, dy."""
        if (of[0] is None) == (dy is None):
            came = "neither" if dy is None else "both"
            raise ValueError(f"y: expected either y or dy, got {came}")
        self._net = double(net)
        self._inputs = self._net._inputs(x, **options)
        self._lengths = np.full(self._inputs.count, self._inputs.time)
        if self._inputs.lengths is not None:
            self._lengths = self._inputs.lengths
        self.steps = T = int(self._lengths.max())
        parts = places(self._net)
        starts = [at.start for _, at, _ in parts]
        loss, terms, states = self._terms(of, dy, False)
        self.loss = loss if dy is None else None
        self.terms = {name: terms[:, at].reshape(T, *shape) for name, at, shape in parts}
        norms = norms_from(terms, starts)
        self.norms = {name: norms[:, k] for k, (name, _, _) in enumerate(parts)}
        if self._net._every_step:  # how far back, not where
            _, terms, states = self._terms(of, dy, True)
            norms = norms_from(terms, starts)
        self._take_apart(norms, states)

    def _terms(
        self, of: tuple[Any, Any, Any], dy: Any, last_only: bool
    ) -> tuple[float, Array, tuple[Array, Array]]:
        """(loss, terms (T, size), norms of dL/dh (T + 1) over all sequences and over the
        longest), of the sequences of one length at a time."""
        inputs, net = self._inputs, self._net
        targets: outputs.Targets = (None, None, None)
        slopes, scale = None, 1.0
        if dy is not None:
            slopes = outputs.reals(inputs, "dy", dy, inputs.form.outputs)
        else:
            targets = outputs.targets(inputs, *of)
            number = outputs.weights(inputs, targets).sum()
            if not number:
                outputs.explain(inputs, *of)
            scale = 1 / number
        total, faulty = 0.0, False
        T, passes = self.steps, net._form.passes
        terms, squares = np.zeros((T, net._flat.size)), np.zeros((T + 1, 3))
        for n in np.unique(self._lengths):
            order = np.flatnonzero(self._lengths == n).astype(np.int64)
            of_length = np.zeros((passes, n + 1, 3))
            loss, faults = net._core.terms(
                net._engine,
                inputs.batch,
                *targets,
                slopes,
                order,
                scale,
                terms[T - n :],
                of_length,
                last_only,
            )
            total, faulty = total + loss, faulty or bool(faults)
            longest = np.zeros((T + 1, 3))  # when the loop is done, that of those
            for k, row in enumerate(of_length):
                longest[T - n :] += row[::-1] if self._is_reverse(k) else row
            squares += longest
        if faulty or not isfinite(total):
            if slopes is None:
                outputs.explain(inputs, *of)
            else:
                inputs.explain()
                where = inputs.counted[:, :, None] if net._every_step else None
                check.all_finite("dy", outputs.shaped(inputs, slopes), where)
        return scale * total, terms, (root(squares), root(longest))

    def _is_reverse(self, k: int) -> bool:
        return bool(self._net._config["bidirectional"] and k % 2)

    def _take_apart(self, norms: Array, states: tuple[Array, Array]) -> None:
        """What the norms of terms by parameter, (T, parameters), and of dL/dh say."""
        self.term_norms = np.zeros(self.steps)
        for k, name in enumerate(self._net._shapes):
            if not name.startswith("head.") and name not in ("h0", "c0"):
                along = norms[::-1, k] if name.endswith("_reverse") else norms[:, k]
                self.term_norms = np.hypot(self.term_norms, along)
        self.state_norms, of_longest = states
        peak = self.term_norms.max()
        shares = self.term_norms / peak if 0 < peak < np.inf else 1.0 * (self.term_norms == np.inf)
        by_lag = shares[::-1].cumsum()
        whole = by_lag[-1]
        self.short_share = float(by_lag[min(SHORT, self.steps) - 1] / whole) if whole else 1.0
        self.long_share = 1 - self.short_share
        self.horizon = int((by_lag < 0.99 * whole).sum()) + 1
        # Over a skip connection slopes go in leaps: the largest of s neighbours is what counts.
        leap = min(self._net._form.history, self.steps)
        first, last = of_longest[1 : 1 + leap].max(), of_longest[-leap:].max()
        ratio = float(first / last) if last else 1.0
        seen = np.flatnonzero(of_longest[1:])  # the others are too small for float64
        self.factor = 1.0
        if last and seen[0] < self.steps - leap:
            begin = float(of_longest[1 + seen[0] :][:leap].max() / last)
            self.factor = begin ** (1 / (self.steps - leap - seen[0]))
        self.verdict = "healthy"
        if not isfinite(ratio) or ratio > FAR:
            self.verdict = "exploding"
        elif ratio < 1 / FAR:
            self.verdict = "vanishing"
        self.remedies = remedies(self.verdict, self._net, self.steps)

    # ---- Jacobians ------------------------------------------------------------------

    @cached_property
    def jacobians(self) -> Array:
        """d state_t / d state_{t-1} of the last layer's forward direction, (T, S, n, n), for the
        first S of the longest sequences: 4, or as many as 128 MB hold, but at least one. The state
        is h (n = H), of an LSTM [h c] (2 H), with a skip connection [h_t .. h_{t-s+1}] (s H).
        Formed when first asked for."""
        net, inputs = self._net, self._inputs
        H, s, T = net.hidden_size, net._form.history, self.steps
        n = H * net._form.states
        sample = min(SAMPLE, max(1, MOST_NUMBERS // (T * (s * n) ** 2)))
        chosen = np.flatnonzero(self._lengths == T)[:sample].astype(np.int64)
        which = net._form.passes - (2 if net._config["bidirectional"] else 1)
        result = np.zeros((T, len(chosen), s * n, s * n))
        for first in range(0, len(chosen), TOGETHER):
            some = slice(first, first + TOGETHER)
            step = np.empty((T, len(chosen[some]), n, n))
            over = np.zeros_like(step) if net._config.get("skip") else None
            net._core.jacobians(net._engine, inputs.batch, chosen[some], which, step, over)
            result[:, some, :n, :n] = step
            if over is not None:
                result[:, some, :n, (s - 1) * n :] += over
                result[:, some, n:, : (s - 1) * n] += np.eye((s - 1) * n)
                result[:, some][~inputs.counted[chosen[some], :T].T] = np.eye(s * n)
        return result

    @cached_property
    def products(self) -> Array:
        """d state_T / d state_{t-1}: products of the Jacobians from the last down to t, shaped as
        these."""
        result = np.empty_like(self.jacobians)
        running = np.broadcast_to(np.eye(result.shape[-1]), result.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(self.steps - 1, -1, -1):
                running = running @ self.jacobians[t]
                result[t] = running
        return result

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

    # ---- to look at -----------------------------------------------------------------

    def summary(self) -> str:
        """The verdict, its numbers and the remedies as text."""
        first, last = self.state_norms[1], self.state_norms[-1]
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

    def to_dict(self) -> dict[str, Any]:
        """All but the terms and Jacobians themselves as plain lists and numbers."""
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

    def plot(self, axes: Any = None) -> Any:
        """Draw the terms' norms by time step and, below, |dL/dh_t| and the Jacobians' products;
        with ``readout="all"``, of the last step's loss alone.

        Needs matplotlib.

        Parameters
        ----------
        axes : pair of matplotlib axes, optional
            Where to draw; a new figure where not given.

        Returns
        -------
        matplotlib.figure.Figure
        """
        from rnncore._diagnostics import plots

        return plots.flow(self, axes)


def plain_class(net: Function) -> Any:
    """RNN, LSTM or GRU, of a derived network too."""
    return next(c for c in type(net).__mro__ if "_kind" in vars(c))


def double(net: Function) -> Function:
    """The same network in float64."""
    twin: Function = plain_class(net)(**{**net._config, "dtype": "float64"}, seed=0)
    twin._flat[:] = net._flat
    return twin


def places(net: Function) -> list[tuple[str, slice, tuple[int, ...]]]:
    """Of every parameter its place in the flat vector."""
    result, at = [], 0
    for name, shape in net._shapes.items():
        size = int(np.prod(shape))
        result.append((name, slice(at, at + size), shape))
        at += size
    return result


def root(squares: Array) -> Array:
    """Norms from sums of squares (.., 3), of the small, the usual and the large numbers."""
    small, usual, large = np.sqrt(np.moveaxis(squares, -1, 0))
    result: Array = np.hypot(np.hypot(small / SCALE, usual), large * SCALE)
    return result


def norms_from(terms: Array, starts: list[int]) -> Array:
    """Norms of the parts of every row, which begin at `starts`; of those too whose squares would
    underflow or overflow."""
    with np.errstate(over="ignore"):
        norms: Array = np.sqrt(np.add.reduceat(terms**2, starts, axis=1))
        for odd, scale in ((norms < SMALL, SCALE), (norms > LARGE, 1 / SCALE)):
            rows = np.flatnonzero(odd.any(axis=1))
            if len(rows):
                scaled = np.sqrt(np.add.reduceat((terms[rows] * scale) ** 2, starts, axis=1))
                norms[rows] = np.where(odd[rows], scaled / scale, norms[rows])
    return norms
