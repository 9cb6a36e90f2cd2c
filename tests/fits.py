"""Data and networks for tests of fits."""

import numpy as np

import rnncore as rc

KINDS = ["RNN", "LSTM", "GRU"]


def data(B=30, T=9, D=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((B, T, D)), rng.standard_normal((B, 1))


def network(kind="RNN", dtype="float64", **options):
    return getattr(rc, kind)(2, 4, 1, loss="mse", dtype=dtype, seed=0, **options)


def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])


def made_equal(of, tie):
    """Give all entries that share a value that of the first of them, in a network or population."""
    for m in range(len(of)) if isinstance(of, rc.Population) else [None]:
        net, first = of if m is None else of[m], {}
        for name, values in net.parameters().items():
            labels = np.broadcast_to(tie.get(name, -1), values.shape)
            for at, label in np.ndenumerate(labels):
                if label >= 0:
                    values[at] = first.setdefault(int(label), values[at])
    return of


def one_step(net, x, y, **options):
    """What one update of plain descent at lr 1 takes from the parameters: the gradient."""
    before = net.flat.copy()
    net.fit(x, y, epochs=1, batch_size=len(x), optimizer="sgd", lr=1.0, **options)
    step, net.flat[:] = before - net.flat, before
    return step


def overflowing(scale, **options):
    """A fit whose validation loss is inf - inf while the recurrent weights are large. They decay,
    and nothing else happens to them: there is nothing to learn."""
    net = rc.RNN(1, 2, 1, nonlinearity="identity", bias=False, loss="mse", seed=0)
    p = net.parameters()
    p["weight_ih_l0"][:], p["weight_hh_l0"][:] = 1, scale * np.diag([1, 0.9])
    p["head.weight"][:] = 1, -1
    history = net.fit(
        np.zeros((4, 2, 1)), np.zeros(4), optimizer="sgd", lr=0.1, weight_decay=0.5,
        validation=(np.ones((2, 400, 1)), np.ones(2)), **options,
    )  # fmt: skip
    return net, history
