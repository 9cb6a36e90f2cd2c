"""Names, shapes and places of a network's parameters, and access to them by name."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NoReturn

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import Cell
from rnncore._types import Array

Shapes = dict[str, tuple[int, ...]]

#: Values of arguments that the configuration in an older file may lack.
DEFAULTS = {
    "num_layers": 1, "bidirectional": False, "dropout": 0.0, "trainable_h0": False, "skip": None,
    "readout_bias": None, "recurrent_dropout": 0.0, "zoneout": 0.0,
    "switching": False,
}  # fmt: skip


def parameter_shapes(cell: Cell, config: Mapping[str, Any]) -> Shapes:
    """The parameters' names and shapes, as in PyTorch, in the order of the flat vector."""
    config = DEFAULTS | dict(config)
    H, K = config["hidden_size"], config["output_size"]
    rows, width = cell.blocks * H, config["input_size"]
    directions = ("", "_reverse") if config["bidirectional"] else ("",)
    every = (width,) if config["switching"] else ()  # token
    shapes: Shapes = {}
    for layer in range(config["num_layers"]):
        for direction in directions:
            suffix = f"_l{layer}{direction}"
            shapes[f"weight_ih{suffix}"] = (rows, width)
            shapes[f"weight_hh{suffix}"] = (*every, rows, H)
            if config["skip"] is not None:
                shapes[f"weight_skip{suffix}"] = (H, H)
            if config["bias"]:
                shapes |= {f"bias_ih{suffix}": (rows,), f"bias_hh{suffix}": (*every, rows)}
        width = len(directions) * H
    if K is not None:
        shapes["head.weight"] = (K, width)
        if has_readout_bias(config):
            shapes["head.bias"] = (K,)
    if config["trainable_h0"]:
        for name in ("h0", "c0")[: cell.states]:
            shapes[name] = (config["num_layers"] * len(directions), H)
    return shapes


def has_readout_bias(config: Mapping[str, Any]) -> bool:
    """Whether a read-out, where there is one, has a bias: as the layers do, or as it was said."""
    own = config["readout_bias"]
    return bool(config["bias"] if own is None else own)


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


def checked_array(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A copy in the network's precision: what is passed may be a view of the network itself."""
    values = check.array(name, detached(name, given))
    check.same_shape(name, values, shape)
    result = check.as_real(values, dtype).copy()
    check.all_finite(name, result)
    return result


def detached(name: str, given: Any) -> Any:
    """A tensor of PyTorch (which is not imported here) in a form that numpy reads: without its
    graph, in main memory, and not in bfloat16, which numpy lacks. Anything else is unchanged."""
    try:
        if not (hasattr(given, "detach") and hasattr(given, "cpu")):
            return given
        values = given.detach().cpu()
        return values.float() if str(values.dtype) == "torch.bfloat16" else values
    except Exception as error:  # raised by the object itself
        raise TypeError(
            f"{name}: expected an array, got {check.kind(given)}{check.why(error)}"
        ) from error


class Parameters(dict[str, Array]):
    """A network's parameters by name: views into its flat vector.

    ``p[name] = values`` writes into the view, in the network's precision. Names can be neither
    added nor removed. Copies (``dict(p)``, ``p.copy()``, by pickle or `copy`) are plain dicts.
    """

    def __setitem__(self, name: str, values: Any) -> None:
        self.update({name: values})

    def update(self, *others: Any, **named: Any) -> None:
        """Write all values, or none where one of them is not valid."""
        checked = {
            name: self._checked(name, values) for name, values in dict(*others, **named).items()
        }
        for name, values in checked.items():
            self[name][...] = values

    def _checked(self, name: str, values: Any) -> Array:
        if name not in self:
            known = ", ".join(self)
            raise ValueError(f"parameters(): expected one of {known}; got {check.shown(name)}")
        view = self[name]
        if values is view:  # as after p[name] += 1, which has already written to the view
            return self[name]
        return checked_array(f"parameters()[{name!r}]", values, view.shape, view.dtype)

    def __ior__(self, other: Any) -> Parameters:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Array:
        if name not in self:
            self[name] = default  # raises the error
        return self[name]

    def __delitem__(self, name: str) -> NoReturn:
        raise TypeError("parameters(): a network's parameters cannot be removed")

    def pop(self, name: str, *default: Any) -> NoReturn:
        self.__delitem__(name)

    def popitem(self) -> NoReturn:
        self.__delitem__("any")

    def clear(self) -> NoReturn:
        self.__delitem__("all")

    def __reduce__(self) -> tuple[type, tuple[dict[str, Array]]]:
        return dict, (dict(self),)
