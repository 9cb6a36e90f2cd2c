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


#: What a network's configuration has where it does not say.
DEFAULTS = {
    "num_layers": 1, "bidirectional": False, "dropout": 0.0, "trainable_h0": False, "skip": None,
}  # fmt: skip


def parameter_shapes(kind: str, config: Mapping[str, Any]) -> Shapes:
    """PyTorch's names and shapes, in the order of the flat vector."""
    config = DEFAULTS | dict(config)
    H, K = config["hidden_size"], config["output_size"]
    rows, width = GATES[kind] * H, config["input_size"]
    directions = ("", "_reverse") if config["bidirectional"] else ("",)
    shapes: Shapes = {}
    for layer in range(config["num_layers"]):
        for direction in directions:
            suffix = f"_l{layer}{direction}"
            shapes[f"weight_ih{suffix}"] = (rows, width)
            shapes[f"weight_hh{suffix}"] = (rows, H)
            if config["skip"] is not None:
                shapes[f"weight_skip{suffix}"] = (H, H)
            if config["bias"]:
                shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (rows,)}
        width = len(directions) * H
    if K is not None:
        shapes["head.weight"] = (K, width)
        if config["bias"]:
            shapes["head.bias"] = (K,)
    if config["trainable_h0"]:
        for name in ("h0", "c0") if kind == "LSTM" else ("h0",):
            shapes[name] = (config["num_layers"] * len(directions), H)
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
    given = check.entries("state_dict", given)
    missing = [name for name in shapes if name not in given]
    extra = [name for name in given if name not in shapes]
    if missing or extra:
        parts = []
        if missing:
            parts.append(f"missing {', '.join(missing)}")
        if extra:
            parts.append(f"not expected {check.names(extra)}")
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
