"""What small networks have learnt: probabilities, portraits, fields, behaviour on their own."""

import numpy as np
import pytest

import rnncore as rc
from rnncore import dynamics

INPUTS = [[0, 0], [0, 1], [1, 1]]


def network(hidden, kind=rc.GRU, **options):
    make = {"loss": "bce", "readout": "all", "dtype": "float64", "seed": 0, **options}
    return kind(2, hidden, 2 if make["loss"] == "cross_entropy" else 1, **make)


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
@pytest.mark.parametrize("kind", [rc.GRU, rc.MGU, rc.RNN])
def test_portraits_are_steps_of_the_network(kind, loss):
    net = network(1, kind, loss=loss)
    portrait = dynamics.phase_portrait(net, INPUTS, extent=(-0.8, 0.6), points=50)
    assert portrait.change.shape == portrait.learning_rate.shape == (3, 50)

    def logit(h):
        y = net.parameters()["head.weight"] @ [h] + net.parameters()["head.bias"]
        return y[0] if loss == "bce" else y[1] - y[0]

    for k in (0, 20, 49):
        h = portrait.state[k]
        assert portrait.logit[k] == pytest.approx(logit(h))
        for i, x_t in enumerate(INPUTS):
            _, after = net.step(np.array(x_t, float), np.array([[h]]))
            assert portrait.change[i, k] == pytest.approx(logit(after[0, 0]) - logit(h))
    slope = np.diff(portrait.change[1] + portrait.logit) / np.diff(portrait.logit)
    middle = (portrait.learning_rate[1][1:] + portrait.learning_rate[1][:-1]) / 2
    np.testing.assert_allclose(1 - slope, middle, atol=0.01)


def test_a_delta_rule_has_its_learning_rate():
    """h' = h + 0.3 (x - h): a linear network of one unit."""
    net = rc.RNN(1, 1, 1, nonlinearity="identity", loss="bce", readout="all", dtype="float64")
    net.flat[:] = 0
    net.parameters()["weight_ih_l0"] = [[0.3]]
    net.parameters()["weight_hh_l0"] = [[0.7]]
    net.parameters()["head.weight"] = [[5.0]]
    portrait = dynamics.phase_portrait(net, [[0], [1]])
    np.testing.assert_allclose(portrait.learning_rate, 0.3)
    np.testing.assert_allclose(portrait.change[1], 0.3 * (5 - portrait.logit))


def test_fields_are_steps_of_the_network():
    net = network(2)
    field = dynamics.vector_field(net, INPUTS, points=7)
    assert field.change.shape == (3, 7, 7, 2)
    h = field.state[2, 5]
    assert h == pytest.approx([2 / 3, -1 / 3])
    _, after = net.step(np.array([0.0, 1.0]), h[None])
    assert field.change[1, 2, 5] == pytest.approx(after[0] - h)


@pytest.mark.parametrize(
    "net",
    [
        rc.GRU(2, 2, dtype="float64", seed=0), rc.RNN(2, 1, nonlinearity="sigmoid", seed=0),
        rc.LSTM(2, 1, 3, loss="mse", seed=0), rc.RNN(2, 1, skip=2, seed=0),
        rc.MGU(2, 1, num_layers=2, seed=0), rc.RNN(2, 2, nonlinearity="identity", seed=0),
        rc.GRU(2, 1, nonlinearity="relu", seed=0),
    ],
)  # fmt: skip
def test_flow_fields_of_any_small_network(net):
    field = dynamics.flow_field(net, INPUTS, points=9)
    n = field.state.shape[-1]
    assert field.state.shape == (*[9] * n, n)
    assert field.change.shape == (3, *field.state.shape)
    assert field.logit is None
    ends = {"sigmoid": (0, 1), "identity": (-2, 2), "relu": (0, 2)}
    low, high = ends.get(net.config.get("nonlinearity"), (-1, 1))
    assert (field.state[..., 0].min(), field.state[..., 0].max()) == (low, high)
    rows = (net._model.spec.state_rows, net.hidden_size)
    for at in ((0,) * n, (3, 5)[:n], (8,) * n):
        vector = field.state[at]
        halves = np.split(vector, net._cell.states)
        state = tuple(half.reshape(rows) for half in halves)
        state = state if net._cell.name == "LSTM" else state[0]
        for i, x_t in enumerate(INPUTS):
            _, after = net.step(np.array(x_t, float), state)
            moved = np.concatenate([np.ravel(part) for part in after])
            assert np.abs(field.change[(i, *at)] - (moved - vector)).max() < 1e-6
    one = dynamics.flow_field(net, INPUTS[1], points=9, extent=(low, high))
    token = dynamics.flow_field(net, 1, points=9, extent=(low, high))
    assert one.change.shape == (1, *one.state.shape)
    assert (one.change == token.change).all()
    tokens = dynamics.flow_field(net, [0, 1, 1], points=9, extent=(low, high))
    assert (tokens.change[1:] == token.change).all()


