"""Lyapunov exponents: of maps where they are known, and against how trajectories part."""

import numpy as np
import pytest
from refusals import unchanged

import rnncore as rc


def linear(W, dtype="float64"):
    n = len(W)
    net = rc.RNN(1, n, nonlinearity="identity", bias=False, dtype=dtype)
    net.parameters().update(weight_ih_l0=np.ones((n, 1)), weight_hh_l0=W)
    return net


def chaotic(kind="RNN", units=30, gain=2.5):
    net = getattr(rc, kind)(1, units, bias=False, dtype="float64", seed=0)
    W = np.random.default_rng(0).standard_normal(net.parameters()["weight_hh_l0"].shape)
    net.parameters()["weight_hh_l0"] = gain * W / np.sqrt(units)
    return net


def test_of_a_linear_map_they_are_its_eigenvalues(build, dtype):
    rng = np.random.default_rng(0)
    V = rng.standard_normal((4, 4))
    values = np.array([0.9, -0.6, 0.5, 0.05])
    net = linear(V @ np.diag(values) @ np.linalg.inv(V), dtype)
    found = net.lyapunov(rng.standard_normal((600, 1)), discard=200)
    W = net.parameters()["weight_hh_l0"].astype(float)
    expected = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1]
    assert np.abs(found.exponents - expected).max() < 1e-9
    turn = 0.8 * np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]])
    assert linear(turn).lyapunov(np.ones((5, 1))).exponents == pytest.approx([np.log(0.8)] * 2)


def test_of_one_unit_it_is_the_mean_of_its_slopes(build):
    net = rc.RNN(1, 1, dtype="float64", seed=0)
    w_x, w, b, c = net.flat
    x, h, total = np.random.default_rng(0).standard_normal((70, 1)), 0.3, []
    for x_t in x[:, 0]:
        h = np.tanh(w_x * x_t + w * h + b + c)
        total.append(np.log(abs(w) * (1 - h * h)))
    assert net.lyapunov(x, [0.3]).exponents[0] == pytest.approx(np.mean(total))
    found = net.lyapunov(x, [0.3], discard=20)
    assert found.exponents[0] == pytest.approx(np.mean(total[20:]))
    assert found.running[:, 0] == pytest.approx(np.cumsum(total[20:]) / np.arange(1, 51))
    assert found.states.shape == (71, 1)
    assert found.states[-1, 0] == pytest.approx(h)


@pytest.mark.parametrize(
    ("kind", "gain", "sign"), [("RNN", 2.5, 1), ("RNN", 0.7, -1), ("GRU", 1.0, -1)]
)
def test_trajectories_part_as_fast(kind, gain, sign):
    """The growth of a small difference, made small again after every step (Benettin): positive
    where a network is chaotic."""
    net, T = chaotic(kind, gain=gain), 2000
    rng = np.random.default_rng(1)
    x = 0.1 * rng.standard_normal((T, 1))
    found = net.lyapunov(x, rng.uniform(-0.5, 0.5, 30), discard=500)
    assert sign * found.exponents[0] > 0.005
    apart, total = 1e-7 * rng.standard_normal(30) / np.sqrt(30), 0.0
    for t in range(T):
        h = found.states[t]
        pair = net(np.tile(x[t], (2, 1, 1)), h0=np.stack([h, h + apart])[:, None]).final[:, 0]
        assert np.abs(pair[0] - found.states[t + 1]).max() < 1e-14
        apart = pair[1] - pair[0]
        size = np.linalg.norm(apart)
        total += np.log(size / 1e-7) if t >= 500 else 0
        apart *= 1e-7 / size
    assert found.exponents[0] == pytest.approx(total / (T - 500), abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "options"),
    [("RNN", {}), ("GRU", {}), ("LSTM", {}), ("MGU", {}), ("GRU", {"num_layers": 2}),
     ("LSTM", {"num_layers": 2}), ("RNN", {"skip": 2}), ("RNN", {"num_layers": 3})],
)  # fmt: skip
def test_their_sum_is_that_of_the_volumes(kind, options):
    """And they are the singular values of the product of Jacobians, where that is short."""
    net = getattr(rc, kind)(2, 3, 1, dtype="float64", seed=0, **options)
    x = np.random.default_rng(0).standard_normal((40, 2))
    found = net.lyapunov(x)
    n = found.exponents.size
    assert found.states.shape == (41, n)
    volumes, state = 0.0, None
    zero = np.zeros((net._model.spec.state_rows, 3))
    for t, x_t in enumerate(x):
        before = state if state is not None else (zero, zero) if kind == "LSTM" else zero
        if net._model.spec.state_rows == 1:
            before = tuple(p[0] for p in before) if kind == "LSTM" else before[0]
        flat = np.concatenate([np.ravel(p) for p in before]) if kind == "LSTM" else before.ravel()
        assert np.abs(found.states[t] - flat).max() < 1e-13
        volumes += np.linalg.slogdet(net.jacobian(before, x_t))[1]
        _, state = net.step(x_t, state)
    assert found.exponents.sum() == pytest.approx(volumes / 40)
    assert (np.diff(found.exponents) <= 0).all()


