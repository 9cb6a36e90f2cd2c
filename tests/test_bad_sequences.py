"""Batches, targets and gradients of outputs that do not fit are refused by every call that takes
them, in words that name the argument, and change nothing."""

import numpy as np
import pytest
from refusals import X, put, unchanged

import rnncore as rc

NAN = X.copy()
NAN[2, 3, 1] = np.nan
INF = X.copy()
INF[0, 4, 2] = -np.inf


TOKENS = np.zeros((4, 5), int)


# x, options of the call, error, text
INPUTS = [
    (np.zeros((4, 5)), {}, ValueError, "x: expected (batch, time, 3), got (4, 5) of float64"),
    (np.zeros((5, 3)), {}, ValueError, "x: expected (batch, time, 3), got (5, 3) of float64; write x[None] for one sequence of 5 steps"),
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
    (np.array([["a"]]), {}, TypeError, "x: expected real numbers, got dtype <U1; np.unique(names, return_inverse=True)[1] numbers names"),
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
    ("bce", "last", np.zeros(4, int), ValueError, "y: expected (4, 2), got (4,); for class numbers take loss=\"cross_entropy\", for one answer output_size=1"),
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
    ("cross_entropy", "last", np.array([0, 1, 2, 0]), ValueError, "y: expected classes from 0 to 1, got 2 at [2]; output_size is the number of classes"),
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


def test_a_number_of_one_series_is_not_a_token():
    net = rc.RNN(1, 2, 1, seed=0)
    with pytest.raises(ValueError, match=r"got 5 at \[0, 0\]; write x\[:, :, None\]"):
        net(np.array([[5, 3]]))


def test_a_flow_in_which_nothing_counts():
    net = rc.RNN(3, 2, 2, loss="cross_entropy", seed=0)
    text = "y: expected at least one target that counts, got none"
    unchanged(net, lambda: net.gradient_flow(X, [-1] * 4), ValueError, text)


def test_a_tape_that_does_not_fit_is_a_memory_error():
    net = rc.RNN(1, 4096, 1, loss="mse", seed=0)
    with pytest.raises(MemoryError):  # 20 million steps of 8193 rows
        net.loss_and_grad(np.zeros((1, 20_000_000, 1), np.float32), [0.0])


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
