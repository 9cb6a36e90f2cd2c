"""Values for each output of a network, as the compiled core takes them: targets, their weights,
and dL/dy.

With ``readout="last"`` there is one row of K values for every sequence, with ``readout="all"`` one
for every step, in the order of the rows of x (see `rnncore._data.inputs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs, as_index, with_width
from rnncore._model.losses import Loss
from rnncore._types import Array

#: What the core takes: numbers (rows, targets) or else classes (rows); and the weights of the
#: targets, None where all are 1.
Targets = tuple[Array | None, Array | None, Array | None]

#: As `target_mask`: targets that are NaN do not count.
MISSING = "nan"

#: How far from 1 the probabilities of all classes may sum up.
SOFT_TOLERANCE = {"float32": 1e-4, "float64": 1e-6}


def reals(inputs: Inputs, name: str, given: Any, width: int) -> Array:
    """Real numbers, `width` for each output, as the core takes them; see `per_output`."""
    spec = inputs.spec
    plain = spec.core.as_plain(given)
    if plain is None:
        return check.as_real(per_output(inputs, name, given, width), spec.dtype)
    return arranged(inputs, name, plain, width)


def per_output(inputs: Inputs, name: str, given: Any, width: int, shared: bool = False) -> Array:
    """Values for each output: (B, width), or (B, T, width) or (rows, width) per step. With width 0
    there is one value each, and no such axis. A last axis of length 1 may be left out; with
    `shared`, one value may be given for all `width` of an output."""
    if inputs.spec.every_step and inputs.listed and isinstance(given, list | tuple):
        return inputs.rows_of_list(name, given, width, shared)
    return arranged(inputs, name, check.array(name, given), width, shared)


def arranged(inputs: Inputs, name: str, values: Array, width: int, shared: bool = False) -> Array:
    """The same of an array; as rows where x is a list."""
    every_step = inputs.spec.every_step
    leading = (inputs.count, inputs.time) if every_step else (inputs.count,)
    shape = values.shape
    if shape != (*leading, width) and (shape != leading or width > 1):
        if not shared or shape != leading:
            wrong_shape(inputs, name, values, with_width(leading, width, shared))
        values = np.broadcast_to(values[..., None], (*leading, width))
    return values[inputs.steps] if every_step and inputs.listed else values


def of_states(inputs: Inputs, name: str, given: Any) -> Array:
    """Real numbers for each state of the last layer at every step, whatever the read-out, as rows
    where x is a list. Those after the last step of a sequence that counts become 0."""
    width = inputs.spec.width
    if inputs.listed and isinstance(given, list | tuple):
        values = inputs.rows_of_list(name, given, width)
    else:
        values = check.array(name, given)
        check.same_shape(name, values, *with_width((inputs.count, inputs.time), width))
        values = values[inputs.steps] if inputs.listed else values
    values = check.as_real(values, inputs.spec.dtype)
    if inputs.mask is None:
        return values
    late = inputs.past_end[inputs.steps] if inputs.listed else inputs.past_end
    result: Array = np.where(late[..., None], 0, values.reshape(*late.shape, width))
    return result.astype(inputs.spec.dtype)


def wrong_shape(inputs: Inputs, name: str, values: Array, expected: list[tuple[int, ...]]) -> None:
    """Raise the error for values of a wrong shape. It has a hint where the shape would be right for
    the other kind of read-out."""
    hint = ""
    if not inputs.spec.every_step and values.shape[:2] == (inputs.count, inputs.time):
        hint = '; with readout="all" a network has an output at every step'
    elif inputs.spec.every_step and values.shape in [(inputs.count,), (inputs.count, 1)]:
        hint = '; with readout="last" a network has one output per sequence'
    elif name == "y" and values.shape == (inputs.count,) and is_of(inputs, "bce"):
        hint = '; for class numbers take loss="cross_entropy", for one answer output_size=1'
    check.same_shape(name, values, *expected, hint=hint)


def is_of(inputs: Inputs, loss: str) -> bool:
    return inputs.spec.loss is not None and inputs.spec.loss.name == loss


def targets(inputs: Inputs, y: Any, target_mask: Any = None, sample_weight: Any = None) -> Targets:
    """(target, classes, weight) for the core."""
    loss = inputs.spec.loss
    if loss is None:
        raise ValueError(
            "loss: expected a network made with loss='bce', 'mse', 'cross_entropy' or another one, "
            "got None; for a loss of your own use vjp"
        )
    if target_mask is not None or sample_weight is not None:
        return weighted_targets(inputs, loss, y, target_mask, sample_weight)
    if loss.classes:
        if is_soft(inputs, y):
            return soft_targets(inputs, y), None, None
        return None, class_numbers(per_output(inputs, "y", y, 0)), None
    return reals(inputs, "y", y, loss.targets(inputs.spec.outputs)), None, None


def for_core(inputs: Inputs, of: Targets) -> Targets:
    """The same as rows: numbers and weights (rows, targets of an output), classes (rows)."""
    target, classes, weight = of
    width = width_of(inputs)
    return (
        None if target is None else target.reshape(-1, size_of(inputs)),
        None if classes is None else classes.reshape(-1),
        None if weight is None else weight.reshape(-1, width),
    )


def class_numbers(values: Array) -> Array:
    if values.dtype.kind not in "iu":
        raise TypeError(f"y: expected integer class numbers, got dtype {values.dtype}")
    return as_index(values)


def weighted_targets(
    inputs: Inputs, loss: Loss, y: Any, target_mask: Any, sample_weight: Any
) -> Targets:
    """`targets` where some do not count or have weights. Those that do not count are ignored."""
    spec, soft = inputs.spec, loss.classes and is_soft(inputs, y)
    width = 0 if loss.classes else loss.targets(spec.outputs)
    size = spec.outputs if soft else width
    values = per_output(inputs, "y", y, size).reshape(-1, max(1, size))
    where: Array = np.ones((len(values), max(1, width)), bool)
    if isinstance(target_mask, str):
        check.choice("target_mask", target_mask, [MISSING])
        missing: Array = np.isnan(values)
        where = ~(missing.max(axis=1, keepdims=True) if soft else missing)
        if loss.classes and not soft and (values[where] == np.trunc(values[where])).all():
            values = np.where(where, values, -1).astype(np.int64)
    elif target_mask is not None:
        where = mask_for(inputs, target_mask, width).reshape(where.shape)
    weight: Array | None = where
    if sample_weight is not None:
        weight = where * weights_of_samples(inputs, sample_weight, width).reshape(where.shape)
        where = weight > 0
    elif loss.classes and not soft:
        weight = None
    if weight is not None:
        weight = np.ascontiguousarray(weight, spec.dtype)
    if soft:
        return checked_soft(inputs, values, where), None, weight
    if loss.classes:
        return None, np.where(where, class_numbers(values), -1).ravel(), weight
    return check.as_real(np.where(where, values, 0), spec.dtype), None, weight


def is_soft(inputs: Inputs, y: Any) -> bool:
    """Whether targets of a loss of classes are numbers with an axis more than classes have: their
    probabilities."""
    axes = 1 + inputs.spec.every_step
    if inputs.listed and inputs.spec.every_step and isinstance(y, list | tuple):
        first = check.items("y", y)[:1]
        axes, y = 1, first[0] if first else y
    values = y if isinstance(y, np.ndarray) else check.array("y", y)
    return values.dtype.kind == "f" and values.ndim == axes + 1


def soft_targets(inputs: Inputs, y: Any) -> Array:
    """The probabilities of classes, as the core takes them."""
    K = inputs.spec.outputs
    values = per_output(inputs, "y", y, K).reshape(-1, K)
    return checked_soft(inputs, values, np.ones((len(values), 1), bool))


def checked_soft(inputs: Inputs, values: Array, where: Array) -> Array:
    """Probabilities (rows, K) in the network's precision, and zeros where a row does not count."""
    spec = inputs.spec
    if spec.every_step:
        steps = inputs.counted[inputs.steps] if inputs.listed else inputs.counted
        where = where & steps.reshape(-1, 1)
    values = np.where(where, values, 0)
    shown = shaped(inputs, values)
    check.all_finite("y", shown)
    check.within("y", "probabilities", shown, 0, float("inf"))
    sums = shown.sum(axis=-1, dtype=float)
    wrong = np.abs(sums - 1) > SOFT_TOLERANCE[spec.dtype.name]
    wrong &= shaped(inputs, where)[..., 0]
    if wrong.any():
        at = check.first(wrong)
        raise ValueError(
            f"y: expected probabilities that sum to 1, got a sum of {sums[at]:.6g} at {list(at)}"
        )
    return check.as_real(values, spec.dtype)


