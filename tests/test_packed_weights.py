"""Packed weights are kept from call to call: every answer is that of the parameters as they are."""

import copy
import random

import numpy as np
import pytest

import rnncore as rc

NETWORKS = {
    "rnn": lambda dtype: rc.RNN(3, 1, 2, loss="mse", dtype=dtype, seed=0),
    "gru": lambda dtype: rc.GRU(3, 9, 2, loss="mse", dtype=dtype, seed=0),
    "lstm": lambda dtype: rc.LSTM(3, 8, 2, num_layers=2, loss="mse", dtype=dtype, seed=0),
    "both": lambda dtype: rc.GRU(3, 5, 2, bidirectional=True, loss="mse", dtype=dtype, seed=0),
}


def questions(x, y, tokens):
    """Calls whose weights are packed in one way or another; of one sequence, a few and many."""
    return [
        *(lambda net, n=n: net.predict(x[:n]).tobytes() for n in (1, 2, 40)),
        lambda net: net(x[:1]).hidden.tobytes(),
        lambda net: net.predict(tokens).tobytes(),
        lambda net: net.loss(x[:1], y[:1]),
        lambda net: net.loss_and_grad(x[:1], y[:1])[1]["weight_hh_l0"].tobytes(),
        lambda net: net.vjp(x[:2], y[:2])[1].tobytes(),
        lambda net: net.linearize(x[:1])[1](dy=y[:1])[1].tobytes(),
        lambda net: net.predict(x, threads=2).tobytes(),
    ]


def changes(net, exposed, x, y):
    """What may happen to the parameters between two calls; some of it writes to views unnoticed."""
    other = {name: 0.5 * value for name, value in net.state_dict().items()}
    seen = [
        lambda: net.load_state_dict(other),
        lambda: net.fit(x, y, epochs=1, lr=0.01),
    ]
    if exposed:
        flat = net.flat
        weight = net.parameters()["weight_hh_l0"]
        seen += [
            lambda: flat.__setitem__(slice(None), flat[::-1].copy()),
            lambda: weight.__setitem__((0, 0), weight[0, 0] + 1),
            lambda: np.negative(weight, out=weight),
        ]
    return [*seen, lambda: None, lambda: None]


@pytest.mark.parametrize("exposed", [False, True], ids=["alone", "exposed"])
@pytest.mark.parametrize("name", NETWORKS)
def test_answers_are_those_of_a_copy_that_packs_anew(build, dtype, name, exposed):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 6, 3)).astype(dtype)
    y = rng.standard_normal((40, 2)).astype(dtype)
    tokens = rng.integers(0, 3, (1, 6))
    net, draw = NETWORKS[name](dtype), random.Random(name)
    asked, changed = questions(x, y, tokens), changes(net, exposed, x, y)
    for k in range(200):
        ask = draw.choice(asked)
        assert ask(net) == ask(copy.deepcopy(net)), k
        draw.choice(changed)()


def test_weights_are_packed_anew_where_one_number_has_changed(build, dtype):
    """The first and the last one, and back again."""
    net = rc.GRU(3, 9, 2, dtype=dtype, seed=0)
    x = np.ones((1, 4, 3), dtype)
    first = net.predict(x)
    for k in (0, net.flat.size - 1):
        before = net.flat[k]
        net.flat[k] += 1
        assert np.any(net.predict(x) != first)
        net.flat[k] = before
        assert np.array_equal(net.predict(x), first)
