"""The calls that are tracked, each with data made from a fixed seed, in float32 on one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import rnncore as rc

Call = Callable[[], Any]


def data(B: int, T: int, D: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((B, T, D), np.float32)
    return x, rng.integers(0, 2, B).astype(np.float32)


def gradient(kind: type, H: int, D: int, B: int, T: int, **options: Any) -> Call:
    net, (x, y) = kind(D, H, 1, loss="bce", seed=0, **options), data(B, T, D)
    return lambda: net.loss_and_grad(x, y)


def ragged(kind: type, H: int, D: int, B: int, T: int) -> Call:
    net, (x, y) = kind(D, H, 1, loss="bce", seed=0), data(B, T, D)
    lengths = np.random.default_rng(1).integers(1, T + 1, B)
    return lambda: net.loss_and_grad(x, y, lengths=lengths)


def outputs(kind: type, H: int, D: int, B: int, T: int) -> Call:
    net, (x, _) = kind(D, H, 1, seed=0), data(B, T, D)
    return lambda: net.predict(x)


def step(kind: type, H: int, D: int) -> Call:
    net, x_t = kind(D, H, 1, seed=0), np.ones(D, np.float32)
    state = net.step(x_t)[1]
    return lambda: net.step(x_t, state)


def chunk(kind: type, H: int, D: int, T: int) -> Call:
    net, (x, _) = kind(D, H, 1, seed=0), data(1, T, D)
    return lambda: net.run_stream(x[0])


def epoch(kind: type, H: int, D: int, B: int, T: int) -> Call:
    """Minibatches of 32; the network goes on from where it is, which changes no count."""
    net, (x, y) = kind(D, H, 1, loss="bce", seed=0), data(B, T, D)
    return lambda: net.fit(x, y, epochs=1, shuffle=False, threads=1)


def population(kind: type, members: int, H: int, D: int, B: int, T: int) -> Call:
    pop = rc.Population(kind, members, D, H, 1, loss="bce", seed=0)
    x, y = data(B, T, D)
    return lambda: pop.fit(x, y, epochs=1, shuffle=False, threads=1)


def flow(kind: type, H: int, D: int, B: int, T: int) -> Call:
    net, (x, y) = kind(D, H, 1, loss="bce", seed=0), data(B, T, D)
    return lambda: net.gradient_flow(x, y)


#: Names are the call, the cell, and H, D, B, T as far as there are.
CALLS: dict[str, Callable[[], Call]] = {
    "loss_and_grad RNN 1, 1, 1, 1000": lambda: gradient(rc.RNN, 1, 1, 1, 1000),
    "loss_and_grad RNN 1, 3, 32, 50": lambda: gradient(rc.RNN, 1, 3, 32, 50),
    "loss_and_grad RNN 16, 8, 1, 200": lambda: gradient(rc.RNN, 16, 8, 1, 200),
    "loss_and_grad RNN 16, 8, 32, 50": lambda: gradient(rc.RNN, 16, 8, 32, 50),
    "loss_and_grad RNN 64, 32, 32, 50": lambda: gradient(rc.RNN, 64, 32, 32, 50),
    "loss_and_grad LSTM 16, 8, 32, 50": lambda: gradient(rc.LSTM, 16, 8, 32, 50),
    "loss_and_grad GRU 4, 8, 32, 50": lambda: gradient(rc.GRU, 4, 8, 32, 50),
    "loss_and_grad GRU 16, 8, 32, 50": lambda: gradient(rc.GRU, 16, 8, 32, 50),
    "loss_and_grad GRU x2 bi 8, 8, 32, 50": lambda: gradient(
        rc.GRU, 8, 8, 32, 50, num_layers=2, bidirectional=True
    ),
    "lengths GRU 16, 8, 32, 50": lambda: ragged(rc.GRU, 16, 8, 32, 50),
    "predict LSTM 16, 8, 32, 50": lambda: outputs(rc.LSTM, 16, 8, 32, 50),
    "step RNN 1, 1": lambda: step(rc.RNN, 1, 1),
    "step GRU 16, 8": lambda: step(rc.GRU, 16, 8),
    "run_stream GRU 16, 8, 200": lambda: chunk(rc.GRU, 16, 8, 200),
    "epoch GRU 8, 4, 128, 30": lambda: epoch(rc.GRU, 8, 4, 128, 30),
    "epoch of 32 GRU 2, 4, 32, 30": lambda: population(rc.GRU, 32, 2, 4, 32, 30),
    "gradient_flow RNN 8, 4, 8, 50": lambda: flow(rc.RNN, 8, 4, 8, 50),
}
