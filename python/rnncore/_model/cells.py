"""What describes a cell. The classes of networks in `rnncore._networks` each have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._runtime.builds import core
from rnncore._types import Array

#: By name: the number of the cell in the core, its blocks, and its states; see `Cell`.
IN_CORE: dict[str, tuple[int, int, int]] = core("float32").CELLS

Gates = dict[str, Array]
Function = Callable[[Array], Array]
Config = Mapping[str, Any]

#: What the candidate of a gated cell may be, by name.
CANDIDATES: dict[str, Function] = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}


class KeepingBias(NamedTuple):
    """The bias of a gate with which a cell keeps its state from step to step."""

    argument: str  # of the constructor, that sets it
    sign: int  # of a bias that keeps the state
    state: str  # "h" or "c"


def no_gates(from_x: Array, h: Array, recurrent: Function, f: Function) -> Gates:
    return {}


def candidate_options(config: dict[str, Any]) -> dict[str, Any]:
    """The nonlinearity of a candidate, checked."""
    return {"nonlinearity": check.choice("nonlinearity", config["nonlinearity"], CANDIDATES)}


def no_options(config: dict[str, Any]) -> dict[str, Any]:
    return {}


def no_variant(config: Config) -> None:
    return None


@dataclass(frozen=True)
class Cell:
    """A kind of recurrent unit.

    Attributes
    ----------
    name : str
        In saved files and in errors, and in the core where that has no other.
    options : callable
        ``options(config) -> dict``: the constructor's arguments that only this cell has, checked.
    gates : callable
        ``gates(W_ih x_t + b_ih, h_{t-1}, recurrent, f) -> dict``: the values of the gates by name,
        in numpy, with ``recurrent(h)`` for W_hh h + b_hh and the candidate's nonlinearity f. Used
        to show them; the core forms them itself.
    next_memory : callable or None
        ``next_memory(gates, c_{t-1}) -> c_t``, of a cell whose state is a pair (h, c).
    keeping : KeepingBias or None
    in_core : str
        Its name in the core, where that is another.
    variant : callable
        ``variant(config) -> Cell or None``: which other cell a configuration makes of it.
    """

    name: str
    options: Callable[[dict[str, Any]], dict[str, Any]] = no_options
    gates: Callable[[Array, Array, Function, Function], Gates] = no_gates
    next_memory: Callable[[Gates, Array], Array] | None = None
    keeping: KeepingBias | None = None
    in_core: str = ""
    variant: Callable[[Config], Cell | None] = no_variant

    def of(self, config: Config) -> Cell:
        """The cell that a configuration makes of it."""
        return self.variant(config) or self

    @property
    def number(self) -> int:
        """By which the core knows it."""
        return IN_CORE[self.in_core or self.name][0]

    @property
    def blocks(self) -> int:
        """Blocks of H rows in its weights."""
        return IN_CORE[self.name][1]

    @property
    def states(self) -> int:
        """Arrays that its state consists of: 1 for h, 2 for the pair (h, c)."""
        return IN_CORE[self.name][2]


def logistic(a: Array) -> Array:
    """1 / (1 + exp(-a)) in numpy, without overflow."""
    result: Array = np.exp(-np.logaddexp(0, -a))
    return result
