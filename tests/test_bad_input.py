"""Bad input gets a clear error and changes nothing."""

import re

import numpy as np
import pytest
from rnncore._checks import arguments as check
from rnncore._data import splits
from rnncore._data.inputs import Inputs

import rnncore as rc

X = np.zeros((4, 5, 3))
NAN = X.copy()
NAN[2, 3, 1] = np.nan
INF = X.copy()
INF[0, 4, 2] = -np.inf
TOKENS = np.zeros((4, 5), int)


def put(values, at, value):
    result = np.array(values)
    result[at] = value
    return result


# x, options of the call, error, text
INPUTS = [
    (np.zeros((4, 5)), {}, ValueError, "x: expected (batch, time, 3), got (4, 5) of float64"),
    (np.zeros((5, 3)), {}, ValueError, "write x[None] for one sequence of 5 steps"),
    (np.zeros((4, 5, 2)), {}, ValueError, "x: expected (batch, time, 3), got (4, 5, 2)"),
    (np.zeros((1, 4, 5, 3)), {}, ValueError, "x: expected (batch, time, 3), got (1, 4, 5, 3)"),
    (0.0, {}, ValueError, "x: expected (batch, time, 3), got ()"),
    (np.zeros((0, 5, 3)), {}, ValueError, "x: expected at least 1 sequence, got shape (0, 5, 3)"),
    (np.zeros((4, 0, 3)), {}, ValueError, "x: expected at least 1 time step, got shape (4, 0, 3)"),
    ([], {}, ValueError, "x: expected at least 1 sequence, got an empty list"),
    ([X[0], np.zeros((0, 3))], {}, ValueError, "x[1]: expected at least 1 time step"),
    ([X[0], np.zeros((5, 2))], {}, ValueError, "x[1]: expected (time, 3), got (5, 2)"),
    ([[0, 1], [0.5]], {}, ValueError, "x[1]: expected (time, 3), or in every sequence (time,) integer"),
    ([[0, 1], X[0]], {}, ValueError, "x[1]: expected (time, 3), or in every sequence (time,) integer"),
    ([X[0], [0, 1]], {}, ValueError, "x[1]: expected (time, 3), got (2,)"),
    ([[[1, 2], [3]]], {}, ValueError, "x[0]: expected an array, got a list"),
    (np.array([["a"]]), {}, TypeError, "x: expected real numbers, got dtype <U1"),
    (X.astype(complex), {}, TypeError, "x: expected real numbers, got dtype complex128"),
    (X.astype(object), {}, TypeError, "x: expected real numbers, got dtype object"),
    (None, {}, TypeError, "x: expected real numbers, got dtype object"),
    (np.ma.masked_invalid(NAN), {}, TypeError, "x: expected a plain array, got a masked one"),
    (NAN, {}, ValueError, "x: expected finite numbers, got nan at [2, 3, 1]"),
    (INF, {}, ValueError, "x: expected finite numbers, got -inf at [0, 4, 2]"),
    (list(NAN), {}, ValueError, "x: expected finite numbers, got nan at [2, 3, 1]"),
    (put(X, (1, 1, 1), 1e300), {}, ValueError, "x: expected finite numbers, got inf at [1, 1, 1]"),
    (put(TOKENS, (1, 2), 3), {}, ValueError, "x: expected tokens from 0 to 2, got 3 at [1, 2]"),
    (put(TOKENS, (3, 4), -1), {}, ValueError, "x: expected tokens from 0 to 2, got -1 at [3, 4]"),
    (put(TOKENS, (0, 0), 2**40), {}, ValueError, "x: expected tokens from 0 to 2, got 1099511627776"),
    (put(TOKENS.astype(np.uint64), (0, 0), 2**64 - 1), {}, ValueError, "expected tokens from 0 to 2"),
    ([[0, 1], [2, 5]], {}, ValueError, "x: expected tokens from 0 to 2, got 5 at [1, 1]"),
    (X, {"h0": np.zeros((4, 3))}, ValueError, "h0: expected (4, 1, 2) or (4, 2), got (4, 3)"),
    (X, {"h0": np.zeros((4, 1, 3))}, ValueError, "h0: expected (4, 1, 2) or (4, 2), got (4, 1, 3)"),
    (X, {"h0": np.full((4, 2), np.nan)}, ValueError, "h0: expected finite numbers, got nan at [0, 0]"),
    (X, {"lengths": [1, 2, 3]}, ValueError, "lengths: expected (4,), got (3,)"),
    (X, {"lengths": [1, 2, 3, 6]}, ValueError, "lengths: expected 1 to 5 (the time steps of x), got 6 at [3]"),
    (X, {"lengths": [1, 0, 3, 5]}, ValueError, "lengths: expected 1 to 5 (the time steps of x), got 0 at [1]"),
    (X, {"lengths": [1.0, 2, 3, 4]}, TypeError, "lengths: expected integers, got dtype float64"),
    (list(X), {"lengths": [1, 2, 3, 4]}, ValueError, "lengths: expected None with a list"),
    (X, {"mask": np.ones((4, 4))}, ValueError, "mask: expected (4, 5), got (4, 4)"),
    (X, {"mask": np.full((4, 5), 0.5)}, ValueError, "mask: expected booleans"),
    ([X[0], X[1, :2]], {"mask": [np.ones(5)]}, ValueError, "mask: expected 2 sequences, got 1"),
    ([X[0], X[1, :2]], {"mask": [np.ones(5)] * 2}, ValueError, "mask[1]: expected (2,), got (5,)"),
]  # fmt: skip


