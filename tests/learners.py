"""Networks that learn online, streams for them, and what they are compared with."""

import numpy as np

import rnncore as rc

KINDS = [
    ("RNN", "tanh"), ("RNN", "relu"), ("RNN", "sigmoid"), ("RNN", "identity"), ("GRU", "tanh"),
    ("GRU", "relu"), ("MGU", "tanh"), ("MGU", "relu"), ("LSTM", "tanh"),
]  # fmt: skip
METHODS = ["rtrl", "snap1", "eprop", "uoro"]
LOSSES = ["mse", "bce", "cross_entropy", "huber", "poisson", "gaussian_nll", "soft"]


def made(cell, nonlinearity="tanh", D=2, H=3, K=2, *, loss="mse", dtype="float64", **options):
    options = {"readout": "all", "seed": 1} | options
    if cell != "LSTM":
        options["nonlinearity"] = nonlinearity
    loss = "cross_entropy" if loss == "soft" else loss
    return getattr(rc, cell)(D, H, K, loss=loss, dtype=dtype, **options)


def data(net, T, loss, tokens=False, seed=0):
    """x (T, D) or tokens (T,), and a target for every step."""
    rng, K = np.random.default_rng(seed), net.output_size or net.hidden_size
    D = net.input_size
    x = rng.integers(0, D, T) if tokens else rng.standard_normal((T, D))
    if loss == "cross_entropy":
        return x, rng.integers(0, K, T)
    if loss == "soft":
        return x, rng.dirichlet(np.ones(K), T)
    K = K // 2 if loss == "gaussian_nll" else K
    return x, rng.poisson(1.0, (T, K)) * 1.0 if loss == "poisson" else rng.random((T, K))


def walked(net, x, y, **options):
    """The losses and gradients of all steps, summed."""
    learner, total, sums = net.online(lr=0, **options), 0.0, {}
    for x_t, y_t in zip(x, y, strict=True):
        total += learner.step(x_t, y_t)
        sums = {name: sums.get(name, 0) + g for name, g in learner.gradient.items()}
    return total, sums, learner


def close(got, expected, tolerance):
    assert got.keys() == expected.keys()
    for name in got:
        scale = np.abs(expected[name]).max()
        assert np.abs(got[name] - expected[name]).max() <= tolerance * scale + 1e-300, name


def pair(state):
    return state if isinstance(state, tuple) else (state,)
