"""net.online: gradients of steps sum to those of BPTT, updates are those of the definition."""

import copy
import pickle

import numpy as np
import pytest
from fits import made_equal, ties_of
from learners import KINDS, LOSSES, METHODS, close, data, made, pair, walked
from refusals import unchanged

import rnncore as rc


def check_sums(net, x, y, dtype="float64"):
    loss, grads = net.loss_and_grad(x[None], y[None], reduction="sum")
    total, sums, learner = walked(net, x, y)
    tolerance = 1e-12 if dtype == "float64" else 2e-4
    assert total == pytest.approx(loss, rel=tolerance)
    close(sums, grads, tolerance)
    final = net(x[None]).final
    for got, expected in zip(pair(learner.state), pair(final), strict=True):
        np.testing.assert_allclose(got, expected[0], rtol=0, atol=1e2 * np.finfo(dtype).eps)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_sum_to_those_of_bptt(build, dtype, cell, nonlinearity, loss):
    net = made(cell, nonlinearity, loss=loss, dtype=dtype)
    check_sums(net, *data(net, 1000, loss), dtype)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
@pytest.mark.parametrize(
    "options",
    [{"bias": False}, {"trainable_h0": True}, {"readout_bias": False}, {"readout": "before"},
     {"K": None}, {"D": 1, "H": 1, "K": 1}, {"H": 17, "trainable_h0": True},
     {"D": 5, "tokens": True, "readout": "before", "trainable_h0": True}],
    ids=str,
)  # fmt: skip
def test_gradients_sum_to_those_of_bptt_whatever_the_network(build, cell, nonlinearity, options):
    options = dict(options)
    tokens = options.pop("tokens", False)
    net = made(cell, nonlinearity, **options)
    for name in {"h0", "c0"} & net.parameters().keys():
        net.parameters()[name] = np.linspace(-0.5, 0.5, net.hidden_size)[None]
    check_sums(net, *data(net, 1000 if net.hidden_size < 9 else 100, "mse", tokens))


