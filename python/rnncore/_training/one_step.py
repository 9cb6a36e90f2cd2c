"""The input and the target of one step of a stream, as the core takes them."""

from __future__ import annotations

from typing import Any

from rnncore._calls.streaming import are_tokens
from rnncore._checks import arguments as check
from rnncore._data.inputs import as_index
from rnncore._data.outputs import SOFT_TOLERANCE
from rnncore._model.spec import Spec
from rnncore._types import Array


def input_of(spec: Spec, x_t: Any) -> tuple[Array | None, int]:
    """(numbers (D,), 0) or (None, token) for the core."""
    x, D = check.array("x_t", x_t), spec.input_size
    if x.ndim == 0 and are_tokens(spec, x):
        return None, int(as_index(x))
    if x.shape != (D,) or (D > 1 and x.dtype.kind in "iu"):
        raise ValueError(
            f"x_t: expected floats ({D},), or an integer token, got {x.shape} of {x.dtype}"
        )
    return check.as_real(x, spec.dtype), 0


def target_of(spec: Spec, y_t: Any) -> tuple[Array | None, int]:
    """(numbers, -1), or (None, the number of a class) for the core."""
    loss, y = spec.loss, check.array("y_t", y_t)
    assert loss is not None
    if loss.classes and (y.ndim == 0 or y.dtype.kind != "f"):
        check.same_shape("y_t", y, (), hint="; probabilities of classes are floats")
        if y.dtype.kind not in "iu":
            raise TypeError(f"y_t: expected an integer class number, got dtype {y.dtype}")
        return None, max(-1, int(as_index(y)))
    width = spec.outputs if loss.classes else loss.targets(spec.outputs)
    check.same_shape("y_t", y, (width,), *([()] if width == 1 else []))
    target = check.as_real(y.reshape(width), spec.dtype)
    if loss.classes:
        check_probabilities(spec, target)
    return target, -1


def check_probabilities(spec: Spec, target: Array) -> None:
    check.all_finite("y_t", target)
    check.within("y_t", "probabilities", target, 0, float("inf"))
    total = target.sum(dtype=float)
    if abs(total - 1) > SOFT_TOLERANCE[spec.dtype.name]:
        raise ValueError(f"y_t: expected probabilities that sum to 1, got a sum of {total:.6g}")


def explain_target(spec: Spec, target: Array | None, number: int) -> None:
    """Raise the error for a target that the core cannot work with."""
    loss = spec.loss
    assert loss is not None
    if number >= spec.outputs:
        raise ValueError(f"y_t: expected classes from 0 to {spec.outputs - 1}, got {number}")
    if target is not None and not loss.classes:
        check.all_finite("y_t", target)
        check.within("y_t", loss.reading.targets, target, loss.low, loss.high)