def unchanged(net, call, error, text):
    before = net.flat.copy()
    with pytest.raises(error, match=re.escape(text)):
        call()
    assert (net.flat == before).all()


@pytest.mark.parametrize(("x", "options", "error", "text"), INPUTS)
def test_bad_sequences(x, options, error, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    count = len(x) if hasattr(x, "__len__") else 1
    y = np.zeros(count)
    unchanged(net, lambda: net(x, **options), error, text)
    unchanged(net, lambda: net.predict(x, **options), error, text)
    unchanged(net, lambda: net.loss(x, y, **options), error, text)
    unchanged(net, lambda: net.loss_and_grad(x, y, **options), error, text)
    unchanged(net, lambda: net.vjp(x, y, **options), error, text)
    if "h0" not in options:
        unchanged(net, lambda: net.fit(x, y, epochs=2, **options), error, text)


# loss, readout, y, error, text
TARGETS = [
    ("mse", "last", np.zeros(3), ValueError, "y: expected (4, 2), got (3,)"),
    ("mse", "last", np.zeros((4, 1)), ValueError, "y: expected (4, 2), got (4, 1)"),
    ("mse", "all", np.zeros((4, 5)), ValueError, "y: expected (4, 5, 2), got (4, 5)"),
    ("mse", "last", np.full((4, 2), "a"), TypeError, "y: expected real numbers, got dtype <U1"),
    ("mse", "last", put(np.zeros((4, 2)), (3, 1), np.nan), ValueError, "y: expected finite numbers, got nan at [3, 1]"),
    ("mse", "all", put(np.zeros((4, 5, 2)), (3, 4, 1), np.inf), ValueError, "y: expected finite numbers, got inf at [3, 4, 1]"),
    ("bce", "last", put(np.zeros((4, 2)), (0, 1), 1.5), ValueError, "y: expected probabilities from 0 to 1, got 1.5 at [0, 1]"),
    ("bce", "all", put(np.zeros((4, 5, 2)), (2, 0, 1), -1), ValueError, "y: expected probabilities from 0 to 1, got -1.0 at [2, 0, 1]"),
    ("bce", "last", put(np.zeros((4, 2)), (0, 1), np.nan), ValueError, "y: expected finite numbers, got nan at [0, 1]"),
    ("cross_entropy", "last", np.zeros(4), TypeError, "y: expected integer class numbers, got dtype float64"),
    ("cross_entropy", "last", np.zeros((4, 2), int), ValueError, "y: expected (4,), got (4, 2)"),
    ("cross_entropy", "last", np.array([0, 1, 2, 0]), ValueError, "y: expected classes from 0 to 1, got 2 at [2]"),
    ("cross_entropy", "all", np.full((4, 5), 7), ValueError, "y: expected classes from 0 to 1, got 7 at [0, 0]"),
    ("cross_entropy", "last", np.full(4, -1), ValueError, "y: expected at least one target that counts, got none"),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "readout", "y", "error", "text"), TARGETS)
def test_bad_targets(build, loss, readout, y, error, text):
    net = rc.RNN(3, 2, 2, loss=loss, readout=readout, seed=0)
    unchanged(net, lambda: net.loss(X, y), error, text)
    unchanged(net, lambda: net.loss_and_grad(X, y), error, text)
    unchanged(net, lambda: net.fit(X, y, epochs=2), error, text)


def test_a_state_of_one_unit_before_a_long_sequence(build):
    """It is worked on in chunks of time, which begin elsewhere."""
    net, h0 = rc.RNN(1, 1, 1, seed=0), np.array([[0], [np.nan]])
    text = "h0: expected finite numbers, got nan at [1, 0]"
    unchanged(net, lambda: net(np.zeros((2, 1000, 1)), h0=h0), ValueError, text)


def test_targets_of_listed_sequences():
    net = rc.RNN(3, 2, 1, loss="mse", readout="all", seed=0)
    x = [X[0], X[1, :2]]
    unchanged(net, lambda: net.loss(x, [np.zeros(5)]), ValueError, "y: expected 2 sequences, got 1")
    unchanged(net, lambda: net.loss(x, [np.zeros(5), np.zeros(3)]), ValueError,
              "y[1]: expected (2,) or (2, 1), got (3,)")  # fmt: skip