def test_batches_tokens_first_states_and_parts(monkeypatch):
    net = rc.GRU(3, 2, trainable_h0=True, dtype="float64", seed=0)
    net.parameters()["h0"] = [[0.5, -0.2]]
    tokens = np.random.default_rng(0).integers(0, 3, (4, 30))
    together = net.lyapunov(tokens)
    assert together.exponents.shape == (4, 2)
    assert together.running.shape == (30, 4, 2)
    assert together.states.shape == (31, 4, 2)
    assert (together.states[0] == [0.5, -0.2]).all()
    for b in range(4):
        alone = net.lyapunov(np.eye(3)[tokens[b]])
        assert np.abs(alone.exponents - together.exponents[b]).max() < 1e-14
        assert np.abs(net.lyapunov(tokens[b]).exponents - alone.exponents).max() < 1e-14
    moved = net.lyapunov(tokens, h0=np.zeros((4, 2)))
    assert (moved.exponents == net.lyapunov(tokens, h0=[0.0, 0.0]).exponents).all()
    assert (moved.exponents != together.exponents).any()
    monkeypatch.setattr("rnncore._diagnostics.lyapunov.MOST_NUMBERS", 60)
    assert (net.lyapunov(tokens).exponents == together.exponents).all()


def test_a_direction_that_vanishes():
    found = linear([[0.5, 0.5], [0.5, 0.5]]).lyapunov(np.zeros((20, 1)))
    assert found.exponents[0] == pytest.approx(0, abs=0.1)
    assert found.exponents[1] < -1
    dead = rc.RNN(1, 2, nonlinearity="relu", bias=False)
    dead.parameters()["weight_hh_l0"] = -np.ones((2, 2))
    with np.errstate(all="raise"):
        assert (dead.lyapunov(np.zeros((5, 1)), [1.0, 1.0]).exponents == -np.inf).all()


def test_what_is_shown():
    found = linear(0.5 * np.eye(2)).lyapunov(np.zeros((7, 1)))
    assert repr(found) == "Lyapunov([-0.6931 -0.6931] per step, from 7 steps)"
    pytest.importorskip("matplotlib").use("agg")
    for x in (np.zeros((7, 1)), np.zeros((3, 1, 1)), np.zeros((2, 200, 1))):
        figure = chaotic(units=3).lyapunov(x).plot()
        figure.canvas.draw()
        assert len(figure.axes[0].lines) == 4
    chaotic().lyapunov(x).plot(ax=figure.axes[0])
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        ({"x": np.zeros(5)}, ValueError, "x: expected (time, 3) or (batch, time, 3), or integer"),
        ({"x": np.zeros((5, 2))}, ValueError, "x: expected (time, 3) or (batch, time, 3), or"),
        ({"x": np.zeros((0, 3))}, ValueError, "x: expected at least 1 sequence of 1 time step"),
        ({"x": np.full((5, 3), np.nan)}, ValueError, "x: expected finite numbers, got nan at [0,"),
        ({"x": [0, 1, 3, 0]}, ValueError, "x: expected tokens from 0 to 2, got 3 at [2]"),
        ({"h0": [0.0]}, ValueError, "h0: expected (..., 2), got (1,)"),
        ({"h0": np.zeros((3, 2))}, ValueError, "h0: expected the state of one sequence"),
        ({"discard": 5}, ValueError, "discard: expected less than the 5 steps of x, got 5"),
        ({"discard": -1}, ValueError, "discard: expected at least 0"),
    ],
)
def test_bad_input(given, error, text):
    net = rc.GRU(3, 2, seed=0)
    unchanged(net, lambda: net.lyapunov(**{"x": np.zeros((5, 3))} | given), error, text)


def test_both_directions_have_none():
    net = rc.GRU(3, 2, bidirectional=True, seed=0)
    unchanged(net, lambda: net.lyapunov([0, 1]), ValueError, "lyapunov: expected a network with")
