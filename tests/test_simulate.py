"""Simulated choices in an environment that is a table: those of a loop over `step`."""

import math

import numpy as np
import pytest
from randomness import uniform
from states import parts, same

import rnncore as rc
from rnncore import dynamics

KINDS = [
    ("GRU", {}), ("RNN", {}), ("LSTM", {"num_layers": 2, "trainable_h0": True}), ("MGU", {}),
    ("RNN", {"skip": 2, "trainable_h0": True}), ("GRU", {"reset": "before", "bias": False}),
    ("GRU", {"readout": "before", "trainable_h0": True}), ("LSTM", {"readout": "before"}),
    ("RNN", {"readout": "before", "skip": 3, "num_layers": 2}),
    ("MGU", {"num_layers": 2, "bias": False}),
]  # fmt: skip


def network(kind, D, hidden, choices, dtype="float32", **options):
    one = choices == 2 and options.pop("bce", True)
    options = {"readout": "all", "loss": "bce" if one else "cross_entropy"} | options
    net = getattr(rc, kind)(D, hidden, 1 if one else choices, dtype=dtype, seed=1, **options)
    net.flat[:] *= 3
    return net


def table(rng, choices, outcomes, D, trials=None):
    shape = (choices, outcomes) if trials is None else (trials, choices, outcomes)
    p = rng.random(shape) * (rng.random(shape) < 0.8)
    p[..., 0] += 0.1
    return dynamics.Table(rng.standard_normal((choices, outcomes, D)), p / p.sum(-1, keepdims=True))


def pick(p, seed):
    """(an index drawn with probabilities p / sum p, the next seed), in plain Python."""
    u, seed = uniform(seed)
    level, below = u * sum(p), 0.0
    for k in range(len(p) - 1):
        below += p[k]
        if level < below:
            return k, seed
    return len(p) - 1, seed


def by_steps(net, given, trials, x, seed):
    """(inputs, choices, probabilities) of one session, by a loop over `step`."""
    rows, chances = np.asarray(given.inputs).astype(net.dtype), np.asarray(given.probabilities)
    before, state, seen, chosen, likely = net.readout == "before", None, [], [], []
    for t in range(trials):
        y, after = net.step(x, state)
        z = [float(v) for v in y]
        z = [0.0, *z] if len(z) == 1 else z
        p = [math.exp(v - max(z)) for v in z]
        p = [v / sum(p) for v in p]
        c, seed = pick(p, seed)
        o, seed = pick((chances if chances.ndim == 2 else chances[t])[c].tolist(), seed)
        seen.append(rows[c, o] if before else x)
        chosen.append(c)
        likely.append(p)
        x = rows[c, o]
        state = net.step(x, state)[1] if before else after
    return np.array(seen), np.array(chosen), np.array(likely)


@pytest.mark.parametrize("hidden", [1, 20])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_choices_are_those_of_steps(build, dtype, kind, options, hidden):
    rng = np.random.default_rng(hidden)
    for D, choices, outcomes, sessions, trials in (
        (1, 2, 1, 1, 1), (3, 2, 2, 3, 12), (2, 4, 3, 1, 9), (3, 3, 2, 70, 5),
    ):  # fmt: skip
        net = network(kind, D, hidden, choices, dtype, **options)
        given = table(rng, choices, outcomes, D, trials if sessions != 1 else None)
        first = None
        if net.readout != "before" and sessions > 1:
            first = rng.standard_normal((sessions, D)).astype(dtype)
        got = dynamics.simulate(net, given, trials, sessions=sessions, first=first, rng=7)
        seeds = np.random.default_rng(7).integers(2**63, size=sessions)
        assert got.x.dtype == net.dtype
        assert got.choices.shape == (sessions, trials)
        for s in range(sessions):
            x = np.zeros(D, dtype) if first is None else first[s]
            seen, chosen, likely = by_steps(net, given, trials, x, int(seeds[s]))
            assert same(got.x[s], seen)
            assert got.choices[s].tolist() == chosen.tolist()
            np.testing.assert_allclose(got.probabilities[s], likely, rtol=1e-12)


def test_two_logits_and_one_and_their_frequencies():
    bandit = dynamics.Table([[[0, 0], [0, 1]], [[1, 0], [1, 1]]], [[0.8, 0.2], [0.35, 0.65]])
    for bce in (True, False):
        net = network("GRU", 2, 2, 2, bce=bce)
        ran = dynamics.simulate(net, bandit, 40, sessions=2000, rng=3)
        assert (ran.x[:, 0] == 0).all()
        assert (ran.x[:, 1:, 0] == ran.choices[:, :-1]).all()
        paid = ran.x[:, 1:, 1]
        for choice, p in ((0, 0.2), (1, 0.65)):
            assert abs(paid[ran.choices[:, :-1] == choice].mean() - p) < 0.01
        given = dynamics.choice_probabilities(net, ran.x, ran.choices)
        chosen = np.take_along_axis(ran.probabilities, ran.choices[..., None], -1)[..., 0]
        np.testing.assert_allclose(given, chosen, rtol=1e-5)
        assert abs(ran.choices.mean() - ran.probabilities[..., 1].mean()) < 0.01
        again = dynamics.simulate(net, bandit, 40, sessions=2000, rng=3)
        assert all(same(a, b) for a, b in zip(ran, again, strict=True))


def test_what_has_no_probability_never_happens():
    """Also where the probabilities do not sum to 1 exactly."""
    p = np.zeros((2, 12))
    p[:, :10] = 0.1
    inputs = np.zeros((2, 12, 1))
    inputs[:, 10:] = 1
    net = network("RNN", 1, 2, 2)
    ran = dynamics.simulate(net, dynamics.Table(inputs, p), 500, sessions=200, rng=0)
    assert not ran.x.any()