def test_nothing_counts():
    net = rc.RNN(3, 2, 1, loss="mse", readout="all", seed=0)
    y = np.zeros((4, 5))
    unchanged(
        net,
        lambda: net.loss(X, y, mask=np.zeros((4, 5))),
        ValueError,
        "at least one target that counts",
    )


def test_bad_slopes(build):
    net = rc.RNN(3, 2, 2, seed=0)
    unchanged(
        net, lambda: net.vjp(X, np.zeros((4, 3))), ValueError, "dy: expected (4, 2), got (4, 3)"
    )
    bad = put(np.zeros((4, 2)), (1, 1), np.inf)
    unchanged(
        net, lambda: net.vjp(X, bad), ValueError, "dy: expected finite numbers, got inf at [1, 1]"
    )


def test_no_loss():
    net = rc.RNN(3, 2, 1, seed=0)
    for call in (net.loss, net.loss_and_grad):
        unchanged(
            net,
            lambda call=call: call(X, np.zeros(4)),
            ValueError,
            "loss: expected a network made with loss=",
        )
    unchanged(
        net,
        lambda: net.fit(X, np.zeros(4), epochs=1),
        ValueError,
        "loss: expected a network made with",
    )
    unchanged(
        net,
        lambda: net.predict_proba(X),
        ValueError,
        "predict_proba: expected a network with loss 'bce'",
    )


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"input_size": 0}, ValueError, "input_size: expected at least 1, got 0"),
        ({"hidden_size": 0}, ValueError, "hidden_size: expected at least 1, got 0"),
        ({"hidden_size": -3}, ValueError, "hidden_size: expected at least 1, got -3"),
        ({"hidden_size": 2.0}, TypeError, "hidden_size: expected an integer, got 2.0"),
        ({"hidden_size": True}, TypeError, "hidden_size: expected an integer, got True"),
        ({"hidden_size": 2**31}, ValueError, "hidden_size: expected at most 2147483647"),
        ({"hidden_size": 2**30}, ValueError, "hidden_size: expected a network that fits in memory"),
        ({"output_size": 0}, ValueError, "output_size: expected at least 1, got 0"),
        ({"nonlinearity": "than"}, ValueError,
         "nonlinearity: expected one of 'tanh', 'relu', 'sigmoid', 'identity', got 'than'; did you mean 'tanh'?"),
        ({"nonlinearity": None}, ValueError, "nonlinearity: expected one of"),
        ({"nonlinearity": np.tanh}, TypeError, "nonlinearity: expected one of"),
        ({"loss": "crossentropy"}, ValueError, "did you mean 'cross_entropy'?"),
        ({"loss": "BCE"}, ValueError, "loss: expected one of None, 'bce', 'mse', 'cross_entropy', got 'BCE'"),
        ({"readout": "first"}, ValueError, "readout: expected one of 'last', 'all', got 'first'"),
        ({"dtype": "float16"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'float16'"),
        ({"dtype": int}, ValueError, "dtype: expected one of 'float32', 'float64', got 'int64'"),
        ({"dtype": ","}, ValueError, "dtype: expected one of 'float32', 'float64', got ','"),
        ({"dtype": None}, ValueError, "dtype: expected one of 'float32', 'float64', got None"),
        ({"loss": "cross_entropy", "output_size": 2**25}, ValueError, "output_size: expected at most 16777216"),
        ({"dtype": "real"}, ValueError, "dtype: expected one of 'float32', 'float64', got 'real'"),
        ({"init": "orthogonal", "init_scale": 1e300}, ValueError, "init_scale: expected weight_hh_l0 to be finite, got 1e+300"),
        ({"bias": 1}, TypeError, "bias: expected True or False, got 1"),
        ({"seed": -1}, ValueError, "seed: expected at least 0, got -1"),
        ({"seed": "a"}, TypeError, "seed: expected None, an integer or a numpy.random.Generator, got 'a'"),
    ],
)  # fmt: skip
def test_bad_networks(options, error, text):
    with pytest.raises(error, match=re.escape(text)):
        rc.RNN(**({"input_size": 3, "hidden_size": 2} | options))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"optimizer": "adaam"}, ValueError, "optimizer: expected one of 'sgd', 'momentum', 'nesterov', 'rmsprop', 'adam', 'adamw', got 'adaam'; did you mean 'adam'?"),
        ({"lr": 0}, ValueError, "lr: expected more than 0 and finite, got 0"),
        ({"lr": float("nan")}, ValueError, "lr: expected more than 0 and finite, got nan"),
        ({"lr": float("inf")}, ValueError, "lr: expected more than 0 and finite, got inf"),
        ({"lr": "0.1"}, TypeError, "lr: expected a number, got '0.1'"),
        ({"lr": 10**400}, ValueError, "lr: expected more than 0 and finite, got 1000"),
        ({"eps": 0}, ValueError, "eps: expected more than 0"),
        ({"eps": 1e-50}, ValueError, "eps: expected more than 0 and finite in float32, got 1e-50"),
        ({"eps": 1e50}, ValueError, "eps: expected more than 0 and finite in float32, got 1e+50"),
        ({"progress": "no"}, TypeError, "progress: expected True or False, got 'no'"),
        ({"momentum": 1.0}, ValueError, "momentum: expected at least 0 and less than 1, got 1.0"),
        ({"betas": (0.9, 1.0)}, ValueError, "betas: expected at least 0 and less than 1, got 1.0"),
        ({"betas": 0.9}, TypeError, "betas: expected two numbers, got 0.9"),
        ({"clip_norm": 0}, ValueError, "clip_norm: expected more than 0 and finite, got 0"),
        ({"clip_value": -1}, ValueError, "clip_value: expected more than 0 and finite, got -1"),
        ({"shuffle": "yes"}, TypeError, "shuffle: expected True or False, got 'yes'"),
        ({"rng": 1.5}, TypeError, "rng: expected None, an integer or a numpy.random.Generator, got 1.5"),
        ({"callback": 3}, TypeError, "callback: expected a function, got 3"),
    ],
)  # fmt: skip
def test_bad_fits(options, error, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: net.fit(X, np.zeros(4), **({"epochs": 2} | options)), error, text)


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda s: s.pop("head.bias"), ValueError, "missing head.bias"),
        (lambda s: s.update(extra=1), ValueError, "not expected extra"),
        (lambda s: s.update({"weight_hh_l0": np.zeros((3, 2))}), ValueError,
         "state_dict['weight_hh_l0']: expected (2, 2), got (3, 2)"),
        (lambda s: s.update({"head.bias": np.array([np.nan])}), ValueError,
         "state_dict['head.bias']: expected finite numbers, got nan at [0]"),
        (lambda s: s.update({"head.bias": np.array(["a"])}), TypeError,
         "state_dict['head.bias']: expected real numbers, got dtype <U1"),
    ],
)  # fmt: skip
def test_bad_state_dicts(change, error, text):
    net = rc.RNN(3, 2, 1, seed=0)
    state = rc.RNN(3, 2, 1, seed=1).state_dict()
    change(state)
    unchanged(net, lambda: net.load_state_dict(state), error, text)


