"""Fixed and slow points: against analytic ones, and against iteration from many states."""

import numpy as np
import pytest
from refusals import unchanged
from states import parts

import rnncore as rc
from rnncore import dynamics


def one_unit(w, b=0.0, dtype="float64", nonlinearity="tanh"):
    """h' = f(w h + x), with x = b."""
    net = rc.RNN(1, 1, bias=False, dtype=dtype, nonlinearity=nonlinearity)
    net.parameters().update(weight_ih_l0=[[1.0]], weight_hh_l0=[[w]])
    return net, [b]


def roots(f, low=-1.0, high=1.0):
    """All roots of a smooth function that has none closer than 1e-4 to another, by bisection."""
    grid = np.linspace(low, high, 20_000) + 1e-7
    found = []
    for k in np.flatnonzero(np.sign(f(grid[:-1])) != np.sign(f(grid[1:]))):
        a, b = grid[k], grid[k + 1]
        for _ in range(60):
            m = (a + b) / 2
            a, b = (m, b) if np.sign(f(m)) == np.sign(f(a)) else (a, m)
        found.append(a)
    return np.array(found)


@pytest.mark.parametrize("w", [-3.0, -0.5, 0.0, 0.9, 1.5, 2.0, 6.0])
@pytest.mark.parametrize("b", [-0.4, 0.0, 0.1, 1.0])
def test_of_one_tanh_unit(build, dtype, w, b):
    net, x = one_unit(w, b, dtype)
    if dtype == "float32":
        w, b = float(np.float32(w)), b  # the parameters are float32, the input is not
    found = net.fixed_points(x)
    expected = roots(lambda h: np.tanh(w * h + b) - h)
    assert found.points.shape == (len(expected), 1)
    h = found.points[:, 0]
    assert np.abs(h - expected).max() < 1e-9
    slope = w * (1 - expected**2)
    assert np.abs(found.eigenvalues[:, 0] - slope).max() < 1e-8
    assert found.eigenvalues.dtype == complex
    assert (found.speed < 1e-12).all()
    assert found.is_fixed.all()
    assert found.stability.tolist() == ["stable" if abs(s) < 1 else "unstable" for s in slope]


def test_a_linear_map_has_one():
    rng = np.random.default_rng(0)
    for sizes, kind in (([0.5, -0.9], "stable"), ([2.0, -0.5], "saddle"), ([2.0, -3.0], "unstable"),
                        ([1.0, 0.5], "neutral"), ([-1.0, 0.5], "neutral")):  # fmt: skip
        net = rc.RNN(1, 2, nonlinearity="identity", dtype="float64", bias=False)
        V = rng.standard_normal((2, 2))
        W = V @ np.diag(sizes) @ np.linalg.inv(V)
        net.parameters().update(weight_ih_l0=[[1.0], [2.0]], weight_hh_l0=W)
        found = net.fixed_points([0.0 if sizes[0] == 1 else 0.3], starts=5)
        assert set(found.stability) == {kind}
        assert np.abs(found.eigenvalues - sorted(sizes, key=abs)[::-1]).max() < 1e-9
        if sizes[0] != 1:  # with 1, a line of them
            assert len(found) == 1
            b = np.array([0.3, 0.6])
            assert np.abs(found.points[0] - np.linalg.solve(np.eye(2) - W, b)).max() < 1e-9
    turn = np.array([[0.0, -1.2], [1.2, 0.0]])
    net.parameters()["weight_hh_l0"] = turn
    found = net.fixed_points([0.0])
    assert found.stability.tolist() == ["unstable"]
    assert np.abs(np.sort_complex(found.eigenvalues[0]) - [-1.2j, 1.2j]).max() < 1e-12
    assert "at 90 deg" in repr(found)


