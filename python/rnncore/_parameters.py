"""Names, shapes and places of a network's parameters, and their first values."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from rnncore import _checks as check
from rnncore._checks import Array

Shapes = dict[str, tuple[int, ...]]


#: Cell -> how many blocks of H rows its weights have, one for each gate.
GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}


def parameter_shapes(
    kind: str, input_size: int, hidden_size: int, output_size: int | None, *, bias: bool
) -> Shapes:
    """PyTorch's names and shapes, in the order of the flat vector."""
    rows = GATES[kind] * hidden_size
    shapes: Shapes = {
        "weight_ih_l0": (rows, input_size),
        "weight_hh_l0": (rows, hidden_size),
    }
    if bias:
        shapes |= {"bias_ih_l0": (rows,), "bias_hh_l0": (rows,)}
    if output_size is not None:
        shapes["head.weight"] = (output_size, hidden_size)
        if bias:
            shapes["head.bias"] = (output_size,)
    return shapes


def total(shapes: Shapes) -> int:
    return sum(prod(shape) for shape in shapes.values())


def views(flat: Array, shapes: Shapes) -> dict[str, Array]:
    """Each parameter as a view into the flat vector, one after another."""
    result, at = {}, 0
    for name, shape in shapes.items():
        size = prod(shape)
        result[name] = flat[at : at + size].reshape(shape)
        at += size
    return result


def checked_state(given: Any, shapes: Shapes, dtype: np.dtype[Any]) -> dict[str, Array]:
    """A state dict's arrays in the network's precision, or an error that names the entry."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"state_dict: expected a mapping of names to arrays, got {check.kind(given)}"
        )
    missing = [name for name in shapes if name not in given]
    extra = [str(name) for name in given if name not in shapes]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"missing {', '.join(missing)}")
        if extra:
            parts.append(f"not expected {', '.join(extra)}")
        raise ValueError(f"state_dict: expected {', '.join(shapes)}; {'; '.join(parts)}")
    return {
        name: checked_array(f"state_dict[{name!r}]", given[name], shape, dtype)
        for name, shape in shapes.items()
    }


def checked_array(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A copy (for what is given may be a view of the network) in the network's precision."""
    values = check.array(name, given)
    check.same_shape(name, values, shape)
    result = check.as_real(values, dtype).copy()
    check.all_finite(name, result)
    return result