def test_state_dict_of_another_type():
    net = rc.RNN(3, 2, 1, seed=0)
    unchanged(net, lambda: net.load_state_dict([1]), TypeError, "state_dict: expected a mapping")


@pytest.mark.parametrize(
    ("x_t", "state", "text"),
    [
        (
            np.zeros(2),
            None,
            "x_t: expected (3,) or (batch, 3), or integer tokens, got (2,) of float64",
        ),
        (np.zeros((2, 2)), None, "x_t: expected (3,) or (batch, 3)"),
        (0.5, None, "x_t: expected (3,) or (batch, 3)"),
        (np.zeros(3), np.zeros((1, 1, 2)), "state: expected (1, 2) or (2,), got (1, 1, 2)"),
        (np.zeros((4, 3)), np.zeros((1, 2)), "state: expected (4, 1, 2) or (4, 2), got (1, 2)"),
        (np.array([0, np.nan, 0]), None, "x_t: expected finite numbers, got nan at [1]"),
        (3, None, "x_t: expected tokens from 0 to 2, got 3 at []"),
        (np.array([0, 5]), None, "x_t: expected tokens from 0 to 2, got 5 at [1]"),
        (
            np.zeros(3),
            np.full((1, 2), np.nan),
            "state: expected finite numbers, got nan at [0, 0]",
        ),
        (np.zeros((0, 3)), None, "x_t: expected at least 1 stream, got shape (0, 3)"),
        (np.zeros(0, int), None, "x_t: expected at least 1 stream, got shape (0,)"),
        (np.array([[0], [5]]), None, "x_t: expected tokens from 0 to 2, got 5 at [1, 0]"),
        (np.zeros((2, 1)), None, "x_t: expected (3,) or (batch, 3), or integer tokens"),
    ],
)
def test_bad_steps(x_t, state, text):
    net = rc.RNN(3, 2, 1, seed=0)
    unchanged(net, lambda: net.step(x_t, state), ValueError, text)


F32 = np.float32
LOCKED = np.zeros(1, F32)
LOCKED.setflags(write=False)