def test_of_the_identity_every_start_is_one():
    net = rc.RNN(1, 3, nonlinearity="identity", bias=False, init="identity", dtype="float64")
    net.parameters()["weight_hh_l0"] = np.eye(3)
    starts = np.random.default_rng(0).standard_normal((40, 3))
    found = net.fixed_points([0.0], starts)
    assert len(found) == 40
    assert (np.sort(found.points, axis=0) == np.sort(starts, axis=0)).all()
    assert set(found.stability) == {"neutral"}
    assert (found.speed == 0).all()


def attractors(net, x, n, count=300, steps=4000):
    """Where iteration leads: the states that stay where they are."""
    rng = np.random.default_rng(1)
    spec = net._model.spec
    state = tuple(
        rng.uniform(-1, 1, (count, spec.state_rows, spec.hidden_size)) * (1 + 2 * k)
        for k in range(spec.states)
    )
    state = state if spec.states == 2 else state[0]
    held = np.tile(np.asarray(x, float), (count, steps, 1))
    for _ in range(2):
        before, state = state, net(held, h0=state).final
        held = held[:, :1]  # the second time a single step
    flat, old = (
        np.concatenate([p.reshape(count, -1) for p in parts(s)], axis=1) for s in (state, before)
    )
    assert flat.shape[1] == n
    still = flat[np.abs(flat - old).max(axis=1) < 1e-11]
    kept = []
    for point in still:
        if all(np.abs(point - other).max() > 1e-6 for other in kept):
            kept.append(point)
    return kept


def test_a_switch_of_two_units():
    """Two units that inhibit each other: two stable states with a saddle between them."""
    net = rc.RNN(1, 2, nonlinearity="sigmoid", dtype="float64")
    net.parameters().update(
        weight_ih_l0=[[0.0], [0.0]], weight_hh_l0=[[3.0, -6.0], [-6.0, 3.0]],
        bias_ih_l0=[1.5, 1.5], bias_hh_l0=[0.0, 0.0],
    )  # fmt: skip
    found = net.fixed_points([0.0])
    assert found.stability.tolist() == ["stable", "saddle", "stable"]
    middle = found.points[1]
    assert middle[0] == pytest.approx(middle[1])
    (expected,) = roots(lambda h: 1 / (1 + np.exp(3 * h - 1.5)) - h, 0, 1)
    assert middle[0] == pytest.approx(expected, abs=1e-9)
    s = expected * (1 - expected)  # eigenvectors (1, 1) and (1, -1)
    assert found.eigenvalues[1].real == pytest.approx([9 * s, -3 * s])
    reached = attractors(net, [0.0], 2)
    assert len(reached) == 2
    for point in reached:
        assert np.abs(found.points[[0, 2]] - point).max(axis=1).min() < 1e-9


