"""``tie=`` of a fit: entries of parameters that share one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data.inputs import as_index
from rnncore._model.model import Model
from rnncore._model.parameters import views
from rnncore._types import Array


class Ties(NamedTuple):
    """Which entries of the flat vector share a value."""

    labels: Array  # (P,) the number of each entry's group; negative: it is in none
    leader: Array  # (P,) the entry whose value each has: the first of its group, or its own
    dtype: np.dtype[Any]  # of the values

    @property
    def followers(self) -> Array:
        """The entries that have the value of another one."""
        return np.flatnonzero(self.leader != np.arange(len(self.leader)))

    def unequal(self, values: Array) -> Array:
        """The followers at which `values` (P,) are not those of their leaders."""
        rest = self.followers
        result: Array = rest[values[rest] != values[self.leader[rest]]]
        return result


def tie_settings(tie: Any) -> Any:
    """What is tied, in the settings."""
    if not isinstance(tie, Mapping):
        return None
    return {check.shown(k): np.asarray(v).tolist() for k, v in tie.items()}


def tied_parameters(tie: Any, model: Model) -> Ties | None:
    """The groups of entries that an argument names; None where there are none.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    if tie is None:
        return None
    if not isinstance(tie, Mapping):
        raise TypeError(f"tie: expected a mapping of names to integers, got {check.kind(tie)}")
    labels = np.full(model.flat.size, -1, np.int64)
    by_name = views(labels, model.shapes)
    for name, given in check.entries("tie", tie).items():
        if name not in by_name:
            raise ValueError(f"tie: expected one of {', '.join(by_name)}; got {check.shown(name)}")
        values = check.array(f"tie[{name!r}]", given)
        if values.dtype.kind not in "iu":
            raise TypeError(f"tie[{name!r}]: expected integers, got dtype {values.dtype}")
        if values.shape not in ((), by_name[name].shape):
            raise ValueError(
                f"tie[{name!r}]: expected an integer or integers {by_name[name].shape}, got shape "
                f"{values.shape}"
            )
        by_name[name][...] = as_index(values)
    leader = np.arange(len(labels), dtype=np.int64)
    grouped = np.flatnonzero(labels >= 0)
    _, first, which = np.unique(labels[grouped], return_index=True, return_inverse=True)
    leader[grouped] = grouped[first[which]]
    ties = Ties(labels, leader, model.spec.dtype)
    return ties if len(ties.followers) else None


def check_equal(ties: Ties | None, model: Model, flat: Array, who: str = "") -> None:
    """Raise a ValueError where entries that share a value do not have the same, in one vector of
    parameters (P,)."""
    if ties is None or not len(wrong := ties.unequal(flat)):
        return
    i, k = int(wrong[0]), int(ties.leader[wrong[0]])
    raise ValueError(
        f"{who}tie: expected equal values in group {ties.labels[i]}, got {flat[k]} in "
        f"{entry(model, k)} and {flat[i]} in {entry(model, i)}"
    )


def entry(model: Model, i: int) -> str:
    """The name and index of an entry of the flat vector."""
    for name, where in views(np.arange(model.flat.size), model.shapes).items():
        if where.size and where.flat[0] <= i <= where.flat[-1]:
            at = np.unravel_index(i - int(where.flat[0]), where.shape)
            return f"{name}{[int(n) for n in at]}"
    raise IndexError(i)


def check_shared(name: str, ties: Ties | None, values: Array | None) -> None:
    """Raise a ValueError where an option differs within a group: values are (P,), or a row (P,) for
    each member."""
    if ties is None or values is None:
        return
    for row in np.unique(np.atleast_2d(values), axis=0):
        wrong = ties.unequal(row)
        if not len(wrong):
            continue
        group = ties.labels[wrong[0]]
        if name == "freeze":
            raise ValueError(f"freeze: expected all of group {group} of tie=, or nothing of it")
        raise ValueError(
            f"{name}: expected one strength for group {group} of tie=, got "
            f"{row[ties.leader[wrong[0]]]:g} and {row[wrong[0]]:g}"
        )


def without_followers(ties: Ties | None, free: Array | None) -> Array | None:
    """1 for every entry of the flat vector that has a value of its own and may change, else 0; None
    where all do. A value that is shared is its leader's, where it counts once."""
    if ties is None:
        return free
    result = np.ones(len(ties.leader), ties.dtype) if free is None else free.copy()
    result[ties.followers] = 0
    return result
