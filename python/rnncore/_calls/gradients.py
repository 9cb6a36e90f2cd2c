"""Losses and their gradients, by backpropagation through time.

The functions with a ``self`` are methods of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel
from rnncore._types import Array


def loss(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
    target_mask: npt.ArrayLike | None = None,
    reduction: str = "mean",
    sample_weight: npt.ArrayLike | None = None,
) -> float | Any:
    """The mean loss over the targets that count.

    Parameters
    ----------
    x, h0, lengths, mask, threads
        See the notes of `rnncore.RNN`.
    y : array_like
        Targets: integers (B,) for "cross_entropy", of which a negative one does not count, or
        floats (B, K), the probability of every class; else numbers (B, K), or (B,) where K = 1;
        half as many for "gaussian_nll". With ``readout="all"`` or "before" one for every
        step: (B, T) or (B, T, K), or a list as long as that of x. Probabilities must sum to 1,
        within 1e-4 in float32 and 1e-6 in float64.
    target_mask : array_like of bool, or "nan"
        Which targets count: shaped as y, or without its last axis where all K outputs of a
        sequence or step do or do not, which is always so of "cross_entropy". "nan": those that
        are not NaN. The targets of steps that
        do not count (by ``lengths`` or ``mask``) never do; a step whose target does not count
        is run like any other.
    sample_weight : array_like, optional
        What the loss of each target is multiplied by, at least 0: one number for every
        sequence, (B,), or with ``readout="all"`` also for every step, (B, T), or shaped as y (of
        "cross_entropy" without an axis of classes). The mean is then the sum of w L over that of
        w.
    reduction : {"mean", "sum", "none"}
        "none" gives the loss of every target, times its weight: (B,) or (B, T) for
        "cross_entropy", else (B, K) or (B, T, K), without the last axis where K = 1; zero where
        a target does not count, lists padded with zeros.

    Returns
    -------
    float, or ndarray for "none"

    Raises
    ------
    TypeError, ValueError
        For bad input, a class that does not exist, a probability outside [0, 1],
        probabilities of classes that do not sum to 1, or a network without a loss.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, 1, bias=False, loss="mse")
    >>> net.loss(np.zeros((2, 3, 1)), [1.0, 2.0])
    2.5
    """
    model = self._model
    value: float | None = model.spec.core.plain_loss(
        model.engine, x, y, h0, lengths, mask, threads, target_mask, sample_weight, reduction
    )
    if value is not None:
        return value
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    targets = outputs.for_core(inputs, outputs.targets(inputs, y, target_mask, sample_weight))
    losses = None
    if reduction != "mean":
        check.choice("reduction", reduction, ("mean", "sum", "none"))
        losses = outputs.new_losses(inputs) if reduction == "none" else None
    total, count, faults = model.engine.loss(inputs.batch, *targets, check.threads(threads), losses)
    if faults or not isfinite(total) or not count:
        outputs.explain(inputs, y, target_mask, sample_weight)
    if losses is not None:
        return outputs.losses_of(inputs, losses)
    return total / count if reduction == "mean" else total


def loss_and_grad(
    self: HasModel,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    threads: int | None = None,
    rng: int | np.random.Generator | None = None,
    truncate: int | None = None,
    target_mask: npt.ArrayLike | None = None,
    reduction: str = "mean",
    sample_weight: npt.ArrayLike | None = None,
) -> tuple[float, dict[str, Array]]:
    """The loss and its exact gradient with respect to every parameter, by BPTT. [1]_

    Parameters
    ----------
    x, y, h0, lengths, mask, threads, target_mask, sample_weight
        As for `loss`.
    rng : int or numpy.random.Generator, optional
        With it, dropout and zoneout act as in `fit`, drawn from it; without, there is no dropout,
        and zoneout is what it is on average.
    truncate : int, optional
        Truncated BPTT, as in `fit`: gradients stay within windows of so many steps.
    reduction : {"mean", "sum"}
        Of the losses of the targets that count.

    Returns
    -------
    loss : float
    grads : dict of str to ndarray
        Named and shaped as in `parameters`, and like those views into one new vector.

    Raises
    ------
    TypeError, ValueError
        As `loss`.

    References
    ----------
    .. [1] P. J. Werbos, "Backpropagation through time: what it does and how to do it",
       Proceedings of the IEEE 78 (1990) 1550-1560.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(2, 3, 1, loss="mse", seed=0)
    >>> loss, grads = net.loss_and_grad(np.ones((4, 5, 2)), np.ones(4))
    >>> for name, values in net.parameters().items():
    ...     values -= 0.1 * grads[name]
    >>> net.loss(np.ones((4, 5, 2)), np.ones(4)) < loss
    True
    """
    model = self._model
    plain: tuple[float, dict[str, Array]] | None = model.spec.core.plain_gradient(
        model.engine, x, y, h0, lengths, mask, threads, rng, truncate, target_mask, reduction,
        sample_weight,
    )  # fmt: skip
    if plain is not None:
        return plain
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    targets = outputs.for_core(inputs, outputs.targets(inputs, y, target_mask, sample_weight))
    if reduction != "mean":
        check.choice("reduction", reduction, ("mean", "sum"))
    value, grads, faults = model.engine.gradient(
        inputs.batch, *targets, threads=check.threads(threads),
        dropout_seed=dropout_seed(rng), truncate=window(truncate), mean=reduction == "mean",
    )  # fmt: skip
    if faults or not isfinite(value):
        outputs.explain(inputs, y, target_mask, sample_weight)
    return value, grads


def dropout_seed(rng: int | np.random.Generator | None) -> int | None:
    """The core's seed for dropout and zoneout; None: nothing is drawn."""
    return None if rng is None else check.seed("rng", rng)


def window(truncate: int | None) -> int:
    """The length of a truncation window for the core, where 0 is no truncation."""
    return 0 if truncate is None else check.whole("truncate", truncate, 1)