def test_probabilities_of_choices():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 9, 2)), rng.integers(0, 2, (4, 9))
    for loss in ("bce", "cross_entropy"):
        net = network(2, loss=loss)
        p = net.predict_proba(x)
        p = np.concatenate([1 - p, p], axis=2) if loss == "bce" else p
        expected = np.take_along_axis(p, y[..., None], axis=2)[..., 0]
        np.testing.assert_allclose(dynamics.choice_probabilities(net, x, y), expected)


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_a_network_on_its_own(loss):
    net = network(2, loss=loss)
    net.flat[:] *= 3

    def environment(choices, trial, rng):
        assert choices.shape == (2000,)
        return np.stack([choices, rng.random(2000) < 0.5], axis=1)

    ran = dynamics.simulate(net, environment, 12, sessions=2000, rng=3)
    assert ran.choices.shape == (2000, 12)
    assert (ran.x[:, 0] == 0).all()
    assert (ran.x[:, 1:, 0] == ran.choices[:, :-1]).all()
    y = net(ran.x).y
    p = 1 / (1 + np.exp(-y[..., 0])) if loss == "bce" else net.predict_proba(ran.x)[..., 1]
    np.testing.assert_allclose(ran.probabilities[..., 1], p, rtol=1e-6)
    assert abs(ran.choices.mean() - p.mean()) < 0.02
    again = dynamics.simulate(net, environment, 12, sessions=2000, rng=3)
    assert (again.choices == ran.choices).all()
    first = dynamics.simulate(net, environment, 2, sessions=2000, first=[1, 0], rng=3)
    assert (first.x[:, 0] == [1, 0]).all()


def test_figures():
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    figure = dynamics.phase_portrait(network(1), INPUTS).plot(["a", "b", "c"])
    assert [line.get_label() for line in figure.axes[0].lines[:3]] == ["a", "b", "c"]
    dynamics.phase_portrait(network(1), INPUTS).plot(ax=figure.axes[0])
    for kind, hidden, panels in ((rc.GRU, 1, 1), (rc.GRU, 2, 3), (rc.LSTM, 1, 3)):
        figure = dynamics.flow_field(kind(2, hidden, seed=0), INPUTS).plot(["a", "b", "c"])
        figure.canvas.draw()
        assert len(figure.axes) == panels
    dynamics.flow_field(rc.RNN(2, 1, seed=0), [0.0, 0.0]).plot()
    figure = dynamics.vector_field(network(2), INPUTS).plot(["a", "b", "c"])
    assert [ax.get_title() for ax in figure.axes] == ["a", "b", "c"]
    pyplot.close("all")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dynamics.phase_portrait(network(2), INPUTS), "net: expected an RNN, GRU or MGU"),
        (lambda: dynamics.vector_field(network(1), INPUTS), "of 2 units"),
        (lambda: dynamics.phase_portrait(network(1, rc.LSTM), INPUTS), "net: expected an RNN, GRU"),
        (lambda: dynamics.phase_portrait(network(1), [0, 1]), r"inputs: expected \(inputs, 2\)"),
        (lambda: dynamics.phase_portrait(network(1), [[0, np.nan]]), "inputs: expected finite"),
        (lambda: dynamics.phase_portrait(network(1), INPUTS, points=1), "points: expected at"),
        (lambda: dynamics.flow_field(rc.GRU(2, 3), [0.0, 0.0]), "net: expected a network whose st"),
        (lambda: dynamics.flow_field(rc.LSTM(2, 2), [0.0, 0.0]), "got one of 4 numbers"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2, bidirectional=True), 0), "bidirectional=False"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), [0.0]), "x: expected .2,. or"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), np.zeros((0, 2))), "x: expected at least 1"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), 2), "x: expected tokens from 0 to 1, got 2"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), 0, extent=(1, 0)), "extent: expected .low, hi"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), 0, extent=1.0), r"extent: expected \(2,\)"),
        (lambda: dynamics.flow_field(rc.GRU(2, 2), 0, points=1), "points: expected at least 2"),
        (lambda: dynamics.flow_field(3, 0), "net: expected a network, got a int"),
        (lambda: dynamics.phase_portrait(3, INPUTS), "net: expected a network, got a int"),
        (lambda: dynamics.choice_probabilities(rc.RNN(2, 1, 1, loss="mse"), 0, 0), "are choices"),
        (lambda: dynamics.simulate(network(1), lambda *_: 0, 3), r"environment: expected \(1, 2\)"),
        (lambda: dynamics.simulate(network(1), None, 0), "trials: expected at least 1"),
        (lambda: dynamics.simulate(network(1), None, 3, first=[1]), r"first: expected \(2,\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_looked_at(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()