@pytest.mark.parametrize("seed", range(40))
def test_gradients_of_networks_at_random(build, seed):
    rng = np.random.default_rng(seed)
    cell, nonlinearity = KINDS[rng.integers(len(KINDS))]
    loss = str(rng.choice(LOSSES))
    net = made(
        cell, nonlinearity, int(rng.integers(1, 9)), int(rng.integers(1, 20)),
        2 * int(rng.integers(1, 4)), loss=loss, bias=bool(rng.integers(2)),
        trainable_h0=bool(rng.integers(2)), readout=str(rng.choice(["all", "before"])),
        seed=seed,
    )  # fmt: skip
    tokens = bool(rng.integers(2)) and net.input_size > 1
    check_sums(net, *data(net, int(rng.integers(1, 60)), loss, tokens, seed))


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_snap1_is_exact_where_units_are_apart(build, dtype, cell, nonlinearity):
    net = made(cell, nonlinearity, H=5, dtype=dtype, trainable_h0=True)
    w = net.parameters()["weight_hh_l0"]
    w *= np.tile(np.eye(5), (len(w) // 5, 1))
    x, y = data(net, 50, "mse")
    loss, sums, _ = walked(net, x, y)
    other, approximate, _ = walked(net, x, y, method="snap1")
    # The zeros that W_hh consists of are parameters too, and their gradients are exact as well.
    assert other == loss
    close(approximate, sums, 1e-13 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize(
    "rule", ["adam", "adamw", "rmsprop", "sgd", "momentum", "nesterov", "lion"]
)
def test_updates_are_those_of_a_trainer(build, rule):
    one, other = made("GRU", K=1), made("GRU", K=1)
    tie = ties_of(one, 0)
    made_equal(one, tie), made_equal(other, tie)
    options = {"optimizer": rule, "lr": 0.01, "weight_decay": 0.1, "l1": 1e-3, "clip_value": 0.2,
               "freeze": "head.bias", "tie": tie}  # fmt: skip
    learner, trainer = one.online(**options), other.trainer(**options)
    for x_t, y_t in zip(*data(one, 10, "mse"), strict=True):
        learner.reset()
        loss = trainer.step(x_t[None, None], y_t[None, None])
        assert learner.step(x_t, y_t) == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(one.flat, other.flat, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["RNN", "LSTM"])
def test_without_a_target_the_state_moves_on(build, cell, method):
    nets = made(cell, loss="cross_entropy"), made(cell, loss="cross_entropy")
    x, y = data(nets[0], 12, "cross_entropy")
    y = np.where(np.arange(12) % 3 == 1, y, -1)
    learners = [net.online(lr=0.1, method=method, rng=0) for net in nets]
    for x_t, y_t in zip(x, y, strict=True):
        loss = learners[0].step(x_t, y_t)
        before = learners[0].gradient
        assert learners[1].step(x_t, None if y_t < 0 else y_t) == loss
        assert (loss is None) == (y_t < 0)
        close(learners[1].gradient, before, 0)
    assert (nets[0].flat == nets[1].flat).all()
    assert learners[0].updates == 4
    learners[0].lr, state = 0, None
    learners[0].reset()
    for x_t in x:
        expected, state = nets[0].step(x_t, state)
        learners[0].step(x_t)
        np.testing.assert_allclose(learners[0].y, expected, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU", "MGU"])
def test_a_stream_may_begin_from_a_state(build, cell, method):
    net = made(cell, trainable_h0=True)
    x, y = data(net, 30, "mse")
    learner = net.online(lr=0, method=method)
    for x_t in x[:10]:
        learner.step(x_t)
    state, sums = learner.state, {}
    learner.reset(state)
    for x_t, y_t in zip(x[10:], y[10:], strict=True):
        learner.step(x_t, y_t)
        sums = {name: sums.get(name, 0) + g for name, g in learner.gradient.items()}
    h0 = tuple(part[None] for part in state) if cell == "LSTM" else state[None]
    _, grads = net.loss_and_grad(x[None, 10:], y[None, 10:], h0=h0, reduction="sum")
    assert not sums["h0"].any()
    if method == "rtrl":
        close(sums, grads, 1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU", "MGU"])
def test_goes_on_with_the_same_bits(build, dtype, cell, method):
    net = made(cell, dtype=dtype)
    x, y = data(net, 20, "mse")
    learner = net.online(lr=0.02, optimizer="adam", method=method)
    for t in range(10):
        learner.step(x[t], y[t])
    twins = [copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))]
    third = copy.deepcopy(net).online(lr=1.0, optimizer="adam", method=method)
    third.load_state_dict(learner.state_dict())
    for t in range(10, 20):
        loss = learner.step(x[t], y[t])
        assert [twin.step(x[t], y[t]) for twin in [*twins, third]] == [loss] * 3
    for twin in [*twins, third]:
        assert (twin.net.flat == net.flat).all()
        assert twin.updates == 20


BAD = [
    (([0.0], [0, 0]), ValueError, "x_t: expected floats (2,), or an integer token, got (1,)"),
    (([[0.0, 0]], [0, 0]), ValueError, "x_t: expected floats (2,)"),
    ((np.array([1, 0]), [0, 0]), ValueError, "x_t: expected floats (2,)"),
    (([0.0, np.nan], [0, 0]), ValueError, "x_t: expected finite numbers, got nan at [1]"),
    ((2, [0, 0]), ValueError, "x_t: expected tokens from 0 to 1, got 2"),
    ((-1, [0, 0]), ValueError, "x_t: expected tokens from 0 to 1, got -1"),
    (("a", [0, 0]), TypeError, "x_t: expected real numbers"),
    (([0.0, 1], [0]), ValueError, "y_t: expected (2,), got (1,)"),
    (([0.0, 1], [0, np.inf]), ValueError, "y_t: expected finite numbers, got inf at [1]"),
    (([0.0, 1], [0, "a"]), TypeError, "y_t: expected real numbers"),
    (([0.0, 1], [0, 1e300]), FloatingPointError, "step: expected a finite loss"),
    (([1e308, 1e308], [0, 1]), FloatingPointError, "step: expected a finite loss"),
]
BAD_TARGETS = [
    ("bce", [0, np.nan], "y_t: expected finite numbers, got nan at [1]"),
    ("bce", [0, 2], "y_t: expected probabilities from 0 to 1, got 2.0 at [1]"),
    ("poisson", [0, -1], "y_t: expected counts from 0 up, got -1.0 at [1]"),
    ("cross_entropy", 2, "y_t: expected classes from 0 to 1, got 2"),
    ("cross_entropy", [0.5, 0.6], "y_t: expected probabilities that sum to 1, got a sum of 1.1"),
    ("cross_entropy", [1.5, -0.5], "y_t: expected probabilities from 0 up, got -0.5 at [1]"),
    ("cross_entropy", [0, 1], "y_t: expected (), got (2,); probabilities of classes are floats"),
]


def refused(net, learner, call, error, text):
    before = learner.state_dict() | learner.gradient | {"y": learner.y}
    unchanged(net, call, error, text)
    after = learner.state_dict() | learner.gradient | {"y": learner.y}
    for name, value in before.items():
        assert np.array_equal(after[name], value), name


@pytest.mark.parametrize(("arguments", "error", "text"), BAD, ids=lambda value: str(value)[:40])
def test_bad_steps_change_nothing(build, arguments, error, text):
    net = made("RNN", "identity")
    net.parameters()["weight_ih_l0"] = np.full((3, 2), 1.0)
    learner = net.online(lr=0.1, optimizer="adam")
    learner.step([0.5, 0.5], [1, 0])
    refused(net, learner, lambda: learner.step(*arguments), error, text)


@pytest.mark.parametrize(("loss", "target", "text"), BAD_TARGETS, ids=str)
def test_bad_targets_change_nothing(build, loss, target, text):
    net = made("LSTM", loss=loss)
    learner = net.online(lr=0.1)
    refused(net, learner, lambda: learner.step([0.0, 1], target), ValueError, text)
    learner.lr = 0
    refused(net, learner, lambda: learner.step([0.0, 1], target), ValueError, text)
    if loss == "cross_entropy" and target == [0, 1]:
        refused(net, learner, lambda: learner.step([0.0, 1], 1.0), TypeError, "y_t: expected an")


def test_too_large_an_update_is_taken_back(build):
    net = made("RNN", dtype="float32")
    learner = net.online(lr=1e38, optimizer="momentum")
    target = np.full(2, 1e15)
    refused(net, learner, lambda: learner.step([0.0, 1], target), FloatingPointError, "too large")
    learner.lr = 1e-20
    learner.step([0.0, 1], target)


@pytest.mark.parametrize(
    ("make", "text"),
    [(lambda: rc.RNN(1, 2, 1, loss="mse"), "readout='all' or 'before', got 'last'"),
     (lambda: rc.RNN(1, 2, 1, readout="all"), "expected a network made with a loss"),
     (lambda: rc.GRU(1, 2, 1, num_layers=2, readout="all", loss="mse"), "num_layers=1, got 2"),
     (lambda: rc.RNN(1, 2, 1, skip=2, readout="all", loss="mse"), "skip=None, got 2"),
     (lambda: rc.GRU(1, 2, 1, reset="before", readout="all", loss="mse"), "reset='after', got"),
     (lambda: rc.RNN(1, 2, 1, bidirectional=True, readout="all", loss="mse"), "bidirectional=F")],
)  # fmt: skip
def test_networks_that_cannot_learn_online(make, text):
    with pytest.raises(ValueError, match=text):
        make().online(lr=0.1)


def test_bad_options_and_states():
    net = made("LSTM")
    for options, error, text in [
        ({"lr": -1}, ValueError, "lr: expected at least 0"),
        ({"lr": 0.1, "method": "bptt"}, ValueError, "method: expected one of 'rtrl', 'snap1'"),
        ({"lr": 0.1, "optimizer": "sdg"}, ValueError, "optimizer: expected one of"),
        ({"lr": 0.1, "clip_norm": 0}, ValueError, "clip_norm: expected more than 0"),
    ]:
        with pytest.raises(error, match=text):
            net.online(**options)
    learner = net.online(lr=0.1, optimizer="momentum")
    learner.step([0.0, 1], [0, 1])
    given = learner.state_dict()
    for change, error, text in [
        ({"more": 0}, ValueError, "state_dict: expected method"),
        ({"method": "snap1"}, ValueError, r"state_dict\['method'\]: expected 'rtrl'"),
        ({"method": np.zeros(0)}, TypeError, r"state_dict\['method'\]: expected 'rtrl', got"),
        ({"optimizer": "adam"}, ValueError, r"state_dict\['optimizer'\]: expected 'momentum'"),
        ({"optimizer": np.zeros(0)}, TypeError, r"state_dict\['optimizer'\]: expected 'mom"),
        ({"h": np.zeros(2)}, ValueError, r"state_dict\['h'\]: expected \(3,\)"),
        ({"influence": given["influence"] * np.nan}, ValueError, "influence'.: expected finite"),
    ]:
        call = lambda change=change: learner.load_state_dict(given | change)  # noqa: E731
        with pytest.raises(error, match=text):
            call()
    refused(net, learner, lambda: learner.load_state_dict(3), TypeError, "expected a mapping")
    refused(net, learner, lambda: learner.reset(np.zeros(3)), TypeError, "state: expected a pair")
    bad = (np.zeros(3), np.full(3, np.nan))
    refused(net, learner, lambda: learner.reset(bad), ValueError, "state: expected finite")
