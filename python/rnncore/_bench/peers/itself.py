"""rnncore through its public calls, checks and all."""

from __future__ import annotations

import numpy as np

from rnncore._bench.grid import CELLS
from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array
from rnncore._version import __version__


class Itself(Peer):
    """``net.loss_and_grad``, ``net.predict`` and ``net.step``."""

    name = "rnncore"
    cells = tuple(CELLS)
    stacks = True
    version = __version__

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        return [Contestant("loss_and_grad", lambda: net.loss_and_grad(x, y), loss_and_grads)]

    def ragged(self, net: Network, x: Array, y: Array, lengths: Array) -> list[Contestant]:
        return [
            Contestant("lengths", lambda: net.loss_and_grad(x, y, lengths=lengths), loss_and_grads)
        ]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        return [Contestant("predict", lambda: net.predict(x), lambda y: {"y": y})]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        steps = list(x)

        def run() -> list[Array]:
            state, outputs = None, []
            for x_t in steps:
                y_t, state = net.step(x_t, state)
                outputs.append(y_t)
            return outputs

        return [Contestant("step", run, lambda outputs: {"y": np.concatenate(outputs)})]


def loss_and_grads(result: tuple[float, dict[str, Array]]) -> Answer:
    return {"loss": np.array(result[0]), **result[1]}
