"""The gradient of every sequence's own loss.

The function with a ``self`` is a method of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.gradients import dropout_seed, window
from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel
from rnncore._types import Array


class SampleGradients(NamedTuple):
    """The loss and the gradient of every sequence; returned by `rnncore.RNN.per_sample_grad`.

    Attributes
    ----------
    losses : ndarray
        (B,), float64.
    grads : dict of str to ndarray
        By name ``(B, *shape)``, in the network's precision.

    Printed, it shows how large the gradients are.
    """

    losses: Array
    grads: dict[str, Array]

    @property
    def norms(self) -> Array:
        """The Euclidean norm of the whole gradient of each sequence, (B,), float64."""
        norms: Array = np.sqrt(sum(squares(values) for values in self.grads.values()))
        return norms

    def plot(self, ax: Any = None) -> Any:
        """Draw which sequences pull hardest, and at which parameters.

        Above the norms of all sequences, the largest first; below, for those with the largest, the
        shares of the parameters in the square of the norm. Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, or one for each panel, optional
            Where to draw; a new figure if not given. Of one alone the norms.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> x = np.random.default_rng(0).standard_normal((30, 7, 2))
        >>> found = rc.GRU(2, 3, 1, loss="mse", seed=0).per_sample_grad(x, x[:, 0, 0])
        >>> figure = found.plot()  # doctest: +SKIP
        """
        from rnncore._diagnostics import sample_plots

        return sample_plots.norms(self, ax)

    def __repr__(self) -> str:
        low, middle, high = np.quantile(self.norms, (0, 0.5, 1))
        count = len(self.losses)
        return (
            f"SampleGradients({count} sequence{'' if count == 1 else 's'}, "
            f"norms {low:.3g} to {high:.3g}, median {middle:.3g})"
        )


def squares(values: Array) -> Array:
    """The sum of squares of each row, (B,), float64."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    found: Array = (rows**2).sum(axis=1)
    return found


def per_sample_grad(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    rng: int | np.random.Generator | None = None,
    truncate: int | None = None,
    target_mask: npt.ArrayLike | None = None,
    reduction: str = "mean",
    sample_weight: npt.ArrayLike | None = None,
) -> SampleGradients:
    """The loss of every sequence and its own exact gradient, by one pass of BPTT for all of them.

    Up to 16 units it takes one to two times as long as `loss_and_grad` on one thread, and some 25
    microseconds per call; beyond, the sequences are worked on one after another. The call uses one
    thread.

    Parameters
    ----------
    x, y, h0, lengths, mask, rng, truncate, target_mask, sample_weight
        As for `loss_and_grad`.
    reduction : {"mean", "sum"}
        Of each sequence's losses over its targets that count. "mean": the gradients are those of
        ``loss_and_grad`` of each sequence alone; where all have as many targets (or the same sum of
        weights), their mean is that of ``loss_and_grad`` of all. "sum": their sum is that of
        ``loss_and_grad`` of all with ``reduction="sum"``.

    Returns
    -------
    SampleGradients
        A named tuple of ``losses``, (B,), and ``grads``, by name ``(B, *shape)``; with ``norms``
        and a ``plot()`` of them. A sequence in which no target counts has the loss 0 and a
        gradient of zeros.

    Raises
    ------
    TypeError, ValueError
        As `loss_and_grad`.

    See Also
    --------
    loss : with ``reduction="none"``, the loss of every target, without gradients.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rng = np.random.default_rng(0)
    >>> net, x, y = rc.GRU(2, 3, 1, loss="mse", seed=0), rng.standard_normal((5, 7, 2)), np.ones(5)
    >>> found = net.per_sample_grad(x, y)
    >>> losses, grads = found
    >>> losses.shape, grads["weight_hh_l0"].shape, found.norms.shape
    ((5,), (5, 9, 3), (5,))
    >>> together = net.loss_and_grad(x, y)[1]
    >>> bool(np.allclose(grads["weight_hh_l0"].mean(axis=0), together["weight_hh_l0"], atol=1e-6))
    True
    """
    model = self._model
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    targets = outputs.for_core(inputs, outputs.targets(inputs, y, target_mask, sample_weight))
    check.choice("reduction", reduction, ("mean", "sum"))
    flat = np.zeros((inputs.count, model.flat.size), model.spec.dtype)
    losses = np.empty(inputs.count)
    faults, counted = model.spec.core.per_sample(
        model.engine, inputs.batch, *targets, flat, losses, mean=reduction == "mean",
        dropout_seed=dropout_seed(rng), truncate=window(truncate),
    )  # fmt: skip
    if faults or not counted or not np.isfinite(losses).all():
        outputs.explain(inputs, y, target_mask, sample_weight)
    grads, at = {}, 0
    for name, values in model.parameters.items():
        columns = flat[:, at : at + values.size]
        grads[name] = columns.reshape(inputs.count, *values.shape)
        at += values.size
    return SampleGradients(losses, grads)