def test_probabilities_may_change_from_trial_to_trial():
    inputs = [[[0], [1]], [[0], [1]]]
    p = np.zeros((30, 2, 2))
    p[:15, :, 0] = p[15:, :, 1] = 1
    net = network("GRU", 1, 2, 2)
    ran = dynamics.simulate(net, dynamics.Table(inputs, p), 30, sessions=5, rng=0)
    assert not ran.x[:, :16].any()
    assert ran.x[:, 16:].all()


def test_tokens_stand_for_rows_of_the_identity():
    rng = np.random.default_rng(0)
    net = network("GRU", 4, 2, 2, trainable_h0=True)
    p = [[0.3, 0.7], [0.5, 0.5]]
    tokens = rng.integers(0, 4, (2, 2))
    a = dynamics.simulate(net, dynamics.Table(tokens, p), 20, sessions=3, rng=1)
    b = dynamics.simulate(net, dynamics.Table(np.eye(4)[tokens], p), 20, sessions=3, rng=1)
    assert all(same(one, other) for one, other in zip(a, b, strict=True))


def test_nothing_else_changes(monkeypatch):
    """The caller's arrays, the network, and what the pieces are that Ctrl-C is noticed between."""
    net, inputs = network("LSTM", 2, 3, 2), np.ones((2, 2, 2))
    p, first = np.full((2, 2), 0.5), np.ones((4, 2), np.float32)
    given = dynamics.Table(inputs, p)
    inputs[:], before = 7, net.flat.copy()
    ran = dynamics.simulate(net, given, 30, sessions=4, first=first, rng=5)
    assert (ran.x == 1).all()
    assert (first == 1).all()
    assert same(net.flat, before)
    monkeypatch.setattr("rnncore._dynamics.simulation.PIECE", 7 * 4 * net.flat.size)
    again = dynamics.simulate(net, given, 30, sessions=4, first=first, rng=5)
    assert all(same(a, b) for a, b in zip(ran, again, strict=True))
    assert all(same(a, b) for a, b in zip(parts(net.step(first[0])[1]),
                                          parts(net.step(first[0])[1]), strict=True))  # fmt: skip
    with pytest.raises((AttributeError, ValueError)):
        given.inputs[0] = 1


P, ROWS = [[0.5, 0.5]] * 2, np.zeros((2, 2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: dynamics.Table(np.zeros((2, 2)), P), r"inputs: expected numbers \(choices"),
        (lambda net: dynamics.Table(ROWS[:1], P[:1]), "at least 2 choices and 1 outcome, got 1 an"),
        (lambda net: dynamics.Table(ROWS[:, :0], np.zeros((2, 0))), "got 2 and 0"),
        (lambda net: dynamics.Table(ROWS, P * 2), r"probabilities: expected \(2, 2\) or"),
        (lambda net: dynamics.Table(ROWS, np.zeros((0, 2, 2))), "probabilities: expected"),
        (lambda net: dynamics.Table(ROWS, [[0.5, 0.5], [1.5, -0.5]]), r"got -0.5 at \(1, 1\)"),
        (lambda net: dynamics.Table(ROWS, [[0.5, 0.5], [0.5, 0.4]]), r"sum of 1 .*0.9 at \(1"),
        (lambda net: dynamics.Table(ROWS, [[0.5, 0.5], [0.5, np.nan]]), "probabilities: expected"),
        (lambda net: dynamics.Table(ROWS + np.inf, P), "inputs: expected finite"),
        (lambda net: dynamics.Table("x", P), "inputs: "),
        (lambda net: run(net, ROWS[..., :1]), r"inputs: expected \(2, outcomes, 2\), got \(2, 2"),
        (lambda net: run(net, np.zeros((3, 2, 2)), [[0.5, 0.5]] * 3), r"expected \(2, outcomes, 2"),
        (lambda net: run(net, [[0, 1], [1, 2]]), "tokens from 0 to 1, got 2"),
        (lambda net: run(net, ROWS, np.full((9, 2, 2), 0.5)), r"probabilities: expected \(10, 2"),
        (lambda net: dynamics.simulate(net, "bandit", 3), "environment: expected a Table or"),
        (lambda net: dynamics.simulate(net, dynamics.Table(ROWS, P), 0), "trials: expected at"),
        (lambda net: run(net, ROWS, first=[0, np.nan]), "first: expected finite"),
        (lambda net: run(rc.RNN(2, 2, 3, loss="bce", readout="all"), ROWS), "expected one output"),
        (lambda net: run(rc.RNN(2, 2, 1, loss="mse"), ROWS), "whose targets are choices"),
        (lambda net: run(rc.GRU(2, 2, 1, loss="bce", bidirectional=True), ROWS), "bidirectional"),
    ],
)  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(network("GRU", 2, 2, 2))


def run(net, inputs, p=P, **options):
    return dynamics.simulate(net, dynamics.Table(inputs, p), 10, **options)


def test_outputs_that_do_not_stay_finite():
    net = rc.RNN(1, 2, 1, nonlinearity="identity", loss="bce", readout="all", seed=0)
    net.flat[:] = 1e10
    grows = dynamics.Table([[[1.0]], [[1.0]]], [[1.0], [1.0]])
    with pytest.raises(ValueError, match="net: expected outputs that stay finite, got others at"):
        dynamics.simulate(net, grows, 50, first=[1.0])
    with pytest.raises(ValueError, match="net: expected outputs that stay finite, got others at"):
        dynamics.simulate(net, lambda *_: [[1.0]], 50, first=[1.0])
