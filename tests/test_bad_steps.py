"""Inputs, states and places for results that do not fit a stream are refused, and neither the
network nor what was given to write to is touched."""

import numpy as np
import pytest
from refusals import F32, NO_ARRAY, put, unchanged

import rnncore as rc

LOCKED = np.zeros(1, F32)
LOCKED.setflags(write=False)
SHARED = np.zeros(4, F32)


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


def test_states_of_tokens_that_are_no_pair():
    net = rc.LSTM(3, 2, 1, seed=0)
    x_t = np.array([0, 1])
    unchanged(net, lambda: net.step(x_t, 5), TypeError, "state: expected a pair (h, c) for an LSTM")
    unchanged(net, lambda: net.step(x_t, (NO_ARRAY, 1)), TypeError, "state[0]: expected an array")


def test_a_time_is_no_token(build):
    net = rc.RNN(3, 2, 1, seed=0)
    for x_t in (np.timedelta64(1), np.timedelta64("NaT", "s")):
        unchanged(net, lambda x_t=x_t: net.step(x_t), TypeError, "x_t: expected real numbers")


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
