"""The gradient of every sequence's own loss.

The function with a ``self`` is a method of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore._calls.gradients import dropout_seed, window
from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel
from rnncore._types import Array


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
) -> tuple[Array, dict[str, Array]]:
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
    losses : ndarray
        (B,), float64.
    grads : dict of str to ndarray
        By name ``(B, *shape)``, in the network's precision. A sequence in which no target counts
        has the loss 0 and a gradient of zeros.

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
    >>> losses, grads = net.per_sample_grad(x, y)
    >>> losses.shape, grads["weight_hh_l0"].shape
    ((5,), (5, 9, 3))
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
    return losses, grads
