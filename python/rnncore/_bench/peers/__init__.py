"""Those that rnncore is compared with, one module each.

A peer gets a network and data, and gives back *contestants*: ways of doing the same work, each
the way a good user of that library would write it, with the network's parameters and the data
already in whatever form and layout suits it best; making that form is not timed.  Of several
contestants the fastest takes part.  A library that cannot do a task gives none, a library that
is not installed raises ImportError.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

from rnncore._bench.grid import Row
from rnncore._networks.network import Network
from rnncore._types import Array

#: What a task comes to, by name: "loss" and every gradient; or "y", the logits.
Answer = dict[str, Array]

#: Peer -> its module and class; `rnncore` takes part like the others.
PEERS = {
    "rnncore": ("itself", "Itself"),
    "oracle": ("oracle", "Oracle"),
    "numpy": ("numpy_peer", "Numpy"),
    "numba": ("numba_peer", "Numba"),
    "numba-lanes": ("numba_peer", "NumbaLanes"),
    "torch": ("torch_peer", "Torch"),
    "jax": ("jax_peer", "Jax"),
    "onnxruntime": ("onnxruntime_peer", "OnnxRuntime"),
}

#: Not what users of a library do, but rnncore's design in its words: these stand beside the
#: others and are not among the peers to be beaten.
STUDIES = ("numba-lanes",)


class Contestant(NamedTuple):
    """One way of doing a task: the call that is timed, and how to read what it returns."""

    variant: str
    call: Callable[[], Any]
    answer: Callable[[Any], Answer]


class Peer:
    """One library, told how many threads it may use."""

    name: ClassVar[str]
    cells: ClassVar[tuple[str, ...]] = ("rnn",)  # that it knows
    stacks: ClassVar[bool] = False  # whether it knows layers and both directions
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


def load(name: str, threads: int) -> Peer:
    """A peer by its name; ImportError where its library is not installed."""
    if name not in PEERS:
        raise ValueError(f"peers: expected some of {', '.join(PEERS)}, got {name!r}")
    module, kind = PEERS[name]
    peer: Peer = getattr(import_module(f"{__name__}.{module}"), kind)(threads)
    return peer
