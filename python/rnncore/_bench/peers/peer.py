"""What a library does to be compared with rnncore.

A peer is given a network and data and returns *contestants*: functions that do the same work, each
written as a good user of that library would write it. The network's parameters and the data are
converted beforehand to the form and layout that suits the library best; that is not timed. Of
several contestants the fastest one counts. A library that cannot do a task returns none; one that
is not installed raises ImportError, where its module is imported or its peer made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

from rnncore._bench.grid import Row
from rnncore._networks.network import Network
from rnncore._types import Array

#: The results of a task by name: "loss" and every gradient; or "y", the logits.
Answer = dict[str, Array]


class Contestant(NamedTuple):
    """One way of doing a task: the call that is timed, and how to read what it returns."""

    variant: str
    call: Callable[[], Any]
    answer: Callable[[Any], Answer]


class Peer:
    """One library, with the number of threads that it may use."""

    name: ClassVar[str]
    cells: ClassVar[tuple[str, ...]] = ("rnn",)  # that it has
    stacks: ClassVar[bool] = False  # whether it has several layers and both directions
    version: str

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        """The loss and every gradient, from x (B, T, D) and y (B,)."""
        return []

    def ragged(self, net: Network, x: Array, y: Array, lengths: Array) -> list[Contestant]:
        """As `train`, of each sequence its first `lengths` (B,) steps."""
        return []

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        """Logits (B,) of x (B, T, D)."""
        return []

    def step(self, net: Network, x: Array) -> list[Contestant]:
        """Logits (T,) of one stream x (T, D), by T calls from Python."""
        return []

    def contestants(self, row: Row, net: Network, x: Array, y: Array) -> list[Contestant]:
        """For the row's network and task."""
        if row.cell not in self.cells or (row.stacked and not self.stacks):
            return []
        if row.task == "train":
            return self.train(net, x, y)
        if row.task == "ragged":
            return self.ragged(net, x, y, row.lengths())
        return self.forward(net, x) if row.task == "forward" else self.step(net, x[0])
