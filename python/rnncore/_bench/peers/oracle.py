"""Plain Python from the equations: no library at all, floats and lists.

    a_t = W_ih x_t + b + W_hh h_{t-1},   h_t = tanh(a_t),   y = w_y h_T + b_y
    dL/da_t = (1 - h_t^2) dL/dh_t,   dL/dh_{t-1} = W_hh^T dL/da_t
    dL/dW = sum_t dL/da_t [x_t ; h_{t-1}]^T

It is a reference that rnncore has to agree with, and shows what a loop in Python costs. It is
slow, so it takes part in small rows only.
"""

from __future__ import annotations

import platform
from math import exp, log1p, tanh

import numpy as np

from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array

Vector = list[float]

#: The overhead of a step, in multiplications; and how many multiplications a call may have, about
#: 30 ms.
STEP, MOST = 10, 300_000


class Oracle(Peer):
    """Loops over lists."""

    name = "oracle"
    version = platform.python_version()

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        if too_large(net, 3 * x.shape[0] * x.shape[1]):
            return []
        elman, rows, targets = Elman(net), x.tolist(), y.tolist()
        return [Contestant("lists", lambda: elman.loss_and_grad(rows, targets), arrays)]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        if too_large(net, x.shape[0] * x.shape[1]):
            return []
        elman, rows = Elman(net), x.tolist()

        def run() -> Vector:
            return [elman.read_out(elman.states(sequence)[-1]) for sequence in rows]

        return [Contestant("lists", run, lambda y: {"y": np.array(y)})]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        elman, steps = Elman(net), x.tolist()

        def run() -> Vector:
            h, outputs = elman.start, []
            for x_t in steps:
                h = elman.step(x_t, h)
                outputs.append(elman.read_out(h))
            return outputs

        return [Contestant("lists", run, lambda y: {"y": np.array(y)})]


def too_large(net: Network, steps: int) -> bool:
    return (STEP + net.hidden_size * (net.input_size + net.hidden_size)) * steps > MOST


def dot(left: Vector, right: Vector) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


class Elman:
    """The network as lists; `w` (H, D + H) acts on [x_t ; h_{t-1}]."""

    def __init__(self, net: Network) -> None:
        p = net.state_dict()
        self.w = np.hstack([p["weight_ih_l0"], p["weight_hh_l0"]]).tolist()
        self.w_hh_t = p["weight_hh_l0"].T.tolist()
        self.b = (p["bias_ih_l0"] + p["bias_hh_l0"]).tolist()
        self.w_y: Vector = p["head.weight"][0].tolist()
        self.b_y = float(p["head.bias"][0])
        self.start = [0.0] * net.hidden_size

    def step(self, x_t: Vector, h: Vector) -> Vector:
        u = x_t + h
        return [tanh(dot(row, u) + b) for row, b in zip(self.w, self.b, strict=True)]

    def states(self, sequence: list[Vector]) -> list[Vector]:
        """h_0 .. h_T"""
        h = [self.start]
        for x_t in sequence:
            h.append(self.step(x_t, h[-1]))
        return h

    def read_out(self, h: Vector) -> float:
        return dot(self.w_y, h) + self.b_y

    def loss_and_grad(
        self, batch: list[list[Vector]], targets: Vector
    ) -> tuple[float, list[Vector], Vector, Vector, float]:
        """The mean loss and its gradients: of w, b, w_y and b_y."""
        g_w = [[0.0] * len(row) for row in self.w]
        g_b, g_y, g_by, loss = [0.0] * len(self.b), [0.0] * len(self.b), 0.0, 0.0
        for sequence, d in zip(batch, targets, strict=True):
            h = self.states(sequence)
            z = self.read_out(h[-1])
            loss += (log1p(exp(-abs(z))) + max(z, 0) - d * z) / len(batch)
            dz = (1 / (1 + exp(-z)) - d) / len(batch)
            g_by += dz
            g_y = [g + dz * v for g, v in zip(g_y, h[-1], strict=True)]
            dh = [dz * w for w in self.w_y]
            for t in range(len(sequence), 0, -1):
                da = [(1 - v * v) * s for v, s in zip(h[t], dh, strict=True)]
                u = sequence[t - 1] + h[t - 1]
                for row, d in zip(g_w, da, strict=True):
                    row[:] = [g + d * v for g, v in zip(row, u, strict=True)]
                g_b = [g + d for g, d in zip(g_b, da, strict=True)]
                dh = [dot(column, da) for column in self.w_hh_t]
        return loss, g_w, g_b, g_y, g_by


def arrays(result: tuple[float, list[Vector], Vector, Vector, float]) -> Answer:
    loss, g_w, g_b, g_y, g_by = result
    w, H = np.array(g_w), len(g_b)
    return {
        "loss": np.array(loss),
        "weight_ih_l0": w[:, :-H],
        "weight_hh_l0": w[:, -H:],
        "bias_ih_l0": np.array(g_b),
        "bias_hh_l0": np.array(g_b),
        "head.weight": np.array([g_y]),
        "head.bias": np.array([g_by]),
    }
