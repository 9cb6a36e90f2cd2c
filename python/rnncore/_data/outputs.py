"""Values for each output of a network, as the compiled core wants them: targets, which of them
count, and dL/dy.

With ``readout="last"`` there is one row of K values for every sequence, with ``readout="all"`` one
for every step, in the order of the rows of x (see `rnncore._inputs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs, as_index, with_width
from rnncore._model.losses import Loss
from rnncore._types import Array

#: What the core takes: numbers (rows, targets) or classes (rows); and their weights, None where all
#: targets count alike.
Targets = tuple[Array | None, Array | None, Array | None]

#: As `target_mask`: targets that are NaN do not count.
MISSING = "nan"


def reals(inputs: Inputs, name: str, given: Any, width: int) -> Array:
    """Real numbers, so many for each output, as the core wants them; see `per_output`."""
    form = inputs.form
    plain = form.core.as_plain(given)
    if plain is None:
        return check.as_real(per_output(inputs, name, given, width), form.dtype)
    return placed(inputs, name, plain, width)


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


def targets(inputs: Inputs, y: Any, target_mask: Any = None, sample_weight: Any = None) -> Targets:
    """(target, classes, weight) for the core."""
    loss = inputs.form.loss
    if loss is None:
        raise ValueError(
            "loss: expected a network made with loss='bce', 'mse', 'cross_entropy' or another one, "
            "got None; for a loss of your own use vjp"
        )
    if target_mask is not None or sample_weight is not None:
        return weighted_targets(inputs, loss, y, target_mask, sample_weight)
    if loss.classes:
        return None, class_numbers(per_output(inputs, "y", y, 0)), None
    return reals(inputs, "y", y, loss.targets(inputs.form.outputs)), None, None


def class_numbers(values: Array) -> Array:
    if values.dtype.kind not in "iu":
        raise TypeError(f"y: expected integer class numbers, got dtype {values.dtype}")
    return as_index(values)


def weighted_targets(
    inputs: Inputs, loss: Loss, y: Any, target_mask: Any, sample_weight: Any
) -> Targets:
    """The same where not all targets count alike; those that do not count may be anything."""
    form = inputs.form
    width = 0 if loss.classes else loss.targets(form.outputs)
    values = per_output(inputs, "y", y, width).reshape(-1, max(1, width))
    where = np.ones(values.shape, bool)
    if isinstance(target_mask, str):
        check.choice("target_mask", target_mask, [MISSING])
        where = ~np.isnan(values)
        if loss.classes and (values[where] == np.trunc(values[where])).all():
            values = np.where(where, values, -1).astype(np.int64)
    elif target_mask is not None:
        where = mask_of(inputs, target_mask, width).reshape(values.shape)
    weight: Array | None = where
    if sample_weight is not None:
        weight = where * weights_of_samples(inputs, sample_weight, width).reshape(values.shape)
        where = weight > 0
    elif loss.classes:
        weight = None
    if weight is not None:
        weight = np.ascontiguousarray(weight, form.dtype)
    if loss.classes:
        return None, np.where(where, class_numbers(values), -1).ravel(), weight
    return check.as_real(np.where(where, values, 0), form.dtype), None, weight


def mask_of(inputs: Inputs, target_mask: Any, width: int) -> Array:
    """True where a target counts."""
    where = per_output(inputs, "target_mask", target_mask, width, shared=True)
    if not ((where == 0) | (where == 1)).all():
        raise ValueError(
            "target_mask: expected booleans (True where a target counts), 0 and 1, or 'nan'"
        )
    result: Array = where != 0
    return result


def weights_of_samples(inputs: Inputs, given: Any, width: int) -> Array:
    """What the loss of each target is multiplied by."""
    form = inputs.form
    values = given
    if form.every_step and is_flat(given):
        values = check.array("sample_weight", given)  # one for all steps of a sequence
        check.same_shape("sample_weight", values, (inputs.count,))
        values = np.broadcast_to(values[:, None], (inputs.count, inputs.time))
    values = per_output(inputs, "sample_weight", values, width, shared=True)
    check.all_finite("sample_weight", values)
    if (values < 0).any():
        at = check.first(values < 0)
        raise ValueError(
            f"sample_weight: expected numbers of at least 0, got {values[at]} at {list(at)}"
        )
    return values


def is_flat(given: Any) -> bool:
    """Whether it is one number for each of something."""
    if isinstance(given, list | tuple):
        return all(np.isscalar(value) or getattr(value, "ndim", 1) == 0 for value in given)
    return np.ndim(given) == 1


def weights(inputs: Inputs, of: Targets) -> Array:
    """(B,) or (B, T): the sum of the weights of each output's targets that count; where targets
    have no weights, how many there are."""
    _, classes, weight = of
    every_step = inputs.form.every_step
    rows = np.full(inputs.batch.rows if every_step else inputs.count, float(width_of(inputs)))
    if weight is not None:
        rows = weight.reshape(len(rows), -1).sum(axis=1, dtype=float)
    if classes is not None:
        rows = np.where(classes.reshape(rows.shape) >= 0, rows, 0)
    if not every_step:
        return rows
    by_step = rows if inputs.listed else rows.reshape(inputs.count, inputs.time)
    result: Array = np.where(inputs.counted, inputs.padded(by_step), 0)
    return result


def width_of(inputs: Inputs) -> int:
    """How many targets belong to a step's outputs."""
    assert inputs.form.loss is not None
    return inputs.form.loss.targets(inputs.form.outputs)


def new_losses(inputs: Inputs) -> Array:
    """Room for the loss of every target; zeros, as those of steps that do not count stay."""
    rows = inputs.batch.rows if inputs.form.every_step else inputs.count
    return np.zeros((rows, width_of(inputs)), inputs.form.dtype)


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
        return values.reshape(inputs.count, -1)
    return inputs.padded(values).reshape(inputs.count, inputs.time, -1)


def explain(inputs: Inputs, y: Any, target_mask: Any = None, sample_weight: Any = None) -> None:
    """Raise the error for numbers the core cannot work with, if there are any: in x, h0 and y."""
    inputs.explain()
    form, loss = inputs.form, inputs.form.loss
    assert loss is not None
    of = target, classes, weight = targets(inputs, y, target_mask, sample_weight)
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
        check.within("y", loss.reading.targets, values, loss.low, loss.high, where)
    if not counts.any():
        raise ValueError("y: expected at least one target that counts, got none")


def has_nan(values: Array) -> bool:
    return bool(np.isnan(values).any())