@pytest.mark.parametrize(
    ("x_t", "state", "text"),
    [
        (np.array([0, np.inf, 0], F32), None, "x_t: expected finite numbers, got inf at [1]"),
        (np.array([1e300, 0, 0]), None, "x_t: expected finite numbers, got inf at [0]"),
        ([0.0, 0.0, np.nan], None, "x_t: expected finite numbers, got nan at [2]"),
        (np.zeros((2, 3)), put(np.zeros((2, 1, 2)), (1, 0, 0), np.nan), "state: expected finite numbers, got nan at [1, 0, 0]"),
        (put(np.zeros((2, 3)), (1, 2), np.nan), None, "x_t: expected finite numbers, got nan at [1, 2]"),
        (np.zeros(3, F32), np.array([[0, np.nan]], F32), "state: expected finite numbers, got nan at [0, 1]"),
        (-1, None, "x_t: expected tokens from 0 to 2, got -1 at []"),
        (np.uint8(7), None, "x_t: expected tokens from 0 to 2, got 7 at []"),
        (2**62, None, "x_t: expected tokens from 0 to 2, got 4611686018427387904 at []"),
        (True, None, "x_t: expected (3,) or (batch, 3), or integer tokens, got () of bool"),
        (np.zeros((1, 1, 3)), None, "x_t: expected (3,) or (batch, 3), or integer tokens"),
        (np.zeros(3, F32), np.zeros((1, 3), F32), "state: expected (1, 2) or (2,), got (1, 3)"),
        (np.zeros(3, F32), np.zeros(3, F32), "state: expected (1, 2) or (2,), got (3,)"),
        (1, np.zeros((1, 1, 2), F32), "state: expected (1, 2) or (2,), got (1, 1, 2)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [False, True])
def test_bad_steps_leave_everything_as_it_was(x_t, state, text, given):
    net = rc.RNN(3, 2, 1, seed=0)
    out = (np.full(1, 5, F32), np.full((1, 2), 6, F32)) if given and np.ndim(x_t) < 2 else None
    unchanged(net, lambda: net.step(x_t, state, out=out), ValueError, text)
    assert out is None or ((out[0] == 5).all() and (out[1] == 6).all())


@pytest.mark.parametrize(
    ("x", "state", "text"),
    [
        (np.zeros((5, 2)), None, "x: expected (time, 3), or (time,) integer tokens, got (5, 2) of float64"),
        (np.zeros(5), None, "x: expected (time, 3), or (time,) integer tokens, got (5,) of float64"),
        (np.zeros((2, 5, 3)), None, "x: expected (time, 3), or (time,) integer tokens, got (2, 5, 3)"),
        (0.5, None, "x: expected (time, 3), or (time,) integer tokens, got () of float64"),
        (np.zeros((0, 3)), None, "x: expected at least 1 time step, got shape (0, 3)"),
        (np.zeros(0, int), None, "x: expected at least 1 time step, got shape (0,)"),
        ([[1, 2, 3], [4]], None, "x: expected an array, got a list"),
        (put(np.zeros((99, 3), F32), (70, 1), np.nan), None, "x: expected finite numbers, got nan at [70, 1]"),
        (put(np.zeros((99, 3)), (70, 1), 1e300), None, "x: expected finite numbers, got inf at [70, 1]"),
        (put(np.zeros(99, int), 70, 3), None, "x: expected tokens from 0 to 2, got 3 at [70]"),
        (put(np.zeros(99, np.int8), 70, -1), None, "x: expected tokens from 0 to 2, got -1 at [70]"),
        (np.zeros((5, 3)), np.zeros((1, 3)), "state: expected (1, 2) or (2,), got (1, 3)"),
        (np.zeros((5, 3), F32), np.array([[0, np.nan]], F32), "state: expected finite numbers, got nan at [0, 1]"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("given", [False, True])
def test_bad_streams_leave_everything_as_it_was(x, state, text, given):
    net = rc.RNN(3, 2, 1, seed=0)
    steps = len(x) if isinstance(x, np.ndarray) and x.ndim else 1
    out = (np.full((steps, 1), 5, F32), np.full((1, 2), 6, F32)) if given else None
    unchanged(net, lambda: net.run_stream(x, state, out=out), ValueError, text)
    assert out is None or ((out[0] == 5).all() and (out[1] == 6).all())


@pytest.mark.parametrize("k", [0, 1])
def test_streams_from_states_that_are_not_finite(build, k):
    """Both parts of an LSTM's are looked at."""
    net, x = rc.LSTM(3, 2, 1, seed=0), np.zeros((5, 3), F32)
    state = [np.zeros((1, 2), F32), np.zeros((1, 2), F32)]
    state[k][0, 1] = np.nan
    text = "state: expected finite numbers, got nan at [0, 1]"
    unchanged(net, lambda: net.step(x[0], tuple(state)), ValueError, text)
    unchanged(net, lambda: net.run_stream(x, tuple(state)), ValueError, text)


def test_one_number_per_step_of_a_stream():
    with pytest.raises(ValueError, match=r"got \(5,\) of float64; write x\[:, None\] for one"):
        rc.RNN(1, 2, 1, seed=0).run_stream(np.zeros(5))


SHARED = np.zeros(4, F32)


@pytest.mark.parametrize(
    ("out", "error", "text"),
    [
        (np.zeros(1, F32), TypeError, "out: expected a tuple (y, state) of two arrays, got array("),
        ([np.zeros(1, F32), np.zeros((1, 2), F32)], TypeError, "out: expected a tuple (y, state) of two arrays, got ["),
        ((np.zeros(1, F32),), TypeError, "out: expected a tuple (y, state) of two arrays, got (array("),
        (([0.0], np.zeros((1, 2), F32)), TypeError, "out[0]: expected an array (1,) of float32, got a list"),
        ((np.zeros(1, F32), None), TypeError, "out[1]: expected an array (1, 2) of float32, got a NoneType"),
        ((np.zeros(2, F32), np.zeros((1, 2), F32)), ValueError, "out[0]: expected (1,) of float32, got (2,) of float32"),
        ((np.zeros((1, 1), F32), np.zeros((1, 2), F32)), ValueError, "out[0]: expected (1,) of float32, got (1, 1) of float32"),
        ((np.zeros(1), np.zeros((1, 2), F32)), ValueError, "out[0]: expected (1,) of float32, got (1,) of float64"),
        ((np.zeros(1, F32), np.zeros((1, 1, 2), F32)), ValueError, "out[1]: expected (1, 2) of float32, got (1, 1, 2) of float32"),
        ((np.zeros(1, F32), np.zeros((1, 2))), ValueError, "out[1]: expected (1, 2) of float32, got (1, 2) of float64"),
        ((LOCKED, np.zeros((1, 2), F32)), ValueError, "out[0]: expected an array to write to, got a read-only one"),
        ((SHARED[1:2], SHARED[:2].reshape(1, 2)), ValueError, "out: expected arrays apart from each other"),
    ],
)  # fmt: skip
def test_bad_places_for_results(out, error, text):
    net = rc.RNN(3, 2, 1, seed=0)
    unchanged(net, lambda: net.step(np.zeros(3, F32), out=out), error, text)
    assert not SHARED.any()
    if type(out) is tuple and type(out[0]) is np.ndarray and out[0].shape == (1,):
        rows = (out[0].reshape(1, 1), *out[1:])
        unchanged(
            net,
            lambda: net.run_stream(np.zeros((1, 3), F32), out=rows),
            error,
            text.replace("(1,) of", "(1, 1) of"),
        )


def test_a_tape_that_does_not_fit_is_a_memory_error():
    net = rc.RNN(1, 4096, 1, loss="mse", seed=0)
    with pytest.raises(MemoryError):  # 20 million steps of 8193 rows
        net.loss_and_grad(np.zeros((1, 20_000_000, 1), np.float32), [0.0])


def test_a_number_of_one_series_is_not_a_token():
    net = rc.RNN(1, 2, 1, seed=0)
    with pytest.raises(ValueError, match=r"got 5 at \[0, 0\]; write x\[:, :, None\]"):
        net(np.array([[5, 3]]))


def test_parameters_that_are_not_finite():
    net = rc.RNN(3, 2, 3, loss="cross_entropy", seed=0)
    net.parameters()["head.bias"][1] = np.nan
    assert np.isnan(net.loss(X, np.zeros(4, int)))
    with pytest.raises(ValueError, match=r"parameters\(\)\['head.bias'\]: expected finite numbers"):
        net.fit(X, np.zeros(4, int), epochs=1)
    with pytest.raises(ValueError, match=r"parameters\(\)\['head.bias'\]: expected finite numbers"):
        net.save("nowhere")


def test_a_network_survives_a_second_construction_that_fails():
    net = rc.RNN(3, 2, 1, seed=0)
    with pytest.raises(ValueError, match="hidden_size"):
        net.__init__(7, 0)
    assert net(X).y.shape == (4, 1)


@pytest.mark.parametrize("path", [None, 5, 1.5])
def test_bad_paths(path):
    with pytest.raises(TypeError, match="path: expected a file's path"):
        rc.load(path)
    with pytest.raises(TypeError, match="path: expected a file's path"):
        rc.RNN(3, 2).save(path)


def test_numpy_error_settings_do_not_leak_in():
    with np.errstate(all="raise"):
        net = rc.RNN(1, 2, 3, loss="cross_entropy", seed=0)
        assert np.isfinite(net(np.full((1, 2, 1), 1e-50)).y).all()
        net.parameters()["head.bias"][:] = [0, 500, -500]
        assert net.predict_proba(np.zeros((1, 2, 1))).argmax() == 1


class Trouble(Exception):
    """Of a broken object."""


def broken(*names, **others):
    def trouble(*args, **options):
        raise Trouble

    return type("Broken", (), dict.fromkeys(names, trouble) | others)()


class BrokenMapping(dict):
    def __getitem__(self, name):
        raise Trouble


class BrokenList(list):
    def __len__(self):
        raise Trouble


NO_ARRAY = broken("__array__", "__len__", "__getitem__")
NO_NUMBER = broken("__index__", "__float__", "__repr__")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda net: net(NO_ARRAY), "x: expected an array, got a Broken with an error of its own"),
        (lambda net: net([NO_ARRAY]), "x[0]: expected an array, got a Broken"),
        (lambda net: net(BrokenList([X[0]])), "x: expected a list, got a BrokenList with an error"),
        (lambda net: net(X, h0=NO_ARRAY), "h0: expected an array, got a Broken"),
        (lambda net: net(X, mask=NO_ARRAY), "mask: expected an array, got a Broken"),
        (lambda net: net(X, threads=NO_NUMBER), "threads: expected an integer, got a Broken that"),
        (lambda net: net.loss(X, NO_ARRAY), "y: expected an array, got a Broken"),
        (lambda net: net.step(NO_ARRAY), "x_t: expected an array, got a Broken"),
        (lambda net: net.fit(X, np.zeros(4), epochs=NO_NUMBER), "epochs: expected an integer"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, lr=NO_NUMBER), "lr: expected a number, got"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, betas=NO_ARRAY), "betas: expected"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, l1=BrokenMapping(weight=1)),
         "l1: expected a mapping, got a BrokenMapping with an error of its own"),
        (lambda net: net.fit(X, np.zeros(4), epochs=1, validation=BrokenMapping(x=X, y=0)),
         "validation: expected a mapping, got a BrokenMapping"),
        (lambda net: net.load_state_dict(BrokenMapping(net.state_dict())),
         "state_dict: expected a mapping, got a BrokenMapping"),
        (lambda net: net.load_state_dict(net.state_dict() | {"head.bias": NO_ARRAY}),
         "state_dict['head.bias']: expected an array, got a Broken"),
        (lambda net: net.save(broken("__fspath__")), "path: expected a file's path, got <"),
        (lambda net: rc.RNN(NO_NUMBER, 2), "input_size: expected an integer, got a Broken that"),
        (lambda net: rc.RNN(3, 2, bias=NO_NUMBER), "bias: expected True or False, got a Broken"),
        (lambda net: rc.RNN(3, 2, readout=NO_NUMBER), "readout: expected one of 'last', 'all', got"),
        (lambda net: rc.RNN(3, 2, seed=NO_NUMBER), "seed: expected None, an integer or a numpy"),
        (lambda net: rc.RNN(3, 2, init=BrokenMapping(h0=1)), "init: expected a mapping, got a Bro"),
    ],
)  # fmt: skip
def test_objects_that_break_when_they_are_looked_at(call, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: call(net), TypeError, text)


