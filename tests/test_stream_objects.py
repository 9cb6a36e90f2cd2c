"""Streams that keep their own states: `net.streams`."""

import pickle

import numpy as np
import pytest
from refusals import unchanged
from states import parts, same
from test_streams import KINDS, each, network

import rnncore as rc


@pytest.mark.parametrize("count", [1, 3, 64, 70])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_streams_are_steps(build, dtype, kind, options, count):
    net = network(kind, 7, dtype, **options)
    x = np.random.default_rng(count).standard_normal((count, 6, 3)).astype(dtype)
    streams, expected = net.streams(count), net(x)
    assert len(streams) == count
    out = np.empty((count, expected.y.shape[2]), dtype)
    for t in range(6):
        given = (x[:, t].copy(), x[:, t].astype(float), x[:, t].tolist())[t % 3]
        if t % 2:
            assert streams.step(given, out) is out
            y = out
        else:
            y = streams.step(given)
        assert same(y, expected.y[:, t])
    assert same(streams.state, expected.final)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
@pytest.mark.parametrize("form", [int, list, np.array, "bool"])
def test_streams_that_are_reset_begin_again(build, dtype, kind, options, form):
    net = network(kind, 5, dtype, **options)
    x = np.random.default_rng(0).standard_normal((5, 8, 3)).astype(dtype)
    which = [3] if form is int else [0, 3]
    streams = net.streams(5)
    for t in range(5):
        streams.step(x[:, t])
    before = streams.state
    mask = np.isin(np.arange(5), which)
    streams.reset(3 if form is int else mask if form == "bool" else form(which))
    kept = each(lambda part: part[~mask], streams.state)
    assert same(kept, each(lambda part: part[~mask], before))
    for t in range(5, 8):
        y = streams.step(x[:, t])
    assert same(y[~mask], net(x).y[~mask, -1])
    assert same(y[mask], net(x[mask, 5:]).y[:, -1])
    streams.reset([])
    assert same(streams.step(x[:, 0])[~mask], net.step(x[:, 0], net(x).final)[0][~mask])
    streams.reset()
    assert same(streams.step(x[:, 0]), net(x).y[:, 0])


def test_tokens_even_as_many_as_there_are(build, dtype):
    net = network("GRU", 5, dtype, input_size=4)
    tokens = np.random.default_rng(0).integers(0, 4, (4, 6))
    streams = net.streams(4)
    for t in range(6):
        y = streams.step(
            (tokens[:, t], tokens[:, t].astype(np.uint8), tokens[:, t].tolist())[t % 3]
        )
    assert same(y, net(tokens).y[:, -1])
    net = network("GRU", 5, dtype, input_size=1)
    x = np.random.default_rng(0).integers(-3, 4, (4, 1))
    assert same(net.streams(4).step(x[:, 0]), net(x[:, None].astype(float)).y[:, 0])


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_states_are_copied_in_and_out(build, dtype, kind):
    net = network(kind, 5, dtype)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(dtype)
    streams, other = net.streams(4), net.streams(4)
    streams.step(x)
    state = streams.state
    other.state = state
    expected = streams.step(x)
    for part in parts(state):
        part[:] = 9
    assert same(other.step(x), expected)
    other.state = each(lambda part: part[:, 0].tolist(), state)  # any form that step takes
    assert same(other.state, state)


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_pickles_go_on(build, dtype, kind):
    net = network(kind, 5, dtype, trainable_h0=True)
    x = np.random.default_rng(0).standard_normal((4, 3)).astype(dtype)
    streams = net.streams(4)
    streams.step(x)
    again = pickle.loads(pickle.dumps(streams))
    assert same(again.step(x), streams.step(x))
    streams.step(x)
    assert not same(again.state, streams.state)
    again.reset()
    assert same(again.step(x), net.step(x)[0])


def test_streams_follow_their_network(build):
    net = network("GRU", 5, "float32", trainable_h0=True)
    streams, x = net.streams(3), np.ones((3, 3), np.float32)
    net.flat[:] *= 2
    streams.reset()
    assert same(streams.step(x), net.step(x)[0])


X = np.zeros((4, 3), np.float32)
LOCKED = np.zeros((4, 2), np.float32)
LOCKED.setflags(write=False)
REFUSED = [
    (lambda s: s.step(X[:3]), ValueError, "x_t: expected (4, 3), or (4,) integer tokens, got (3"),
    (lambda s: s.step(X[:, 0]), ValueError, "x_t: expected (4, 3), or (4,) integer tokens"),
    (lambda s: s.step(X[0]), ValueError, "x_t: expected (4, 3), or (4,) integer tokens"),
    (lambda s: s.step(X + np.nan), ValueError, "x_t: expected finite numbers, got nan at [0, 0]"),
    (lambda s: s.step([0, 1, 2, 3]), ValueError, "x_t: expected tokens from 0 to 2, got 3"),
    (lambda s: s.step(None), TypeError, "x_t: expected real numbers"),
    (lambda s: s.step(X, LOCKED), ValueError, "out: expected an array to write to"),
    (lambda s: s.step(X, LOCKED[:3]), ValueError, "out: expected (4, 2) of float32, got (3, 2)"),
    (lambda s: s.step(X, np.zeros((4, 2))), ValueError, "out: expected (4, 2) of float32"),
    (lambda s: s.step(X, (X, X)), TypeError, "out: expected an array (4, 2) of float32"),
    (lambda s: s.reset(4), ValueError, "which: expected streams from 0 to 3, got 4"),
    (lambda s: s.reset(-1), ValueError, "which: expected streams from 0 to 3, got -1"),
    (lambda s: s.reset([0.0]), TypeError, "which: expected integers or booleans, got dtype float"),
    (lambda s: s.reset([True]), ValueError, "which: expected (4,), got (1,)"),
    (lambda s: s.reset("a"), TypeError, "which: expected"),
    (lambda s: setattr(s, "state", None), TypeError, "state: expected an array, got None"),
    (lambda s: setattr(s, "state", X), ValueError, "state: expected (4, 1, 5) or (4, 5), got (4,"),
    (
        lambda s: setattr(s, "state", np.full((4, 5), np.inf)), ValueError,
        "state: expected finite numbers, got inf",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "text"), REFUSED)
def test_what_streams_refuse(build, call, error, text):
    net = network("RNN", 5, "float32")
    streams = net.streams(4)
    streams.step(X + 1)
    before = streams.state
    unchanged(net, lambda: call(streams), error, text)
    assert same(streams.state, before)
    assert not LOCKED.any()


def test_bad_numbers_of_streams():
    net = network("RNN", 5, "float32")
    for n, error in ((0, ValueError), (2.0, TypeError), (True, TypeError), (None, TypeError)):
        with pytest.raises(error, match="n: expected"):
            net.streams(n)
    both = rc.RNN(3, 5, 2, bidirectional=True)
    with pytest.raises(ValueError, match="streams: expected a network with bidirectional=False"):
        both.streams(3)
