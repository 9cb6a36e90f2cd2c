"""numpy: batched BPTT by hand, every product a BLAS call into memory allocated beforehand.

The best practice of numpy: time first, so that every step is one contiguous matrix; the input
product, the derivatives of tanh and the weight gradients over all steps at once; in the two loops
over time only what depends on the step before. ``np.dot`` calls BLAS with less overhead than
``np.matmul``, which matters where matrices are small.
"""

from __future__ import annotations

import numpy as np

from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array


class Numpy(Peer):
    """Hand-written forward and backward passes."""

    name = "numpy"
    version = np.__version__

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        tape = Tape(net, x)
        return [
            Contestant("time-first", lambda: tape.loss_and_grad(y), lambda answer: dict(answer))
        ]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        tape = Tape(net, x)
        return [Contestant("time-first", lambda: tape.forward(), lambda y: {"y": y})]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        p = net.state_dict()
        # One product for [x ; h], one row vector at a time.
        w = np.ascontiguousarray(np.hstack([p["weight_ih_l0"], p["weight_hh_l0"]]).T)
        b, w_y, b_y = p["bias_ih_l0"] + p["bias_hh_l0"], p["head.weight"][0], p["head.bias"][0]
        steps, D = list(x), x.shape[1]
        u, a = np.zeros(len(w), x.dtype), np.empty_like(b)
        h = u[D:]

        def run() -> list[float]:
            h[:] = 0
            outputs = []
            for x_t in steps:
                u[:D] = x_t
                np.dot(u, w, out=a)
                np.add(a, b, out=a)
                np.tanh(a, out=h)
                outputs.append(h.dot(w_y) + b_y)
            return outputs

        return [Contestant("dot", run, lambda outputs: {"y": np.array(outputs)})]


class Tape:
    """Parameters, data, and arrays for everything that a pass computes; all are (T, B, ...)."""

    def __init__(self, net: Network, x: Array) -> None:
        p = net.state_dict()
        B, T, D = x.shape
        H, dtype = net.hidden_size, x.dtype
        self.x = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(T * B, D)
        self.w_ih_t = np.ascontiguousarray(p["weight_ih_l0"].T)
        self.w_hh = p["weight_hh_l0"]
        self.w_hh_t = np.ascontiguousarray(self.w_hh.T)
        self.bias = p["bias_ih_l0"] + p["bias_hh_l0"]
        self.w_y, self.b_y = p["head.weight"][0], p["head.bias"][0]
        self.h = np.zeros((T + 1, B, H), dtype)
        self.a = np.empty((T, B, H), dtype)  # W_ih x + b forward, dL/da backward
        self.derivative = np.empty((T, B, H), dtype)
        self.part = np.empty((B, H), dtype)
        self.ones = np.ones(T * B, dtype)

    def forward(self) -> Array:
        """Logits (B,)."""
        h, a, part = self.h, self.a, self.part
        np.dot(self.x, self.w_ih_t, out=a.reshape(len(self.x), -1))
        a += self.bias
        for t in range(len(a)):
            np.dot(h[t], self.w_hh_t, out=part)
            np.add(part, a[t], out=part)
            np.tanh(part, out=h[t + 1])
        logits: Array = h[-1] @ self.w_y + self.b_y
        return logits

    def loss_and_grad(self, y: Array) -> Answer:
        """Binary cross-entropy and its gradients."""
        z = self.forward()
        h, da, f_prime, part = self.h, self.a, self.derivative, self.part
        T, B, H = da.shape
        # log(1 + exp(-|z|)) + max(z, 0) - y z cannot overflow
        loss = (np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - y * z).mean()
        dz = (1 / (1 + np.exp(-z)) - y) / B
        np.multiply(h[1:], h[1:], out=f_prime)
        np.subtract(1, f_prime, out=f_prime)
        dh = np.multiply(dz[:, None], self.w_y, out=part)
        for t in range(T - 1, -1, -1):
            np.multiply(dh, f_prime[t], out=da[t])
            np.dot(da[t], self.w_hh, out=dh)
        flat = da.reshape(T * B, H)
        bias = self.ones @ flat
        return {
            "loss": loss,
            "weight_ih_l0": flat.T @ self.x,
            "weight_hh_l0": flat.T @ h[:-1].reshape(T * B, H),
            "bias_ih_l0": bias,
            "bias_hh_l0": bias,
            "head.weight": (dz @ h[-1])[None],
            "head.bias": dz.sum(keepdims=True),
        }