def mask_for(inputs: Inputs, target_mask: Any, width: int) -> Array:
    """Which targets count, as booleans."""
    where = per_output(inputs, "target_mask", target_mask, width, shared=True)
    if not ((where == 0) | (where == 1)).all():
        raise ValueError(
            "target_mask: expected booleans (True where a target counts), 0 and 1, or 'nan'"
        )
    result: Array = where != 0
    return result


def weights_of_samples(inputs: Inputs, given: Any, width: int) -> Array:
    """The weights of the targets, checked."""
    spec = inputs.spec
    values = given
    if spec.every_step and is_flat(given):
        values = check.array("sample_weight", given)  # one weight for all steps of a sequence
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
    """Whether `given` has one axis, as an array or a list of numbers."""
    if isinstance(given, list | tuple):
        return all(np.isscalar(value) or getattr(value, "ndim", 1) == 0 for value in given)
    return np.ndim(given) == 1


def weights(inputs: Inputs, of: Targets) -> Array:
    """The sum of the weights of each output's targets that count, (B,) or (B, T). Without weights,
    the number of these targets."""
    _, classes, weight = of
    every_step = inputs.spec.every_step
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


def of_last_steps(
    inputs: Inputs, of: Targets, slopes: Array | None
) -> tuple[Targets, Array | None]:
    """The targets, or dL/dy, of the last step of every sequence alone."""
    lengths = np.full(inputs.count, inputs.time) if inputs.lengths is None else inputs.lengths
    last = np.arange(inputs.time) == lengths[:, None] - 1
    rows = (last[inputs.steps] if inputs.listed else last.ravel())[:, None]
    if slopes is not None:
        slopes = np.where(rows, slopes.reshape(len(rows), -1), 0).astype(slopes.dtype)
        return of, slopes
    target, classes, weight = of
    if weight is None:
        weight = np.ones((len(rows), width_of(inputs)), inputs.spec.dtype)
    return (target, classes, np.where(rows, weight, 0).astype(inputs.spec.dtype)), None


