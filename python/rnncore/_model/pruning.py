"""A network without some of its units.

The function with a ``self`` is a method of a network; see `rnncore._networks.network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.model import HasModel, Model
from rnncore._types import Array

N = TypeVar("N", bound=HasModel)


def prune(self: N, units: Any) -> N:
    """The network without some of its hidden units: a smaller one, with the other rows and columns.

    What a unit gives to the others, to the next layer and to the read-out is then missing, as if it
    were 0 at every step. ``small.loss(x, y) - net.loss(x, y)`` is what it costs.

    Parameters
    ----------
    units : sequence of int, or dict of str to sequence of int
        Which units to remove, counted from 0. Of several layers, or both directions, a dict by the
        names that `trace` gives them ("l0", "l0_reverse", "l1", ...) with an entry for each; since
        all have the same number of units, as many must be removed from each.

    Returns
    -------
    network
        A new one of the same class and precision; this one does not change.

    Raises
    ------
    TypeError, ValueError
        If a unit does not exist or is named twice, if none would be left, or if numbers differ.

    Examples
    --------
    Which unit of four is needed least?

    >>> import numpy as np, rnncore as rc
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((50, 10, 2))
    >>> net = rc.GRU(2, 4, 1, loss="mse", seed=0)
    >>> history = net.fit(x, x[:, -1, 0], epochs=40, lr=0.02, rng=0)
    >>> costs = [net.prune([k]).loss(x, x[:, -1, 0]) - net.loss(x, x[:, -1, 0]) for k in range(4)]
    >>> small = net.prune([int(np.argmin(costs))])
    >>> small.hidden_size, small.parameters()["weight_hh_l0"].shape
    (3, (9, 3))
    """
    model = self._model
    kept = units_kept(model, units)
    H = len(next(iter(kept.values())))
    flat = np.concatenate([part_of(model, name, kept).ravel() for name in model.parameters])
    rest = {name: value for name, value in vars(self).items() if name != "_model"}
    small = type(self).__new__(type(self))
    small._model = model.changed(hidden_size=H)
    small._model.flat[:] = flat
    vars(small).update(rest)
    return small


def units_kept(model: Model, units: Any) -> dict[str, Array]:
    """The units that are left, by layer and direction."""
    spec = model.spec
    directions = ("", "_reverse")[: spec.directions]
    names = [f"l{k}{d}" for k in range(model.config["num_layers"]) for d in directions]
    if len(names) == 1 and not isinstance(units, Mapping):
        units = {names[0]: units}
    if not isinstance(units, Mapping):
        raise TypeError(
            f"units: expected a dict with the units of {check.names(names)}, got "
            f"{check.kind(units)}"
        )
    given = check.entries("units", units)
    if set(given) != set(names):
        raise ValueError(
            f"units: expected an entry for each of {check.names(names)}, got {check.names(given)}"
        )
    labels = [f"units[{name!r}]" for name in names] if len(names) > 1 else ["units"]
    kept = {
        name: others(label, given[name], spec.hidden_size)
        for name, label in zip(names, labels, strict=True)
    }
    if len({len(left) for left in kept.values()}) > 1:
        counts = ", ".join(f"{spec.hidden_size - len(kept[name])} of {name}" for name in names)
        raise ValueError(f"units: expected as many of every layer and direction, got {counts}")
    return kept


def others(name: str, given: Any, size: int) -> Array:
    """The units of `size` that are not given."""
    values = check.array(name, given)
    if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
        raise TypeError(
            f"{name}: expected a sequence of integers, got {values.shape} of {values.dtype}"
        )
    check.within(name, "units", values, 0, size - 1)
    if len(np.unique(values)) < len(values):
        raise ValueError(f"{name}: expected each unit once, got {check.shown(values.tolist())}")
    left = np.delete(np.arange(size), values.astype(int))
    if not len(left):
        raise ValueError(f"{name}: expected at least one unit to be left, got all {size}")
    return left


def part_of(model: Model, name: str, kept: dict[str, Array]) -> Array:
    """What is left of a parameter."""
    values, H, directions = model.parameters[name], model.spec.hidden_size, model.spec.directions
    if name == "head.bias":
        return values
    if name in ("h0", "c0"):
        return np.stack([row[left] for row, left in zip(values, kept.values(), strict=True)])
    layers = list(kept)
    if name == "head.weight":
        return values[:, side_by_side(list(kept.values())[-directions:], H)]
    kind, layer = name.rsplit("_l", 1)
    axis = -1 if kind.startswith("bias") else -2
    rows = side_by_side([kept[f"l{layer}"]] * (values.shape[axis] // H), H)
    values = values.take(rows, axis)
    below = layers.index(f"l{layer}") // directions * directions
    if kind in ("weight_hh", "weight_skip"):
        return values[..., kept[f"l{layer}"]]
    if kind == "weight_ih" and below:
        return values[:, side_by_side([kept[k] for k in layers[below - directions : below]], H)]
    return values


def side_by_side(blocks: list[Array], size: int) -> Array:
    """Indices into blocks of `size` one after another, from those into each."""
    return np.concatenate([k * size + block for k, block in enumerate(blocks)])