LONG = 10**5000  # Python does not print so many digits


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda net: rc.RNN(LONG, 2),
            "input_size: expected at most 2147483647, got a int that can",
        ),
        (lambda net: rc.schedules.Step(-LONG, 1), "lr: expected more than 0 and finite, got a int"),
        (lambda net: rc.schedules.Cosine(LONG), "lr: expected more than 0 and finite, got a int"),
        (lambda net: net.fit(X, np.zeros(4), epochs=LONG), "epochs: expected at most 2147483647"),
        (lambda net: rc.RNN(3, 2, loss="m" * 10**6), "loss: expected one of None, 'bce', 'mse',"),
    ],
)
def test_what_came_is_not_shown_at_any_length(call, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    with pytest.raises(ValueError, match=re.escape(text)) as caught:
        call(net)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "lr",
    [np.complex64(1), 1j, np.timedelta64(1, "s"), bytearray(b"1"), np.str_("1"), np.array("1"),
     np.array([0.1])],
)  # fmt: skip
def test_what_float_would_take_and_is_no_number(lr):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(
        net, lambda: net.fit(X, np.zeros(4), epochs=1, lr=lr), TypeError, "lr: expected a number"
    )


def test_a_time_is_no_token(build):
    net = rc.RNN(3, 2, 1, seed=0)
    for x_t in (np.timedelta64(1), np.timedelta64("NaT", "s")):
        unchanged(net, lambda x_t=x_t: net.step(x_t), TypeError, "x_t: expected real numbers")


