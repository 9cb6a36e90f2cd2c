"""The terms of a gradient: what each time step contributes to it."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import Model
from rnncore._types import Array

#: Numbers below SMALL or above LARGE are multiplied or divided by SCALE before they are squared:
#: float64 cannot represent their squares.
SCALE, SMALL, LARGE = 1e180, 1e-140, 1e140


class Terms(NamedTuple):
    """The loss, the terms of its gradient, and norms of dL/dh_t.

    Sequences of different lengths are aligned at their ends: row T - 1 is the last step of each.
    """

    loss: float
    values: Array  # (T, parameters)
    state_norms: Array  # (T + 1,), over all sequences
    longest_norms: Array  # (T + 1,), over the longest sequences


def terms_of(
    model: Model,
    inputs: Inputs,
    lengths: Array,
    given: tuple[Any, Any, Any],
    dy: Any,
    last_only: bool,
    chosen: Array | None = None,
) -> Terms:
    """The terms of the gradient of a loss; or, if dy is given, of ``sum(dy * y)``.

    Parameters
    ----------
    lengths : ndarray
        Of the sequences, (B,).
    given : tuple
        y, target_mask and sample_weight as the caller passed them.
    last_only : bool
        Take only the loss of the last step of each sequence.
    chosen : ndarray of int, optional
        The sequences whose terms are formed; all if not given.
    """
    targets: outputs.Targets = (None, None, None)
    scale = 1.0
    if dy is not None:
        dy = outputs.reals(inputs, "dy", dy, model.spec.outputs).reshape(-1, model.spec.outputs)
    else:
        targets = outputs.targets(inputs, *given)
        number = outputs.weights(inputs, targets).sum()
        if not number:
            outputs.explain(inputs, *given)
        scale = 1 / number
    if last_only:
        targets, dy = outputs.of_last_steps(inputs, targets, dy)
    if dy is None:
        targets = outputs.for_core(inputs, targets)
    if chosen is None:
        chosen = np.arange(inputs.count)
    total, faulty, T = 0.0, False, int(lengths[chosen].max())
    values, squares = np.zeros((T, model.flat.size)), np.zeros((T + 1, 3))
    for n in np.unique(lengths[chosen]):  # the core takes sequences of one length at a time
        order = chosen[lengths[chosen] == n].astype(np.int64)
        by_pass = np.zeros((model.spec.passes, n + 1, 3))
        loss, faults = model.spec.core.terms(
            model.engine, inputs.batch, *targets, dy, order, scale, values[T - n :], by_pass
        )
        total, faulty = total + loss, faulty or bool(faults)
        longest = np.zeros((T + 1, 3))  # after the loop, of the sequences of length T
        for k, row in enumerate(by_pass):
            is_reverse = model.spec.directions == 2 and k % 2
            longest[T - n :] += row[::-1] if is_reverse else row
        squares += longest
    if faulty or not isfinite(total):
        if dy is None:
            outputs.explain(inputs, *given)
        else:
            inputs.explain()
            outputs.check_finite(inputs, "dy", dy)
    return Terms(scale * total, values, root(squares), root(longest))


def root(squares: Array) -> Array:
    """Norms from sums of squares (..., 3): of small, of usual and of large numbers."""
    small, usual, large = np.sqrt(np.moveaxis(squares, -1, 0))
    result: Array = np.hypot(np.hypot(small / SCALE, usual), large * SCALE)
    return result


def norms_by_parameter(values: Array, starts: list[int]) -> Array:
    """Norms of the terms of each parameter, (T, names), where `starts` has the first columns of the
    parameters. They are correct also where squares underflow or overflow."""
    with np.errstate(over="ignore"):
        norms: Array = np.sqrt(np.add.reduceat(values**2, starts, axis=1))
        for inexact, scale in ((norms < SMALL, SCALE), (norms > LARGE, 1 / SCALE)):
            rows = np.flatnonzero(inexact.any(axis=1))
            if len(rows):
                scaled = np.sqrt(np.add.reduceat((values[rows] * scale) ** 2, starts, axis=1))
                norms[rows] = np.where(inexact[rows], scaled / scale, norms[rows])
    return norms
