"""Many streams at once: the bits of each alone, whatever shares its call; states of every form."""

import threading

import numpy as np
import pytest
from states import parts, same

import rnncore as rc

#: One group of streams, several, and so many that they go side by side through lanes.
COUNTS = [1, 2, 3, 9, 64, 65, 150, 1500]
KINDS = [
    ("RNN", {}), ("LSTM", {}), ("GRU", {}),
    ("RNN", {"nonlinearity": "relu", "bias": False, "output_size": None}),
    ("RNN", {"skip": 3, "num_layers": 2, "trainable_h0": True}),
    ("LSTM", {"num_layers": 2, "trainable_h0": True}),
    ("GRU", {"num_layers": 3, "bias": False}), ("GRU", {"readout_bias": False}),
    ("RNN", {"bias": False, "readout_bias": True}),
]  # fmt: skip


def network(kind, hidden, dtype, **options):
    options = {"output_size": 2, "input_size": 3} | options
    net = getattr(rc, kind)(hidden_size=hidden, readout="all", dtype=dtype, seed=0, **options)
    rng = np.random.default_rng(1)
    for name in {"h0", "c0"} & set(net.parameters()):
        net.parameters()[name][:] = rng.uniform(-1, 1, net.parameters()[name].shape)
    return net


def each(function, state):
    """The same done to an array, or to both of a pair."""
    return tuple(map(function, state)) if isinstance(state, tuple) else function(state)


@pytest.mark.parametrize("hidden", [1, 5, 16, 40, 130])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_streams_have_the_bits_of_a_batch(build, dtype, kind, options, hidden):
    net = network(kind, hidden, dtype, **options)
    for count in COUNTS if hidden < 100 else (3, 40):
        x = np.random.default_rng(count).standard_normal((count, 3, 3)).astype(dtype)
        expected, state = net(x), None
        for t in range(3):
            y, state = net.step(x[:, t], state)
            assert same(y, expected.y[:, t])
        assert same(state, expected.final)
        again = net(x, h0=state)
        y, after = net.step(x[:, 0].astype(float), state)  # of the other precision, if it is one
        assert same(y, again.y[:, 0])
        y, _ = net.step(x[:, 1], after)
        assert same(y, again.y[:, 1])


def test_the_core_takes_many_streams_as_they_are(build, dtype):
    """Without the checks and conversions of a batch, but for those that are faster as one."""
    net = network("LSTM", 5, dtype)
    for count in (1, 16, 1000):
        x = np.zeros((count, 3), dtype)
        result = net._model.stream.step(x, None, None)
        assert net._model.stream.step(x, result[1], result) is result
        assert net._model.stream.step(np.zeros((count, 1), np.int64), result[1], None) is not None
    wide = network("RNN", 200, dtype)
    assert wide._model.stream.step(np.zeros((32, 3), dtype), None, None) is not None
    assert wide._model.stream.step(np.zeros((33, 3), dtype), None, None) is None


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("hidden", [2, 40])
def test_streams_of_tokens(build, dtype, kind, hidden):
    net = network(kind, hidden, dtype, input_size=100)
    for count in (1, 7, 99, 100, 1500):
        tokens = np.random.default_rng(count).integers(0, 100, (count, 2))
        expected = net(tokens)
        for form in (lambda t: t[:, None], lambda t: t.astype(np.uint8)[:, None], np.array):
            if form is np.array and count == 100:  # as many as there are tokens
                continue
            y, state = net.step(form(tokens[:, 0]))
            assert same(y, expected.y[:, 0])
            y, state = net.step(form(tokens[:, 1]), state)
            assert same(y, expected.y[:, 1])
            assert same(state, expected.final)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_states_into_given_arrays(build, dtype, kind, options):
    """Into others, on top of those that are read, and across them."""
    net = network(kind, 5, dtype, **options)
    rng = np.random.default_rng(0)
    for count in (4, 130):
        x = rng.standard_normal((count, 3)).astype(dtype)
        state = net.step(rng.standard_normal((count, 3)), None)[1]
        state = each(np.copy, state)
        expected = net.step(x, state)
        y, other = np.empty_like(expected[0]), each(np.empty_like, state)
        got = net.step(x, state, out=(y, other))
        assert got[0] is y
        assert all(a is b for a, b in zip(parts(got[1]), parts(other), strict=True))
        assert same((y, *parts(other)), (expected[0], *parts(expected[1])))
        kept = each(np.copy, state)
        net.step(x, state, out=(y, state))
        assert same(state, expected[1])
        state = each(np.copy, kept)
        if isinstance(state, tuple):
            net.step(x, state, out=(y, state[::-1]))
            assert same(state[::-1], expected[1])
            continue
        rows = np.zeros((count + 1, *state.shape[1:]), dtype)
        for begin, end in ((0, 1), (1, 0)):
            rows[begin : begin + count] = kept
            net.step(x, rows[begin : begin + count], out=(y, rows[end : end + count]))
            assert same(rows[end : end + count], expected[1])
            assert same(y, expected[0])


