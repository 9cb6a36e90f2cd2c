"""Values for each output of a network, as the compiled core wants them: targets, which of them
count, and dL/dy.

With ``readout="last"`` there is one row of K values for every sequence, with ``readout="all"`` one
for every step, in the order of the rows of x (see `rnncore._inputs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore import _checks as check
from rnncore._checks import Array
from rnncore._inputs import Inputs, as_index, with_width

#: What the core takes: numbers (rows, K) or classes (rows); and weights (rows, K or 1), None
#: where all targets count alike.
Targets = tuple[Array | None, Array | None, Array | None]

#: As `target_mask`: targets that are NaN do not count.
MISSING = "nan"


def reals(inputs: Inputs, name: str, given: Any) -> Array:
    """Real numbers, K for each output, as the core wants them; see `per_output`."""
    form = inputs.form
    plain = form.core.as_plain(given)
    if plain is None:
        return check.as_real(per_output(inputs, name, given, form.outputs), form.dtype)
    return placed(inputs, name, plain, form.outputs)


def per_output(inputs: Inputs, name: str, given: Any, width: int, shared: bool = False) -> Array:
    """Values for each output: (B, width), or (B, T, width) or (rows, width) per step; for
    width 0, one number each, without that axis. A last axis of 1 may be left out; where they may
    be `shared`, one value for all of an output's `width` is repeated."""
    if inputs.form.every_step and inputs.listed and isinstance(given, list | tuple):
        return inputs.rows_of_list(name, given, width, shared)
    return placed(inputs, name, check.array(name, given), width, shared)


def placed(inputs: Inputs, name: str, values: Array, width: int, shared: bool = False) -> Array:
    """An array of such values, in rows where x is a list."""
    every_step = inputs.form.every_step
    leading = (inputs.count, inputs.time) if every_step else (inputs.count,)
    shape = values.shape
    if shape != (*leading, width) and (shape != leading or width > 1):
        if not shared or shape != leading:
            wrong_shape(inputs, name, values, with_width(leading, width, shared))
        values = np.broadcast_to(values[..., None], (*leading, width))
    return values[inputs.steps] if every_step and inputs.listed else values


def wrong_shape(inputs: Inputs, name: str, values: Array, expected: list[tuple[int, ...]]) -> None:
    """The error for it, with a hint where it would be right for the other read-out."""
    hint = ""
    if not inputs.form.every_step and values.shape[:2] == (inputs.count, inputs.time):
        hint = '; with readout="all" a network has an output at every step'
    elif inputs.form.every_step and values.shape in [(inputs.count,), (inputs.count, 1)]:
        hint = '; with readout="last" a network has one output per sequence'
    check.same_shape(name, values, *expected, hint=hint)


def targets(inputs: Inputs, y: Any, target_mask: Any = None) -> Targets:
    """(target, classes, weight) for the core."""
    form = inputs.form
    if form.loss is None:
        raise ValueError(
            "loss: expected a network made with loss='bce', 'mse' or 'cross_entropy', got "
            "None; for a loss of your own use vjp"
        )
    if target_mask is not None:
        return masked_targets(inputs, y, target_mask)
    if form.loss != "cross_entropy":
        return reals(inputs, "y", y), None, None
    return None, class_numbers(per_output(inputs, "y", y, 0)), None


def class_numbers(values: Array) -> Array:
    if values.dtype.kind not in "iu":
        raise TypeError(f"y: expected integer class numbers, got dtype {values.dtype}")
    return as_index(values)


def masked_targets(inputs: Inputs, y: Any, target_mask: Any) -> Targets:
    """The same where not all targets count; those that do not may be anything."""
    form = inputs.form
    by_class = form.loss == "cross_entropy"
    width = 0 if by_class else form.outputs
    values = per_output(inputs, "y", y, width).reshape(-1, max(1, width))
    if isinstance(target_mask, str):
        check.choice("target_mask", target_mask, [MISSING])
        where = ~np.isnan(values)
        if by_class and (values[where] == np.trunc(values[where])).all():
            values = np.where(where, values, -1).astype(np.int64)
    else:
        where = per_output(inputs, "target_mask", target_mask, width, shared=True)
        if not ((where == 0) | (where == 1)).all():
            raise ValueError(
                "target_mask: expected booleans (True where a target counts), 0 and 1, or 'nan'"
            )
        where = where.reshape(values.shape) != 0
    if by_class:
        return None, np.where(where, class_numbers(values), -1).ravel(), None
    target = check.as_real(np.where(where, values, 0), form.dtype)
    return target, None, np.ascontiguousarray(where, form.dtype)


def weights(inputs: Inputs, of: Targets) -> Array:
    """(B,) or (B, T): the sum of the weights of each output's targets that count; where targets
    have no weights, how many there are."""
    target, classes, weight = of
    every_step = inputs.form.every_step
    rows = np.ones(inputs.batch.rows if every_step else inputs.count)
    if weight is not None:
        rows = weight.reshape(len(rows), -1).sum(axis=1, dtype=float)
    elif target is not None:
        rows *= inputs.form.outputs
    if classes is not None:
        rows = np.where(classes.reshape(rows.shape) >= 0, rows, 0)
    if not every_step:
        return rows
    by_step = rows if inputs.listed else rows.reshape(inputs.count, inputs.time)
    result: Array = np.where(inputs.counted, inputs.padded(by_step), 0)
    return result


def new_losses(inputs: Inputs) -> Array:
    """Room for the loss of every target; zeros, as those of steps that do not count stay."""
    form = inputs.form
    rows = inputs.batch.rows if form.every_step else inputs.count
    return np.zeros((rows, 1 if form.loss == "cross_entropy" else form.outputs), form.dtype)


def losses_of(inputs: Inputs, losses: Array) -> Array:
    """What the core wrote there as callers know it: (B, K) or (B, T, K), without an axis of 1."""
    if losses.shape[1] == 1:
        losses = losses[:, 0]
    if inputs.form.every_step and not inputs.listed:
        return losses.reshape(inputs.count, inputs.time, *losses.shape[1:])
    return inputs.padded(losses) if inputs.form.every_step else losses


def shaped(inputs: Inputs, values: Array) -> Array:
    """What `reals` made of them, as (B, K) or (B, T, K)."""
    if not inputs.form.every_step:
        return values.reshape(inputs.count, inputs.form.outputs)
    return inputs.padded(values).reshape(inputs.count, inputs.time, inputs.form.outputs)


def explain(inputs: Inputs, y: Any, target_mask: Any = None) -> None:
    """Raise the error for numbers the core cannot work with, if there are any: in x, h0 and y."""
    inputs.explain()
    form = inputs.form
    of = target, classes, weight = targets(inputs, y, target_mask)
    counts = weights(inputs, of) > 0
    if classes is not None:
        by_step = form.every_step and inputs.listed
        values = inputs.padded(classes) if by_step else classes.reshape(counts.shape)
        check.within("y", "classes", values, 0, form.outputs - 1, counts)
    else:
        assert target is not None
        values = shaped(inputs, target)
        where = counts[..., None] if weight is None else shaped(inputs, weight) > 0
        try:
            check.all_finite("y", values, where)
        except ValueError as error:
            hint = "; with target_mask='nan' such targets do not count" if has_nan(values) else ""
            raise ValueError(f"{error}{hint}") from None
        if form.loss == "bce":
            check.within("y", "probabilities", values, 0, 1, where)
    if not counts.any():
        raise ValueError("y: expected at least one target that counts, got none")


def has_nan(values: Array) -> bool:
    return bool(np.isnan(values).any())
