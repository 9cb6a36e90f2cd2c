"""Names, shapes and places of a network's parameters, and their first values."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple, NoReturn

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import CELLS
from rnncore._types import Array

Shapes = dict[str, tuple[int, ...]]


#: What a network's configuration has where it does not say.
DEFAULTS = {
    "num_layers": 1, "bidirectional": False, "dropout": 0.0, "trainable_h0": False, "skip": None,
}  # fmt: skip


def parameter_shapes(kind: str, config: Mapping[str, Any]) -> Shapes:
    """PyTorch's names and shapes, in the order of the flat vector."""
    config = DEFAULTS | dict(config)
    H, K = config["hidden_size"], config["output_size"]
    rows, width = CELLS[kind].gates * H, config["input_size"]
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
        for name in ("h0", "c0")[: CELLS[kind].states]:
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


class Parameters(dict[str, Array]):
    """A network's parameters by name: views into its flat vector.

    ``p[name] = values`` writes into the view, in the network's precision. Names are neither added
    nor taken away. Copies (``dict(p)``, ``p.copy()``, by pickle or `copy`) are plain.
    """

    def __setitem__(self, name: str, values: Any) -> None:
        self.update({name: values})

    def update(self, *others: Any, **named: Any) -> None:
        """All of them, or none where one is refused."""
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
        if values is view:  # of p[name] += 1, which has been written by now
            return self[name]
        return checked_array(f"parameters()[{name!r}]", values, view.shape, view.dtype)

    def __ior__(self, other: Any) -> Parameters:  # type: ignore[override,misc]
        self.update(other)
        return self

    def setdefault(self, name: str, default: Any = None) -> Array:
        if name not in self:
            self[name] = default  # an error
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


class Loaded(NamedTuple):
    """What a state dict had, and a network.

    Attributes
    ----------
    missing_keys : list of str
        Entries that the network has and the state dict has not.
    unexpected_keys : list of str
        Entries, of those with the prefix, that the network does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


def checked_state(
    given: Any, shapes: Shapes, dtype: np.dtype[Any], strict: bool = True, prefix: str = ""
) -> tuple[dict[str, Array], Loaded]:
    """A state dict's arrays by the network's names, in its precision, or an error that names the
    entry; of entries whose names begin with the prefix."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"state_dict: expected a mapping of names to arrays, got {check.kind(given)}"
        )
    given = check.entries("state_dict", given)
    named = {prefix + name: name for name in shapes}
    missing = [key for key in named if key not in given]
    extra = [
        key
        for key in given
        if key not in named and (not prefix or (isinstance(key, str) and key.startswith(prefix)))
    ]
    if strict and (missing or extra):
        parts = []
        if missing:
            parts.append(f"missing {', '.join(missing)}")
        if extra:
            parts.append(f"not expected {check.names(extra)}")
        raise ValueError(f"state_dict: expected {', '.join(named)}; {'; '.join(parts)}")
    values = {
        name: checked_array(f"state_dict[{key!r}]", given[key], shapes[name], dtype)
        for key, name in named.items()
        if key in given
    }
    return values, Loaded(missing, extra)


def checked_array(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A copy (for what is given may be a view of the network) in the network's precision."""
    values = check.array(name, detached(name, given))
    check.same_shape(name, values, shape)
    result = check.as_real(values, dtype).copy()
    check.all_finite(name, result)
    return result


def detached(name: str, given: Any) -> Any:
    """A tensor (of PyTorch, which is not imported for it) as one that numpy reads: without its
    graph, in main memory, and no bfloat16, which numpy does not have. Anything else as it is."""
    try:
        if not (hasattr(given, "detach") and hasattr(given, "cpu")):
            return given
        values = given.detach().cpu()
        return values.float() if str(values.dtype) == "torch.bfloat16" else values
    except Exception as error:  # the object's own
        raise TypeError(
            f"{name}: expected an array, got {check.kind(given)}{check.why(error)}"
        ) from error
