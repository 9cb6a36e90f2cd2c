"""Results are the same bits for any number of threads, in any company, from run to run."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import rnncore as rc
from rnncore import _builds

# H, D, B, T: blocks of one, two and four vectors, wide weights, one long sequence in chunks
SIZES = [
    (1, 1, 300, 9), (1, 6, 70, 9), (2, 3, 200, 7), (4, 8, 130, 12), (16, 8, 100, 11),
    (21, 5, 90, 6), (40, 33, 70, 5), (100, 110, 40, 3), (1, 2, 3, 700),
]  # fmt: skip


def results(net, x, y, **options):
    """Everything a network says about a batch, as bytes by name."""
    out = net(x, **options)
    loss, grads = net.loss_and_grad(x, y, **options)
    dy = np.linspace(-1, 1, out.y.size).reshape(out.y.shape)
    own, dx, dh0 = net.vjp(x, dy, **options)
    arrays = {"y": out.y, "hidden": out.hidden, "final": out.final, "dx": dx, "dh0": dh0}
    arrays |= grads | {f"own {name}": values for name, values in own.items()}
    numbers = {"loss": loss, "mean": net.loss(x, y, **options)}
    return {name: np.asarray(v).tobytes() for name, v in (arrays | numbers).items()}


def problem(size, dtype, readout="last", **options):
    H, D, B, T = size
    rng = np.random.default_rng(H)
    net = rc.RNN(D, H, 2, loss="mse", readout=readout, dtype=dtype, seed=0, **options)
    x = rng.standard_normal((B, T, D)).astype(dtype)
    y = rng.standard_normal((B, T, 2) if readout == "all" else (B, 2)).astype(dtype)
    return net, x, y


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_number_of_threads(build, dtype, size, readout):
    net, x, y = problem(size, dtype, readout)
    expected = results(net, x, y, threads=1)
    for threads in (2, 3, 8, None, 1):
        assert results(net, x, y, threads=threads) == expected


@pytest.mark.parametrize("size", [(1, 1, 200, 9), (5, 3, 90, 7), (40, 3, 70, 5)], ids=str)
def test_fits_with_any_number_of_threads(build, dtype, size):
    net, x, y = problem(size, dtype)
    start, ends = net.flat.copy(), set()
    for threads in (1, 2, 3, 8):
        net.flat[:] = start
        net.fit(x, y, epochs=5, batch_size=70, rng=3, threads=threads)
        ends.add(net.flat.tobytes())
    assert len(ends) == 1


def test_ragged_batches_with_any_number_of_threads(build):
    net, x, y = problem((6, 3, 150, 20), "float32", "all")
    lengths = np.random.default_rng(1).integers(1, 21, 150)
    mask = np.random.default_rng(2).random((150, 20)) < 0.7
    for options in ({"lengths": lengths}, {"mask": mask}):
        expected = results(net, x, y, **options, threads=1)
        assert results(net, x, y, **options, threads=3) == expected


CHUNKS = {
    "forgets within a chunk": {"scale": 1.0},
    "forgets within several": {"scale": 1.5},
    "never forgets": {"scale": 4.0},
    "relu": {"nonlinearity": "relu"},
    "identity": {"nonlinearity": "identity"},
    "sigmoid": {"nonlinearity": "sigmoid"},
}


@pytest.mark.parametrize("case", CHUNKS, ids=str)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("T", [256, 511, 1000, 9001])
def test_a_long_sequence_alone_and_among_others(build, dtype, T, readout, case):
    """One sequence of one unit is worked on in chunks of time: the bits are those of a batch."""
    options = dict(CHUNKS[case])
    scale = options.pop("scale", 1.0)
    net, x, y = problem((1, 1, 12, T), dtype, readout, **options)
    weights = net.parameters()
    weights["weight_hh_l0"][:] = 0.95 * scale
    weights["weight_ih_l0"][:] = 0.1
    h0 = np.linspace(-1, 1, 12).astype(dtype).reshape(12, 1, 1)
    together, dy = net(x, h0=h0), np.ones_like(y)
    _, dx, dh0 = net.vjp(x, dy, h0=h0)
    for s in (0, 7):
        one = slice(s, s + 1)
        alone = net(x[one], h0=h0[one])
        assert alone.hidden.tobytes() == together.hidden[one].tobytes()
        assert alone.y.tobytes() == together.y[one].tobytes()
        assert alone.final.tobytes() == together.final[one].tobytes()
        _, dx_alone, dh0_alone = net.vjp(x[one], dy[one], h0=h0[one])
        assert dx_alone.tobytes() == dx[one].tobytes()
        assert dh0_alone.tobytes() == dh0[one].tobytes()


def test_different_networks_in_several_threads_at_once():
    problems = [problem((H, 3, 80, 30), "float32") for H in (1, 5, 20)] * 2
    expected = [results(*p, threads=1) for p in problems]
    got = in_threads([lambda p=p: results(*p) for p in problems])
    assert got == expected


def test_one_network_in_several_threads_at_once():
    net, x, y = problem((5, 3, 300, 30), "float32")
    expected = results(net, x, y)
    assert in_threads([lambda: results(net, x, y, threads=2)] * 6) == [expected] * 6


def test_a_network_is_not_to_be_read_while_a_fit_changes_it():
    net, x, y = problem((5, 3, 600, 60), "float32")
    copy, start = problem((5, 3, 600, 60), "float32")[0], net.flat.copy()
    copy.fit(x, y, epochs=40, rng=0)
    stop, seen, refused = threading.Event(), set(), set()

    def read():
        while not stop.is_set():
            try:
                seen.add(net(x[:1]).y.tobytes())
            except RuntimeError as error:
                refused.add(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while True:
            try:
                net.fit(x, y, epochs=40, rng=0)
                break
            except RuntimeError as error:
                refused.add(str(error))
    finally:
        stop.set()
        reader.join()
    assert all("by another thread: expected to have it alone" in text for text in refused)
    assert net.flat.tobytes() == copy.flat.tobytes()
    net.flat[:] = start
    assert seen <= {net(x[:1]).y.tobytes(), copy(x[:1]).y.tobytes()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")  # others may have threads in this process
def test_threads_work_before_and_after_a_fork():
    net, x, y = problem((5, 3, 300, 30), "float32")
    expected = results(net, x, y, threads=2)
    child = os.fork()
    if child == 0:
        ok = False
        try:
            net.fit(x, y, epochs=3, rng=0, batch_size=200, threads=2)
            other = problem((5, 3, 300, 30), "float32")[0]
            ok = results(other, x, y, threads=2) == expected
        finally:
            os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert results(net, x, y, threads=2) == expected


def test_threads_that_cannot_be_had_are_done_without(build, monkeypatch):
    net, x, y = problem((5, 3, 300, 30), "float32")
    expected, asked = results(net, x, y, threads=1), []

    def refuse(*_):
        asked.append(True)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_builds.core("float32"), "start_new_thread", refuse)
    assert results(net, x, y, threads=8) == expected
    assert asked


# Two tapes of 30 MB: the caller's is there, of what is left a thread's stack fits.
ONE_TAPE = """
import resource
import numpy as np
import rnncore as rc
net = rc.RNN(2, 40, 1, loss="mse", readout="all", seed=0)
x = np.random.default_rng(0).standard_normal((128, 1000, 2)).astype(np.float32)
y = np.zeros((128, 1000, 1), np.float32)
alone, own = net.loss_and_grad(x, y, threads=1)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), resource.RLIM_INFINITY))
shared, grads = net.loss_and_grad(x, y, threads=2)
print(shared == alone, all((grads[name] == own[name]).all() for name in own))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory")
def test_a_helper_without_memory_leaves_the_work_to_the_others(build):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RNNCORE_ISA": build}
    out = subprocess.run(
        [sys.executable, "-c", ONE_TAPE], env=environment, capture_output=True, text=True,
        check=True, timeout=300,
    ).stdout  # fmt: skip
    assert out == "True True\n"


def test_a_call_that_asks_for_no_number_of_threads_leaves_the_network_free(monkeypatch):
    net, x, y = problem((40, 33, 300, 60), "float32")  # enough to share
    monkeypatch.setenv("RNNCORE_THREADS", "many")
    for call in (lambda: net(x), lambda: net.fit(x, y, epochs=1, batch_size=300)):
        with pytest.raises(ValueError, match="RNNCORE_THREADS: expected a number"):
            call()
    monkeypatch.delenv("RNNCORE_THREADS")
    net.fit(x, y, epochs=1)  # which must have it alone


def test_the_environment_limits_threads(monkeypatch):
    monkeypatch.setenv("RNNCORE_THREADS", "1")
    assert rc.show_config("dicts")["threads"] == 1
    monkeypatch.setenv("RNNCORE_THREADS", "many")
    with pytest.raises(
        ValueError, match="RNNCORE_THREADS: expected a number from 1 up, got 'many'"
    ):
        rc.show_config("dicts")


def in_threads(calls):
    """What each call returns, all made at once."""
    returned = [None] * len(calls)

    def run(k):
        returned[k] = calls[k]()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return returned