def test_states_of_tokens_that_are_no_pair():
    net = rc.LSTM(3, 2, 1, seed=0)
    x_t = np.array([0, 1])
    unchanged(net, lambda: net.step(x_t, 5), TypeError, "state: expected a pair (h, c) for an LSTM")
    unchanged(net, lambda: net.step(x_t, (NO_ARRAY, 1)), TypeError, "state[0]: expected an array")


def test_a_flow_in_which_nothing_counts():
    net = rc.RNN(3, 2, 2, loss="cross_entropy", seed=0)
    text = "y: expected at least one target that counts, got none"
    unchanged(net, lambda: net.gradient_flow(X, [-1] * 4), ValueError, text)


@pytest.mark.parametrize("share", ["left to train on", "set apart"])
def test_shares_of_validation_in_which_nothing_counts(share):
    inputs = Inputs(rc.RNN(3, 2, 2, loss="cross_entropy")._model.spec, X)
    data = splits.data_of(inputs, np.zeros(4, int))
    apart = splits.held_out(0.25, "random", data, _seed(0))[1].order
    y = np.full(4, -1 if share == "left to train on" else 1)
    y[apart] = 1 if share == "left to train on" else -1
    net = rc.RNN(3, 2, 2, loss="cross_entropy", seed=0)
    unchanged(
        net,
        lambda: net.fit(X, y, epochs=2, validation=0.25, rng=0),
        ValueError,
        f"validation: expected a target that counts among the sequences {share}, got none of",
    )


