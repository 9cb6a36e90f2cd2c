"""Initial values of a network's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import Cell
from rnncore._model.model import Model
from rnncore._model.parameters import Shapes, checked_array
from rnncore._types import Array

#: ``init(name, shape, rng)`` returns the initial values of a parameter.
Draw = Callable[[str, tuple[int, ...], np.random.Generator], Any]
Init = str | Mapping[str, Any] | Draw

STATES = ("h0", "c0")
NAMES = ("torch", "glorot", "orthogonal", "identity", "unit")


def fill(model: Model, init: Any, scale: Any, rng: np.random.Generator) -> None:
    """Write initial values into the parameters of a model.

    Raises
    ------
    TypeError, ValueError
        Naming ``init`` or ``init_scale``. The parameters may then have any values.
    """
    scale = check.number("init_scale", scale, 0, above=True)
    shapes = model.shapes
    if isinstance(init, Mapping):
        given = check.entries("init", init)
        extra = [name for name in given if name not in shapes]
        if extra:
            known = ", ".join(shapes)
            raise ValueError(f"init: expected names among {known}; got {check.names(extra)}")
        values = like_torch(shapes, rng)
    elif callable(init):
        values, given = {}, {name: init(name, shape, rng) for name, shape in shapes.items()}
    else:
        name = check.choice("init", init, NAMES)
        values, given = named(name, model.cell, shapes, scale, rng), {}
    for name, value in given.items():
        values[name] = checked_array(f"init[{name!r}]", value, shapes[name], model.spec.dtype)
    with np.errstate(over="ignore"):
        for name, view in model.parameters.items():
            view[...] = values[name]
            if not np.isfinite(view).all():
                raise ValueError(f"init_scale: expected {name} to be finite, got {scale!r}")


def set_gate_bias(model: Model, name: str, gate: int, value: Any) -> None:
    """Give a gate its bias in every layer; `name` is that of the constructor's argument."""
    if value is None:
        return
    most = float(np.finfo(model.spec.dtype).max)
    value = check.number(name, value, -most, most, above=True)
    if not model.config["bias"]:
        raise ValueError(f"{name}: expected None with bias=False")
    rows = slice(gate * model.spec.hidden_size, (gate + 1) * model.spec.hidden_size)
    for parameter, values in model.parameters.items():
        if parameter.startswith("bias_"):
            values[..., rows] = value if parameter.startswith("bias_ih") else 0


def named(
    name: str, cell: Cell, shapes: Shapes, scale: float, rng: np.random.Generator
) -> dict[str, Array]:
    """The values of one of the `NAMES`."""
    if name == "torch":
        return like_torch(shapes, rng)
    hidden = shapes["weight_hh_l0"][-1]
    if name in ("identity", "unit") and cell.name != "RNN":
        raise ValueError(f"init: expected {name!r} for an RNN only, got it for a {cell.name}")
    if name == "unit" and hidden != 1:
        raise ValueError(f"init: expected 'unit' for hidden_size 1 only, got hidden_size {hidden}")
    values = {}
    for key, shape in shapes.items():
        if key in STATES or "bias" in key:
            values[key] = np.zeros(shape)
        elif not key.startswith("weight_hh") or name == "glorot":
            values[key] = glorot(shape, 1 if key.startswith("head.") else cell.blocks, rng)
        elif name == "orthogonal":
            blocks = [orthogonal(hidden, rng) for _ in range(prod(shape) // hidden**2)]
            values[key] = scale * np.concatenate(blocks).reshape(shape)
        else:
            values[key] = scale * np.eye(hidden)
    return values


def like_torch(shapes: Shapes, rng: np.random.Generator) -> dict[str, Array]:
    """As in PyTorch: everything uniform within 1 / sqrt(H), also biases and the read-out. The
    initial states are zero."""
    bound = 1 / np.sqrt(shapes["weight_hh_l0"][-1])
    return {
        name: np.zeros(shape) if name in STATES else rng.uniform(-bound, bound, shape)
        for name, shape in shapes.items()
    }


def glorot(shape: tuple[int, ...], blocks: int, rng: np.random.Generator) -> Array:
    """Each block of a matrix uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio
    2010)."""
    bound = np.sqrt(6 / (shape[-2] // blocks + shape[-1]))
    return rng.uniform(-bound, bound, shape)


def orthogonal(n: int, rng: np.random.Generator) -> Array:
    """A random orthogonal matrix, all equally likely (Saxe, McClelland and Ganguli 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    result: Array = q * np.sign(np.diag(r))
    return result
