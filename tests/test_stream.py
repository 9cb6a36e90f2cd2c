"""A stream gives the bits of the whole sequence, however it is cut, and changes nothing."""

import contextlib
import sys
import threading
import time

import numpy as np
import pytest
from states import same

import rnncore as rc

SIZES = [1, 2, 3, 5, 8, 16, 17, 40, 100]
NONLINEARITIES = ["tanh", "relu", "sigmoid", "identity"]
CUTS = [(1, 2, 3, 144), (150,), (63, 64, 23), (64, 86)]


def stepped(net, x, state=None):
    """(y, state) by `step`, one input after the other."""
    ys = []
    for x_t in x:
        y, state = net.step(x_t, state)
        ys.append(y)
    return np.array(ys), state


def cut_up(net, x, cuts, state=None):
    """(y, state) by `run_stream` on pieces of so many steps."""
    ys, begin = [], 0
    for steps in cuts:
        y, state = net.run_stream(x[begin : begin + steps], state)
        ys.append(y)
        begin += steps
    assert begin == len(x)
    return np.concatenate(ys), state


@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_streams_have_the_bits_of_a_batch(build, dtype, nonlinearity, hidden):
    rng = np.random.default_rng(hidden)
    for inputs, outputs, bias in ((1, 1, True), (3, None, True), (5, 2, False), (2, 19, True)):
        net = rc.RNN(
            inputs, hidden, outputs, nonlinearity=nonlinearity, bias=bias, readout="all",
            dtype=dtype, seed=rng,
        )  # fmt: skip
        x = rng.standard_normal((3, 150, inputs)).astype(dtype)
        h0 = rng.standard_normal((3, 1, hidden)).astype(dtype)
        fresh, given = net(x), net(x, h0=h0)
        for s, cuts in enumerate(CUTS[:3]):
            y, state = cut_up(net, x[s], cuts)
            assert same(y, fresh.y[s])
            assert same(state, fresh.final[s])
            y, state = cut_up(net, x[s], cuts[::-1], h0[s])
            assert same(y, given.y[s])
            assert same(state, given.final[s])
        y, state = stepped(net, x[0, :20], h0[0])
        assert same(y, given.y[0, :20])
        assert same(state, given.hidden[0, 19:20])


@pytest.mark.parametrize("hidden", [1, 5, 40])
def test_streams_of_tokens_have_the_bits_of_a_batch(build, dtype, hidden):
    net = rc.RNN(1000, hidden, 2, readout="all", dtype=dtype, seed=0)
    tokens = np.random.default_rng(0).integers(0, 1000, (2, 150))
    out = net(tokens)
    for s, form in enumerate((np.int64, np.uint16)):
        y, state = cut_up(net, tokens[s].astype(form), CUTS[s])
        assert same(y, out.y[s])
        assert same(state, out.final[s])
        assert same(stepped(net, tokens[s].astype(form))[0], out.y[s])
        assert same(stepped(net, tokens[s].tolist())[1], out.final[s])


def test_many_vectors_of_units(build):
    """Several tiles, the last of them narrower."""
    for hidden in (129, 150, 272):
        net = rc.RNN(4, hidden, 130, readout="all", dtype="float64", seed=0)
        x = np.random.default_rng(0).standard_normal((1, 30, 4))
        y, state = net.run_stream(x[0])
        out = net(x)
        assert same(y, out.y[0])
        assert same(state, out.final[0])


def test_a_stream_reads_out_after_every_step(build):
    last, every = (rc.RNN(2, 6, 3, readout=readout, seed=0) for readout in ("last", "all"))
    x = np.random.default_rng(0).standard_normal((1, 9, 2)).astype(np.float32)
    assert same(last.run_stream(x[0])[0], every(x).y[0])
    assert same(stepped(last, x[0])[0], every(x).y[0])
    assert same(last.run_stream(x[0])[0][-1], last(x).y[0])


def test_states_go_round(build, dtype):
    """From a batch into a stream, from a step into a chunk, and back."""
    net = rc.RNN(2, 6, 3, readout="all", dtype=dtype, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 40, 2)).astype(dtype)
    whole = net(x)
    begun = net(x[:, :10])
    _, state = net.run_stream(x[2, 10:20], begun.final[2])
    _, state = net.step(x[2, 20], state)
    _, state = net.run_stream(x[2, 21:30], state)
    ended = net(x[2:3, 30:], h0=state[None])
    assert same(ended.y, whole.y[2:3, 30:])
    assert same(ended.final, whole.final[2:3])