OPTIONS = [
    ("RNN", {}), ("RNN", {"nonlinearity": "sigmoid"}), ("RNN", {"num_layers": 2}), ("GRU", {}),
    ("RNN", {"skip": 2}), ("LSTM", {}), ("MGU", {}), ("GRU", {"num_layers": 2}),
    ("LSTM", {"num_layers": 2}), ("GRU", {"nonlinearity": "relu"}),
    ("RNN", {"nonlinearity": "relu"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options"), OPTIONS)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_those_of_any_network(build, dtype, kind, options, seed, gain):
    """All are points that a step leaves where they are, and iteration leads to none but the
    stable ones."""
    made = getattr(rc, kind)(2, 3, 1, dtype=dtype, seed=seed, **options)
    made.flat[:] *= gain if "relu" not in options.values() else 0.7
    x = [0.5, -1.0]
    found = made.fixed_points(x, rng=seed)
    net = getattr(rc, kind)(2, 3, 1, dtype="float64", **options)
    net.flat[:] = made.flat
    P = len(found)
    assert len(np.unique(found.points.round(5), axis=0)) == P
    out = net(np.tile(x, (P, 1, 1)), h0=found.state)
    for state, after in zip(parts(found.state), parts(out.final), strict=True):
        assert state.shape == after.shape
        assert np.abs(state - after).max(initial=0) < 1e-9
    state = found.state
    if net._model.spec.state_rows == 1:
        state = tuple(s[:, 0] for s in state) if kind == "LSTM" else state[:, 0]
    J = net.jacobian(state, x)
    assert (found.jacobians == J).all()
    sizes = np.sort(np.abs(np.linalg.eigvals(J)), axis=1)[:, ::-1]
    assert np.allclose(np.abs(found.eigenvalues), sizes)
    stable = found.points[found.stability == "stable"]
    assert ((sizes[:, 0] < 1 - 1e-7) == (found.stability == "stable")).all()
    for point in attractors(net, x, found.points.shape[1]):
        assert np.abs(stable - point).max(axis=1).min() < 1e-7


@pytest.mark.parametrize("w", [1.5, 3.0, 5.0])
def test_slow_points_are_ghosts_of_fixed_ones(w):
    """Beyond the fold of h' = tanh(w h + b), where the speed is least the slope is 1."""
    t = np.sqrt(1 - 1 / w)  # tanh where the slope is 1
    b = w * t - np.arctanh(t) + 0.01  # without the 0.01, -t is fixed
    expected = (np.arctanh(-t) - b) / w
    net, x = one_unit(w, b)
    assert len(net.fixed_points(x)) == 1
    found = net.fixed_points(x, slow=0.1)
    assert found.stability.tolist() == ["stable", "slow"]
    assert found.is_fixed.tolist() == [True, False]
    assert found.points[1, 0] == pytest.approx(expected, abs=1e-6)
    assert found.speed[1] == pytest.approx(abs(-t - expected))
    assert found.eigenvalues[1, 0].real == pytest.approx(1, abs=1e-5)
    assert len(net.fixed_points(x, slow=found.speed[1] / 2)) == 1


def test_gates_that_saturate_feign_none():
    """Beyond the range of the cell, an update gate of 1 leaves every state where it is."""
    net = rc.GRU(1, 2, dtype="float64", seed=0)
    net.flat[:] *= 30
    far = np.random.default_rng(0).uniform(-50, 50, (200, 2))
    out = net(np.zeros((200, 1, 1)), h0=far)
    assert (np.abs(out.final[:, 0] - far).max(axis=1) == 0).any()  # there they are
    found = net.fixed_points([0.0], far)
    assert (np.abs(found.points) <= 1).all()
    assert len(found) < 10


def test_starts_seeds_and_merging():
    net, x = one_unit(2.0)
    assert net.fixed_points(x, [[0.5]]).points.shape == (1, 1)
    assert net.fixed_points(x, np.full((3, 1, 1), 0.5)).points == pytest.approx(0.9575040, abs=1e-6)
    assert net.fixed_points(x, [[70.0]]).points == pytest.approx(0.9575040, abs=1e-6)
    assert len(net.fixed_points(x, merge=0.97)) == 2
    assert len(net.fixed_points(x, merge=5)) == 1
    same = [net.fixed_points(x, 3, rng=7).points for _ in range(2)]
    assert (same[0] == same[1]).all()
    kept = np.array([[0.5], [-0.5]])
    net.fixed_points(x, kept)
    assert kept.tolist() == [[0.5], [-0.5]]
    lstm = rc.LSTM(2, 3, seed=0)
    out = lstm(np.random.default_rng(0).standard_normal((20, 30, 2)))
    assert len(lstm.fixed_points([0.0, 0.0], out.final)) == 1


def test_tokens_are_one_hot_rows():
    net = rc.GRU(3, 2, seed=0)
    for token in range(3):
        found, same = net.fixed_points(token), net.fixed_points(np.eye(3)[token])
        assert (found.points == same.points).all()
    assert dynamics.fixed_points(net, 0, 9).points.shape == (1, 2)


def test_what_is_shown(monkeypatch):
    net, x = one_unit(2.0)
    shown = repr(net.fixed_points(x)).splitlines()
    assert shown[0] == "FixedPoints(2 stable, 1 unstable)"
    assert shown[2].split() == ["stable", "0", "0.1664", "-0.9575"]
    rotating = rc.RNN(1, 7, nonlinearity="identity", bias=False, dtype="float64")
    rotating.parameters()["weight_hh_l0"] = np.eye(7)
    lines = repr(rotating.fixed_points([0.0], 30)).splitlines()
    assert len(lines) == 23
    assert lines[-1] == "  and 10 more"
    assert lines[2].endswith(" ...")
    shift = rc.RNN(1, 1, nonlinearity="identity", dtype="float64")
    shift.flat[:] = [0, 1, 1, 0]  # h' = h + 1
    assert repr(shift.fixed_points([0.0])) == "FixedPoints(none found)"


def figure_of(found, **options):
    pytest.importorskip("matplotlib").use("agg")
    figure = found.plot(**options)
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize(
    "net",
    [
        one_unit(2.0)[0], rc.GRU(1, 2, seed=0), rc.LSTM(1, 1, seed=0), rc.RNN(1, 5, seed=0),
        rc.RNN(1, 2, nonlinearity="relu", seed=0), rc.RNN(1, 1, nonlinearity="identity", seed=1),
    ],
)  # fmt: skip
def test_figures(net):
    found = net.fixed_points([0.0], 32, slow=0.1)
    figure = figure_of(found)
    (ax,) = figure.axes
    drawn = [line for line in ax.lines if line.get_label()[0] != "_"]
    assert sum(len(line.get_xdata()) for line in drawn) == len(found)
    found.plot(ax=ax)
    from matplotlib import pyplot

    pyplot.close("all")


def test_figures_of_nothing():
    for H in (1, 2, 3):
        shift = rc.RNN(1, H, nonlinearity="identity", bias=False, dtype="float64")
        shift.parameters().update(weight_ih_l0=np.ones((H, 1)), weight_hh_l0=np.eye(H))
        found = shift.fixed_points([1.0], 4)
        assert len(found) == 0
        figure_of(found)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"x": [0.0]}, ValueError, "x: expected (2,), got (1,) of float64"),
        ({"x": [0.0, np.nan]}, ValueError, "x: expected finite numbers, got nan at [1]"),
        ({"x": 2}, ValueError, "x: expected tokens from 0 to 1, got 2"),
        ({"starts": 0}, ValueError, "starts: expected at least 1, got 0"),
        ({"starts": 1.5}, TypeError, "starts: expected an integer, got 1.5"),
        ({"starts": [[0.0]]}, ValueError, "starts: expected (..., 3), got (1, 1)"),
        ({"starts": np.zeros((0, 3))}, ValueError, "starts: expected at least 1 state"),
        ({"starts": "many"}, TypeError, "starts: expected real numbers"),
        ({"starts": [[0.0, 0.0, np.inf]]}, ValueError, "starts: expected finite numbers"),
        ({"slow": 0}, ValueError, "slow: expected more than 0"),
        ({"slow": "a"}, TypeError, "slow: expected a number"),
        ({"merge": -1}, ValueError, "merge: expected at least 0"),
        ({"rng": "a"}, TypeError, "rng: expected None, an integer"),
    ],
)
def test_bad_input(options, error, text):
    net = rc.GRU(2, 3, seed=0)
    unchanged(net, lambda: net.fixed_points(**{"x": [0.0, 0.0]} | options), error, text)


def test_networks_without():
    both = rc.GRU(2, 3, bidirectional=True, seed=0)
    unchanged(both, lambda: both.fixed_points(0), ValueError, "fixed_points: expected a network")
    with pytest.raises(TypeError, match="net: expected a network, got a int"):
        dynamics.fixed_points(3, [0.0])
