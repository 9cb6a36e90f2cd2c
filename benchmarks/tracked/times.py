"""For asv: the time of every call, and how it compares with numpy's in the same minute."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from .calls import CALLS, gradient, rc


class Times:
    """Seconds of one call."""

    params = tuple(CALLS)
    param_names = ("call",)

    def setup(self, name):
        self.call = CALLS[name]()
        self.call()

    def time_call(self, name):
        self.call()


class Ratios:
    """Seconds of a train step over those of products of its sizes by numpy, taken in turns.

    Both are slowed down by whatever else runs, so the ratio tells more on a shared machine.
    """

    params = ("1, 3, 32, 50", "16, 8, 32, 50", "64, 32, 32, 50")
    param_names = ("H, D, B, T",)
    rounds = 15
    unit = "times numpy's products"

    def track_train_step(self, sizes):
        H, D, B, T = (int(size) for size in sizes.split(","))
        ours = gradient(rc.RNN, H, D, B, T)
        w, u = np.ones((H, D + H), np.float32), np.ones((D + H, B), np.float32)
        da = np.ones((H, B), np.float32)

        def products():
            for _ in range(T):
                w @ u
                w.T @ da
                da @ u.T

        pairs = [(seconds(ours), seconds(products)) for _ in range(self.rounds)]
        fastest = np.min(pairs, axis=0)
        return fastest[0] / fastest[1]


def seconds(call):
    begun = perf_counter()
    call()
    return perf_counter() - begun
