"""Small networks to fit, and what one update takes from their parameters."""

import numpy as np

import rnncore as rc

KINDS = ["RNN", "LSTM", "GRU"]


def data(B=30, T=9, D=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((B, T, D)), rng.standard_normal((B, 1))


def network(kind="RNN", dtype="float64", **options):
    return getattr(rc, kind)(2, 4, 1, loss="mse", dtype=dtype, seed=0, **options)


def one_step(net, x, y, **options):
    """What one update of plain descent at lr 1 takes from the parameters: the gradient."""
    before = net.flat.copy()
    net.fit(x, y, epochs=1, batch_size=len(x), optimizer="sgd", lr=1.0, **options)
    step, net.flat[:] = before - net.flat, before
    return step


def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])