def width_of(inputs: Inputs) -> int:
    """How many targets belong to the outputs of a step (or of a sequence)."""
    assert inputs.spec.loss is not None
    return inputs.spec.loss.targets(inputs.spec.outputs)


def size_of(inputs: Inputs) -> int:
    """How many numbers the targets of a step (or of a sequence) are, where they are no classes."""
    assert inputs.spec.loss is not None
    return inputs.spec.outputs if inputs.spec.loss.classes else width_of(inputs)


def new_losses(inputs: Inputs) -> Array:
    """An array of zeros for the loss of every target: the core writes those that count."""
    rows = inputs.batch.rows if inputs.spec.every_step else inputs.count
    return np.zeros((rows, width_of(inputs)), inputs.spec.dtype)


def losses_of(inputs: Inputs, losses: Array) -> Array:
    """The same as callers get it: (B, K) or (B, T, K), without a last axis of length 1."""
    if losses.shape[1] == 1:
        losses = losses[:, 0]
    if inputs.spec.every_step and not inputs.listed:
        return losses.reshape(inputs.count, inputs.time, *losses.shape[1:])
    return inputs.padded(losses) if inputs.spec.every_step else losses


def shaped(inputs: Inputs, values: Array) -> Array:
    """What `reals` returned, as (B, K) or (B, T, K)."""
    if not inputs.spec.every_step:
        return values.reshape(inputs.count, -1)
    return inputs.padded(values).reshape(inputs.count, inputs.time, -1)


def check_finite(inputs: Inputs, name: str, values: Array) -> None:
    """Raise an error where a number of a counted output is not finite; `values` as from `reals`."""
    where = inputs.counted[:, :, None] if inputs.spec.every_step else None
    check.all_finite(name, shaped(inputs, values), where)


def explain(inputs: Inputs, y: Any, target_mask: Any = None, sample_weight: Any = None) -> None:
    """Raise the error for a number in x, h0 or y that the core cannot work with."""
    inputs.explain()
    spec, loss = inputs.spec, inputs.spec.loss
    assert loss is not None
    of = target, classes, weight = targets(inputs, y, target_mask, sample_weight)
    counts = weights(inputs, of) > 0
    if classes is not None:
        by_step = spec.every_step and inputs.listed
        values = inputs.padded(classes) if by_step else classes.reshape(counts.shape)
        try:
            check.within("y", "classes", values, 0, spec.outputs - 1, counts)
        except ValueError as error:
            raise ValueError(f"{error}; output_size is the number of classes") from None
    elif not loss.classes:  # of probabilities of classes, `targets` has checked all
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
