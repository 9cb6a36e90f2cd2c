"""numba: the same equations as compiled loops.

The best practice of numba: everything in one compiled call, memory allocated beforehand, loops
over units so that they vectorise, or BLAS products where matrices are large; relaxed floating
point; on several threads, sequences in ``prange``.  `NumbaLanes` is given rnncore's own layout
instead, blocks of sequences innermost.  The kernels are in ``numba_kernels``.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import scipy

from rnncore._bench.peers import numba_kernels as kernels
from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array

#: Sequences of a block: enough to fill vectors, few enough for the cache.
WIDTH = 32


class Numba(Peer):
    """Compiled loops."""

    name = "numba"
    version = f"{numba.__version__} (scipy {scipy.__version__})"  # whose BLAS it calls

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))

    def kernel(self, function: Any) -> Any:
        """Compiled for the number of threads."""
        return function if self.threads == 1 else kernels.compiled_parallel(function)

    def blocks(self, count: int) -> int:
        """How many blocks need arrays of their own: all of them if they run at once."""
        return 1 if self.threads == 1 else count

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        return [self.train_units(net, x, y), train_blas(net, x, y)]

    def train_units(self, net: Network, x: Array, y: Array) -> Contestant:
        w_ih, w_hh, *rest = weights(net)
        w_ih_t, w_hh_t = transposed(w_ih), transposed(w_hh)
        B, T, D = x.shape
        H, blocks = net.hidden_size, self.blocks(B)
        tape = [np.zeros((blocks, *shape), x.dtype) for shape in ((T + 1, H), (H,), (H,))]
        sums = [
            np.zeros((blocks, *shape), x.dtype) for shape in ((), (D, H), (H, H), (H,), (H + 1,))
        ]
        train = self.kernel(kernels.train_units)

        def run() -> Answer:
            for values in sums:
                values[...] = 0
            train(x, y, w_ih_t, w_hh_t, *rest, *tape, *sums)
            loss, g_ih_t, g_hh_t, g_b, g_y = (values.sum(axis=0) for values in sums)
            return named(B, loss, g_ih_t.T, g_hh_t.T, g_b, g_y)

        return Contestant("units", run, dict)

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        w_ih, w_hh, *rest = weights(net)
        w_ih_t, w_hh_t = transposed(w_ih), transposed(w_hh)
        B, T, D = x.shape
        H = net.hidden_size
        outer = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(T * B, D)
        rows = np.zeros((self.blocks(B), T + 1, H), x.dtype)
        h, a = np.zeros((T + 1, B, H), x.dtype), np.zeros((T, B, H), x.dtype)
        z = np.zeros(B, x.dtype)
        units = self.kernel(kernels.predict_units)
        calls = {
            "units": lambda: units(x, w_ih_t, w_hh_t, *rest, rows, z),
            "blas": lambda: kernels.predict_blas(outer, w_ih_t, w_hh_t, *rest, h, a, z),
        }
        return [Contestant(name, call, lambda _: {"y": z}) for name, call in calls.items()]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        w_ih, w_hh, *rest = weights(net)
        w_t = transposed(np.hstack([w_ih, w_hh]))
        steps, h, u = list(x), np.zeros(net.hidden_size, x.dtype), np.zeros(len(w_t), x.dtype)

        def run() -> list[float]:
            h[:] = 0
            return [kernels.step_units(x_t, w_t, *rest, h, u) for x_t in steps]

        return [Contestant("units", run, lambda outputs: {"y": np.array(outputs)})]


class NumbaLanes(Numba):
    """rnncore's layout without its kernels: the difference to rnncore is what those gain."""

    name = "numba-lanes"

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        w_ih, w_hh, *rest = weights(net)
        B, T, D = x.shape
        H, n = net.hidden_size, min(WIDTH, B)
        blocks = self.blocks(-(-B // n))
        inner = np.ascontiguousarray(x.transpose(1, 2, 0))
        tape = [np.zeros((blocks, *shape), x.dtype) for shape in ((T + 1, H, n), (H, n), (H, n))]
        sums = [
            np.zeros((blocks, *shape), x.dtype) for shape in ((), (H, D), (H, H), (H,), (H + 1,))
        ]
        train = self.kernel(kernels.train_lanes)

        def run() -> Answer:
            for values in sums:
                values[...] = 0
            train(inner, y, w_ih, w_hh, *rest, *tape, *sums)
            return named(B, *(values.sum(axis=0) for values in sums))

        return [Contestant("lanes", run, dict)]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        w_ih, w_hh, *rest = weights(net)
        B, T, _ = x.shape
        H, n = net.hidden_size, min(WIDTH, B)
        inner = np.ascontiguousarray(x.transpose(1, 2, 0))
        blocks = np.zeros((self.blocks(-(-B // n)), T + 1, H, n), x.dtype)
        z = np.zeros(B, x.dtype)
        lanes = self.kernel(kernels.predict_lanes)

        def run() -> None:
            lanes(inner, w_ih, w_hh, *rest, blocks, z)

        return [Contestant("lanes", run, lambda _: {"y": z})]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        return []


def train_blas(net: Network, x: Array, y: Array) -> Contestant:
    w_ih, w_hh, *rest = weights(net)
    B, T, D = x.shape
    H = net.hidden_size
    outer = np.ascontiguousarray(x.swapaxes(0, 1)).reshape(T * B, D)
    shapes = ((T + 1, B, H), (T, B, H), (B, H), (B,), (H, D), (H, H), (H,), (H + 1,))
    arrays = [np.zeros(shape, x.dtype) for shape in shapes]
    w_ih_t, w_hh_t = transposed(w_ih), transposed(w_hh)

    def run() -> Answer:
        loss = kernels.train_blas(outer, y, w_ih_t, w_hh, w_hh_t, *rest, *arrays)
        return named(1, loss, *arrays[-4:])

    return Contestant("blas", run, dict)


def weights(net: Network) -> tuple[Array, Array, Array, Array, Array]:
    """W_ih, W_hh, b, W_y, b_y."""
    p = net.state_dict()
    bias = p["bias_ih_l0"] + p["bias_hh_l0"]
    return p["weight_ih_l0"], p["weight_hh_l0"], bias, p["head.weight"][0], p["head.bias"]


def transposed(matrix: Array) -> Array:
    return np.ascontiguousarray(matrix.T)


def named(count: int, loss: Any, g_ih: Array, g_hh: Array, g_b: Array, g_y: Array) -> Answer:
    """An answer from the sums of the kernels."""
    return {
        "loss": loss / count,
        "weight_ih_l0": g_ih,
        "weight_hh_l0": g_hh,
        "bias_ih_l0": g_b,
        "bias_hh_l0": g_b,
        "head.weight": g_y[None, :-1],
        "head.bias": g_y[-1:],
    }
