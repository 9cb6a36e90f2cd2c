"""States that callers pass: their shapes, and as the core takes them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.spec import Spec
from rnncore._types import Array


def state_array(spec: Spec, name: str, given: Any, count: tuple[int, ...]) -> Array:
    """h or c with all its rows. As in ``h0=``, the axis of rows may be left out where there is one
    row, and so may the states before each layer's latest, which are then zeros."""
    H, values = spec.hidden_size, check.array(name, given)
    shapes = [shape_of_state(spec, count)]
    if spec.history > 1:
        shapes.append((*count, spec.passes, H))
    if spec.passes == 1:
        shapes.append((*count, H))
    check.same_shape(name, values, *shapes)
    values = check.as_real(values, spec.dtype)
    if values.shape != shapes[0]:
        latest = values.reshape(*count, spec.passes, H)
        values = np.zeros((*count, spec.passes, spec.history, H), spec.dtype)
        values[..., 0, :] = latest
    return values.reshape(shapes[0])


def shape_of_state(spec: Spec, count: tuple[int, ...]) -> tuple[int, ...]:
    return (*count, spec.state_rows, spec.hidden_size)