def test_outputs_on_top_of_what_is_read(build, dtype):
    net = network("RNN", 2, dtype, input_size=2)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 2)).astype(dtype)
    state = rng.standard_normal((200, 1, 2)).astype(dtype)
    expected = net.step(x, state)
    for shift in (-1, 0, 1):
        room = np.zeros((202, 2), dtype)
        room[1:201] = x
        y, new = room[1 + shift : 201 + shift], np.empty_like(state)
        net.step(room[1:201], state, out=(y, new))
        assert same((y.copy(), new), expected)
        room[1:201] = state[:, 0]
        net.step(x, room[1:201, None], out=(y, new))
        assert same((y.copy(), new), expected)
        room[1:201] = x
        new = room[1 + shift : 201 + shift, None]
        y = np.empty_like(x)
        net.step(room[1:201], state, out=(y, new))
        assert same((y, new.copy()), expected)


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_one_bad_number_among_many_streams(build, kind, count):
    net = network(kind, 5, "float32")
    x = np.zeros((count, 3), np.float32)
    y, state = net.step(x)
    y[:], kept = 7, each(np.copy, state)
    bad = x.copy()
    bad[-1, 1] = np.nan
    for form in (bad, bad.astype(float), np.where(np.isnan(bad), 1e300, 0)):
        with pytest.raises(ValueError, match=rf"x_t: expected finite .* at \[{count - 1}, 1\]"):
            net.step(form, state, out=(y, state))
    for part in parts(state):
        part[-1, 0, 2] = np.inf
        with pytest.raises(ValueError, match=rf"state.*: expected finite .* \[{count - 1}, 0, 2\]"):
            net.step(x, state, out=(y, state))
        part[-1, 0, 2] = 0
    for tokens in ([0] * count, [0] * (count - 1)):
        with pytest.raises(ValueError, match="x_t: expected tokens from 0 to 2"):
            net.step(np.array([*tokens, 3])[:, None], None)
    assert (y == 7).all()
    for part in parts(kept):
        part[-1, 0, 2] = 0
    assert same(state, kept)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_what_was_a_first_state_is_a_state(build, kind):
    """Without the axis of the rows, where there is one; as ``h0=`` takes it."""
    net = network(kind, 5, "float32")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4, 3)).astype(np.float32)
    state = rng.standard_normal((2, 4, 5)).astype(np.float32)
    h0 = tuple(state) if kind == "LSTM" else state[0]
    expected = net(x[:, None], h0=h0)
    y, after = net.step(x, h0)
    assert same(y, expected.y[:, 0])
    assert same(after, expected.final)
    y, after = net.step(x[1], each(lambda part: part[1], h0))
    assert same(y, expected.y[1, 0])
    assert same(after, each(lambda part: part[1], expected.final))
    y, after = net.run_stream(x[1:2], each(lambda part: part[1].tolist(), h0))
    assert same(y, expected.y[1])
    assert same(after, each(lambda part: part[1], expected.final))


@pytest.mark.parametrize("layers", [1, 2])
def test_states_without_those_before_the_latest(build, layers):
    net = network("RNN", 4, "float64", skip=3, num_layers=layers)
    rng = np.random.default_rng(0)
    x, latest = rng.standard_normal((5, 4, 3)), rng.standard_normal((5, layers, 4))
    expected = net(x, h0=latest)
    forms = [latest] if layers > 1 else [latest, latest[:, 0]]
    for form in forms:
        y, state = net.step(x[:, 0], form)
        for t in (1, 2, 3):
            y, state = net.step(x[:, t], state)
        assert same(y, expected.y[:, 3])
        assert same(state, expected.final)
        y, state = net.run_stream(x[2], form[2])
        assert same(y, expected.y[2])
        assert same(state, expected.final[2])


def test_states_of_the_wrong_shape():
    net = network("LSTM", 5, "float32")
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"state\[1\]: expected \(4, 1, 5\) or \(4, 5\), got \(5,"):
        net.step(x, (np.zeros((4, 5)), np.zeros(5)))
    with pytest.raises(ValueError, match=r"state\[0\]: expected \(1, 5\) or \(5,\), got \(4, 5\)"):
        net.run_stream(x, (np.zeros((4, 5)), np.zeros((4, 5))))
    net = network("RNN", 5, "float32", skip=2, num_layers=2)
    with pytest.raises(ValueError, match=r"state: expected \(4, 4, 5\) or \(4, 2, 5\), got \(4, 5"):
        net.step(x, np.zeros((4, 5)))


def test_threads_may_step_many_streams_at_once(build):
    """Few, with the GIL, and many, for which it is released, of one network."""
    net = network("GRU", 40, "float32")
    sizes = (3, 300)
    x = {n: np.random.default_rng(n).standard_normal((n, 20, 3)).astype("float32") for n in sizes}
    expected = {n: net(x[n]).y[:, -1] for n in sizes}
    wrong = []

    def work(n):
        for _ in range(20):
            state = None
            for t in range(20):
                y, state = net.step(x[n][:, t], state)
            if not same(y, expected[n]):
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in sizes for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_every_change_of_a_parameter_is_seen(build):
    net = network("RNN", 20, "float32")
    x = np.ones((6, 3), np.float32)
    seen = []
    for factor in (1, 0.5, 2):
        net.flat[:] *= factor
        seen.append(net.step(x)[0])
        assert same(seen[-1], net(x[:, None]).y[:, 0])
    assert not same(seen[0], seen[1])
