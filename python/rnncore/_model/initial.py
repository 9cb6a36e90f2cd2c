"""First values of a network's parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import CELLS
from rnncore._model.parameters import Shapes, checked_array
from rnncore._types import Array

#: Draws an array of a shape for the parameter of a name.
Draw = Callable[[str, tuple[int, ...], np.random.Generator], Any]
Init = str | Mapping[str, Any] | Draw

STATES = ("h0", "c0")
NAMES = ("torch", "glorot", "orthogonal", "identity", "unit")


def fill(
    views: dict[str, Array], kind: str, init: Any, scale: Any, rng: np.random.Generator
) -> None:
    """Write first values into the parameters, which `views` has by name.

    Raises
    ------
    TypeError, ValueError
        Naming ``init`` or ``init_scale``. Nothing is promised about the views then.
    """
    scale = check.number("init_scale", scale, 0, above=True)
    shapes = {name: view.shape for name, view in views.items()}
    dtype = next(iter(views.values())).dtype
    if isinstance(init, Mapping):
        given = check.entries("init", init)
        extra = [name for name in given if name not in shapes]
        if extra:
            known = ", ".join(shapes)
            raise ValueError(f"init: expected names among {known}; got {check.names(extra)}")
        values = by_torch(shapes, rng)
    elif callable(init):
        values, given = {}, {name: init(name, shape, rng) for name, shape in shapes.items()}
    else:
        values, given = named(check.choice("init", init, NAMES), kind, shapes, scale, rng), {}
    for name, value in given.items():
        values[name] = checked_array(f"init[{name!r}]", value, shapes[name], dtype)
    with np.errstate(over="ignore"):
        for name, view in views.items():
            view[...] = values[name]
            if not np.isfinite(view).all():
                raise ValueError(f"init_scale: expected {name} to be finite, got {scale!r}")


def named(
    name: str, kind: str, shapes: Shapes, scale: float, rng: np.random.Generator
) -> dict[str, Array]:
    """Values by one of the names."""
    if name == "torch":
        return by_torch(shapes, rng)
    hidden, gates = shapes["weight_hh_l0"][1], CELLS[kind].gates
    if name in ("identity", "unit") and kind != "RNN":
        raise ValueError(f"init: expected {name!r} for an RNN only, got it for a {kind}")
    if name == "unit" and hidden != 1:
        raise ValueError(f"init: expected 'unit' for hidden_size 1 only, got hidden_size {hidden}")
    values = {}
    for key, shape in shapes.items():
        if key in STATES:
            values[key] = np.zeros(shape)
        elif not key.startswith("weight_hh") or name == "glorot":
            values[key] = glorot(shape, 1 if key.startswith("head.") else gates, rng)
        elif name == "orthogonal":
            blocks = [orthogonal(hidden, rng) for _ in range(gates)]
            values[key] = scale * np.concatenate(blocks)
        else:
            values[key] = scale * np.eye(hidden)
    return values


def by_torch(shapes: Shapes, rng: np.random.Generator) -> dict[str, Array]:
    """PyTorch's: everything uniform within 1 / sqrt(H), biases and read-out too; but the first
    states zero."""
    bound = 1 / np.sqrt(shapes["weight_hh_l0"][1])
    return {
        name: np.zeros(shape) if name in STATES else rng.uniform(-bound, bound, shape)
        for name, shape in shapes.items()
    }


def glorot(shape: tuple[int, ...], gates: int, rng: np.random.Generator) -> Array:
    """Uniform within sqrt(6 / (inputs + outputs)) of each gate's matrix; biases zero (Glorot and
    Bengio 2010)."""
    if len(shape) == 1:
        return np.zeros(shape)
    bound = np.sqrt(6 / (shape[0] // gates + shape[1]))
    return rng.uniform(-bound, bound, shape)


def orthogonal(n: int, rng: np.random.Generator) -> Array:
    """A rotation or reflection, all equally likely (Saxe, McClelland and Ganguli 2014)."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    result: Array = q * np.sign(np.diag(r))
    return result