def test_any_form_of_the_same_numbers(build):
    net = rc.RNN(3, 5, 2, seed=0)
    x = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
    state = np.random.default_rng(1).standard_normal((1, 5)).astype(np.float32)
    expected = net.run_stream(x, state)
    readonly = x.copy()
    readonly.setflags(write=False)
    unaligned = np.zeros(4 * x.size + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    unaligned[:] = x
    forms = [
        x.tolist(), tuple(x), x.astype(float), x.astype(">f8"), np.asfortranarray(x), readonly,
        np.repeat(x, 2, axis=1)[:, ::2], x.astype(np.longdouble), unaligned,
    ]  # fmt: skip
    for form in forms:
        for h in (state, state.tolist(), state.astype(float), np.asfortranarray(state)):
            for got in (net.run_stream(form, h), stepped(net, form, h)):
                assert same(got[0], expected[0])
                assert same(got[1], expected[1])
    ones = np.ones((4, 3))
    for form in (ones.astype(int), ones.astype(bool), ones.tolist(), ones.astype(np.float16)):
        assert same(net.run_stream(form)[0], net.run_stream(ones)[0])


def test_new_arrays_every_time(build):
    net = rc.RNN(3, 5, 2, seed=0)
    x, state = np.ones(3, np.float32), np.ones((1, 5), np.float32)
    for call, given in ((net.step, x), (net.run_stream, x[None])):
        first = call(given, state)
        kept = [values.copy() for values in first]
        second = call(given, first[1])
        assert not any(np.shares_memory(a, b) for a in first for b in second)
        assert all(same(a, b) for a, b in zip(first, kept, strict=True))
        assert (state == 1).all()
        assert (given == 1).all()


@pytest.mark.parametrize("tokens", [False, True])
def test_results_into_given_arrays(build, dtype, tokens):
    net = rc.RNN(3, 5, 2, dtype=dtype, readout="all", seed=0)
    x = np.random.default_rng(0).standard_normal((80, 3)).astype(dtype)
    x = np.abs(x * 9).argmax(axis=1) if tokens else x
    expected = net.run_stream(x)
    y, state = np.full(2, 9, dtype), np.zeros((1, 5), dtype)
    for t, x_t in enumerate(x):
        got = net.step(x_t, state, out=(y, state))
        assert got[0] is y
        assert got[1] is state
        assert same(y, expected[0][t])
    assert same(state, expected[1])
    ys, state = np.full((80, 2), 9, dtype), np.zeros((1, 5), dtype)
    got = net.run_stream(x, state, out=(ys, state))
    assert got[0] is ys
    assert got[1] is state
    assert same(ys, expected[0])
    assert same(state, expected[1])


def test_results_into_given_arrays_of_many_streams(build):
    net = rc.RNN(3, 5, 2, seed=0)
    x = np.random.default_rng(0).standard_normal((20, 3))
    y, state = np.zeros((20, 2), np.float32), np.zeros((20, 1, 5), np.float32)
    expected = net.step(x, net.step(x)[1])
    for _ in range(2):
        got = net.step(x, state, out=(y, state))
    assert got[0] is y
    assert got[1] is state
    assert same(y, expected[0])
    assert same(state, expected[1])


def test_results_on_top_of_the_input(build):
    """What is written where the input, or the state, still has to be read."""
    rng = np.random.default_rng(0)
    net = rc.RNN(2, 2, 2, readout="all", seed=0)
    values = rng.standard_normal((200, 2)).astype(np.float32)
    start = rng.standard_normal((1, 2)).astype(np.float32)
    expected = net.run_stream(values, start)
    for offset in (0, 6, 10, 14):
        room = np.zeros(420, np.float32)
        x, y = (room[at : at + 400].reshape(200, 2) for at in (10, offset))
        x[:], h = values, start.copy()
        net.run_stream(x, h, out=(y, h))
        assert same(y, expected[0])
        assert same(h, expected[1])
    first = net.step(values[0], start)
    x_t, new = values[0].copy(), np.empty((1, 2), np.float32)
    net.step(x_t, start, out=(x_t, new))  # y over x_t
    assert same(x_t, first[0])
    assert same(new, first[1])
    h = start.copy()
    net.step(values[0], h, out=(h[0], new))  # y over the old state
    assert same(h[0], first[0])
    assert same(new, first[1])
    x, y = values[:1].copy(), np.empty((1, 2), np.float32)
    net.run_stream(x, start, out=(y, x))  # the new state over x
    assert same(y[0], first[0])
    assert same(x, first[1])


def test_every_change_of_a_parameter_is_seen(build, dtype):
    net = rc.RNN(3, 20, 2, dtype=dtype, loss="mse", readout="all", seed=0)
    x = np.random.default_rng(0).standard_normal((1, 4, 3)).astype(dtype)

    def check():
        expected = net(x).y[0]
        assert same(net.run_stream(x[0])[0], expected)
        assert same(stepped(net, x[0])[0], expected)
        assert same(stepped(net, [0, 2])[0], net(np.array([[0, 2]])).y[0])
        return expected

    before = check()
    net.fit(x, np.zeros((1, 4, 2)), epochs=1)
    assert not same(check(), before)
    before = check()
    net.load_state_dict(rc.RNN(3, 20, 2, seed=5).state_dict())
    assert not same(check(), before)
    before = check()
    net.flat[:] *= 0.5
    assert not same(check(), before)
    for view in (*net.parameters().values(), *np.array_split(net.flat, 3)):
        before = check()
        view.flat[-1] += 0.25
        assert not same(check(), before)
    before = check()
    net.fit(x, np.zeros((1, 4, 2)), epochs=1, callback=lambda epoch, loss: check())
    assert not same(check(), before)


@pytest.mark.parametrize("held", ["flat", "parameters"])
def test_a_change_through_what_was_handed_out_is_seen(held):
    net = rc.RNN(3, 20, 2, seed=0)
    x = np.ones(3, np.float32)
    before = net.step(x)[0]
    view = net.flat if held == "flat" else net.parameters()["head.weight"]
    assert same(net.step(x)[0], before)
    for _ in range(2):
        view *= 0.5
        assert same(net.step(x)[0], net(x[None, None]).y[0])
    assert not same(net.step(x)[0], before)


def test_threads_may_stream_at_once(build):
    """Long chunks, for which the GIL is released, and single steps, of one network."""
    net = rc.RNN(8, 40, 2, readout="all", seed=0)
    x = np.random.default_rng(0).standard_normal((4, 3000, 8)).astype(np.float32)
    expected = [net.run_stream(rows) for rows in x]
    wrong = []

    def chunks(s):
        for _ in range(10):
            y, state = net.run_stream(x[s])
            if not (same(y, expected[s][0]) and same(state, expected[s][1])):
                wrong.append(s)

    def steps(s):
        for _ in range(4):
            y, _ = stepped(net, x[s, :1000])
            if not same(y, expected[s][0][:1000]):
                wrong.append(s)

    threads = [
        threading.Thread(target=work, args=(s,)) for s in range(4) for work in (chunks, steps)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("steps", [1, 2000])
def test_a_stream_never_sees_half_a_fit(steps):
    """It has the network of before or of after, or is refused; so is the fit, but not for ever."""
    rng = np.random.default_rng(0)
    net, twin = (rc.RNN(2, 30, 1, loss="mse", seed=0) for _ in range(2))
    x = rng.standard_normal((200, 20, 2)).astype(np.float32)
    rows = rng.standard_normal((steps, 2)).astype(np.float32)
    stop, seen, refused = threading.Event(), set(), set()

    def read():
        while not stop.is_set():
            try:
                seen.add(net.run_stream(rows)[0].tobytes())
            except RuntimeError as error:
                refused.add(str(error))

    flat = net.flat  # handed out, so that every call looks whether it has changed
    allowed = {net.run_stream(rows)[0].tobytes()}
    twin.fit(x, x[:, 0, 0], epochs=60, rng=0)
    allowed.add(twin.run_stream(rows)[0].tobytes())
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(100_000):
            try:
                net.fit(x, x[:, 0, 0], epochs=60, rng=0)
                break
            except RuntimeError as error:
                refused.add(str(error))
        else:
            pytest.fail("the fit was refused again and again")
    finally:
        stop.set()
        reader.join()
    assert same(flat, twin.flat)
    assert all("by another thread: expected to have it alone" in text for text in refused)
    assert seen <= allowed


def test_tokens_changed_meanwhile(build):
    """One that does not exist any more when its turn comes is read as token 0."""
    net = rc.RNN(5, 16, 1, seed=0)
    tokens = np.zeros(400_000, np.int64)
    tokens[-1] = 4
    as_given = net.run_stream(tokens)[0].tobytes()
    tokens[-1] = 0
    as_zero = net.run_stream(tokens)[0].tobytes()
    seen = set()

    def change():
        time.sleep(rng.uniform(0, took))
        tokens[-1] = 2**40

    rng, took, end = np.random.default_rng(0), 0.001, time.monotonic() + 60
    for _ in range(200):
        tokens[-1] = 4
        thread = threading.Thread(target=change)
        thread.start()
        begun = time.perf_counter()
        with contextlib.suppress(ValueError):  # it was noticed before the first step
            seen.add(net.run_stream(tokens)[0].tobytes())
        took = min(time.perf_counter() - begun, 0.5)  # no longer, should the machine be busy
        thread.join()
        if as_zero in seen or time.monotonic() > end:
            break
    assert as_zero in seen <= {as_given, as_zero}


def test_subnormals_are_flushed_as_in_a_batch(build):
    net = rc.RNN(1, 3, None, bias=False, nonlinearity="identity", readout="all", seed=0)
    net.flat[:] = 1e-15
    x = np.zeros((1, 6, 1), np.float32)
    x[0, 0] = 1
    y = net.run_stream(x[0])[0]
    assert same(y, net(x).y[0])
    assert (y[1] > 0).all()
    assert (y[2:] == 0).all()  # 1e-45 would be a subnormal number
    assert same(stepped(net, x[0])[0], y)
    assert np.float32(1e-45) * np.float32(1) > 0


# 16 MB of weights are there, and room for no more.
NO_ROOM = """
import resource
import numpy as np
import rnncore as rc
net = rc.RNN(2, 2000, 1, loss="mse", seed=0)
x = np.zeros((1, 1, 2), np.float32)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20), resource.RLIM_INFINITY))
try:
    net.step(x[0, 0])
except MemoryError:
    print("no room")
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
net.fit(x, [1.0], epochs=1)
print((net.step(x[0, 0])[0] == net(x).y[0]).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory")
def test_a_stream_without_memory_leaves_the_network_free(printed_by):
    assert printed_by(NO_ROOM).splitlines() == ["no room", "True"]