def _seed(rng):
    return check.seed("rng", rng)


def test_strengths_that_overflow():
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    for name in ("l1", "weight_decay"):
        unchanged(
            net,
            lambda name=name: net.fit(X, np.zeros(4), epochs=1, **{name: 1e300}),
            ValueError,
            f"{name}: expected a finite number in float32, got 1e+300",
        )


def test_rates_that_overflow():
    lr = rc.schedules.Step(1.0, every=1, factor=1e300)
    assert lr(2, 9) == 1e300
    assert lr(9, 9) == float("inf")
    assert rc.schedules.Cosine(0.1, end=1e308)(1, 9) >= 0


@pytest.mark.parametrize("path", ["", "a\0b", b"\0", "\ud800"])
def test_names_that_no_file_has(path):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    for call in (net.save, rc.load):
        with pytest.raises(ValueError, match="path: expected a file's path, got"):
            call(path)
    unchanged(net, lambda: net.fit(X, np.zeros(4), epochs=1, checkpoint=path), ValueError,
              "checkpoint: expected a file's path, got")  # fmt: skip


def test_checkpoints_that_cannot_be_written_are_known_before_anything_is_trained(tmp_path):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    before = net.flat.copy()
    for path in (tmp_path, tmp_path / "no" / "such" / "folder", tmp_path / ("x" * 5000)):
        with pytest.raises(OSError):  # noqa: PT011
            net.fit(X, np.zeros(4), epochs=1, checkpoint=path)
        assert net.flat.tobytes() == before.tobytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": -1}, "its header is not one"),
        ({"seed": 2**64}, "its header is not one"),
        ({"seed": 1.5}, "its header is not one"),
        ({"fit": [1]}, "its header is not one"),
        ({"records": np.zeros((0, 6))}, "its records are (0, 6) of float64"),
        ({"records": np.zeros((2, 6), "U3")}, "its records are (2, 6) of <U3"),
        ({"records": np.zeros((2, 4))}, "records of shape (2, 4)"),
        ({"parameters": np.full(17, np.nan, "f4")}, "its parameters: expected finite numbers"),
        ({"best": np.zeros(17, "U1")}, "its best: expected real numbers"),
        ({"order": np.full(4, 9)}, "order: no sequence 9"),
        ({"progress": np.zeros(3, "u1")}, "progress: expected size 64, got 3"),
    ],
)
def test_forged_checkpoints(tmp_path, change, text):
    import json

    path, net = tmp_path / "fit.npz", rc.RNN(3, 2, 1, loss="mse", seed=0)
    net.fit(X, np.zeros(4), epochs=1, rng=0, checkpoint=path)
    with np.load(path) as archive:
        entries = dict(archive)
    assert entries["parameters"].shape == (17,)
    header = json.loads(str(entries["rnncore"]))
    for name, value in change.items():
        (header if name in header else entries)[name] = value
    np.savez(path, **(entries | {"rnncore": np.array(json.dumps(header))}))
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: net.fit(X, np.zeros(4), epochs=2, checkpoint=path), ValueError, text)


@pytest.mark.parametrize("dtype", ["u1", "f2", "?"])
def test_arrays_of_more_numbers_than_there_are_addresses(dtype):
    net = rc.RNN(1, 2, 1, loss="mse", dtype="float64", seed=0)
    x = np.broadcast_to(np.zeros((), dtype), (65, 2**55, 1))
    for call in (net, net.predict, lambda x: net.loss(x, np.zeros(65))):
        with pytest.raises(MemoryError, match=r"no room for an array \(65, 36028797018963968, 1\)"):
            call(x)
    if dtype == "u1":
        with pytest.raises(MemoryError, match="no room"):
            net(x[:, :, 0])


def test_a_share_of_validation_in_another_precision(tmp_path):
    for share in (np.float32(0.25), np.array(0.25)[()]):
        net = rc.RNN(3, 2, 1, loss="mse", seed=0)
        history = net.fit(X, np.zeros(4), epochs=1, validation=share, checkpoint=tmp_path / "fit")
        assert history.validation is not None
