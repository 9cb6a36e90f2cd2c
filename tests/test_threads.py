"""Many threads, and many processes, at once: one network, many networks, fits beside calls."""

import copy
import os
import pickle
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
from answers import problem, results

import rnncore as rc

ROUNDS = 300
SECONDS = 60  # that what takes a moment may take before it has failed


@pytest.fixture(autouse=True)
def _restless():
    """Threads take turns after every few instructions of the interpreter."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(calls):
    """What each call returns, all made at once; the first error is raised again."""
    returned, errors = [None] * len(calls), []
    start = threading.Barrier(len(calls))

    def run(k):
        try:
            start.wait()
            returned[k] = calls[k]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in errors:
        raise error
    return returned


def forked():
    """os.fork(), whose child is ended by a signal should it wait for ever."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(SECONDS)
    return child


def step_by_step(net, x):
    state, outputs = None, []
    for x_t in x:
        y, state = net.step(x_t, state)
        outputs.append(y)
    return np.stack(outputs).tobytes()


def questions(net, x, y):
    """What may be asked of a network that nobody changes: calls that return bytes."""
    long = np.tile(x[0], (400, 1))  # so long that streaming it releases the GIL
    return [
        *(lambda n=n: net(x[:n], threads=1).y.tobytes() for n in (1, 5, 40, len(x))),
        lambda: net(x, threads=2).final.tobytes(),
        lambda: net.loss_and_grad(x[:40], y[:40])[1]["weight_hh_l0"].tobytes(),
        lambda: net.vjp(x[:3], np.ones_like(y[:3]))[1].tobytes(),
        lambda: net.gradient_flow(x[:2], y[:2]).terms["weight_hh_l0"].tobytes(),
        lambda: step_by_step(net, x[0]),
        lambda: net.run_stream(long)[0].tobytes(),
        lambda: net.run_stream(x[1])[0].tobytes(),
        lambda: copy.deepcopy(net)(x[:2]).y.tobytes(),
        lambda: pickle.loads(pickle.dumps(net)).run_stream(x[2])[0].tobytes(),
        lambda: net.flat.tobytes(),
        lambda: net.state_dict()["weight_hh_l0"].tobytes(),
    ]


@pytest.mark.parametrize("size", [(3, 2, 90, 12), (40, 3, 60, 8)], ids=str)
def test_everything_asked_of_one_network_at_once(build, size):
    net, x, y = problem(size, "float32")
    asked = questions(net, x, y)
    expected = [ask() for ask in asked]

    def some_of_them(seed):
        chosen = random.Random(seed).choices(range(len(asked)), k=ROUNDS)
        return [k for k in chosen if asked[k]() != expected[k]]

    wrong = in_threads([lambda k=k: some_of_them(k) for k in range(6)])
    assert wrong == [[]] * 6


def test_a_network_that_gets_other_parameters_meanwhile(build):
    """Whoever asks gets the answer of the one or the other network whole, or an error."""
    net, x, y = problem((150, 3, 2, 2), "float32")  # so large that reading it takes longest
    other = rc.RNN(3, 150, 2, loss="mse", seed=1)
    states = [net.state_dict(), other.state_dict()]
    asked = [
        lambda net: net(x).y.tobytes(),
        lambda net: net.loss_and_grad(x, y)[1]["weight_hh_l0"].tobytes(),
        lambda net: step_by_step(net, x[0, :1]),
        lambda net: net.run_stream(np.tile(x[0], (10, 1)))[0].tobytes(),
    ]
    right = [{ask(net), ask(other)} for ask in asked]
    ended, refusals = [], []

    def look(k):
        seen = set()
        try:
            for _ in range(5 * ROUNDS):
                try:
                    seen.add(asked[k](net))
                except RuntimeError as error:
                    refusals.append(str(error))
        finally:
            ended.append(k)
        return seen

    def change():
        k = 0
        while len(ended) < len(asked):
            try:
                net.load_state_dict(states[k % 2])
                k += 1
            except RuntimeError as error:
                refusals.append(str(error))

    *seen, _ = in_threads([*(lambda k=k: look(k) for k in range(len(asked))), change])
    assert all(answers <= known for answers, known in zip(seen, right, strict=True))
    assert all("by another thread: expected to have it alone" in text for text in refusals)
    net.load_state_dict(states[1])
    assert net(x).y.tobytes() == other(x).y.tobytes()


def test_different_networks_in_several_threads_at_once():
    problems = [problem((H, 3, 80, 30), "float32") for H in (1, 5, 20)] * 2
    expected = [results(*p, threads=1) for p in problems]
    got = in_threads([lambda p=p: results(*p) for p in problems])
    assert got == expected


def test_one_network_in_several_threads_at_once():
    net, x, y = problem((5, 3, 300, 30), "float32")
    expected = results(net, x, y)
    assert in_threads([lambda: results(net, x, y, threads=2)] * 6) == [expected] * 6


def test_fits_and_streams_of_different_networks_at_once(build):
    net, x, y = problem((5, 3, 200, 20), "float32")
    fitted = copy.deepcopy(net)
    fitted.fit(x, y, epochs=5, rng=0)
    expected = step_by_step(fitted, x[0])

    def fit_and_stream():
        mine = copy.deepcopy(net)
        mine.fit(x, y, epochs=5, rng=0)
        return step_by_step(mine, x[0])

    assert in_threads([fit_and_stream] * 6) == [expected] * 6


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
        for _ in range(100_000):
            try:
                net.fit(x, y, epochs=40, rng=0)
                break
            except RuntimeError as error:
                refused.add(str(error))
        else:
            pytest.fail("the fit was refused again and again")
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
    child = forked()
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*")
@pytest.mark.parametrize("busy", ["fit", "call"])
def test_a_child_may_use_a_network_that_a_thread_of_its_parent_used(build, busy):
    """The child has the network, but not the thread that would have left it."""
    net = rc.RNN(4, 32, 1, loss="mse", seed=0)
    x, y = np.ones((512, 200, 4), np.float32), np.ones((512, 1), np.float32)
    small, going = np.ones((2, 3, 4), np.float32), threading.Event()
    stop = []

    def work():
        going.set()
        while not stop:
            if busy == "fit":
                net.fit(x, y, epochs=1, threads=1)
            else:
                net.loss(x, y, threads=1)

    thread = threading.Thread(target=work)
    thread.start()
    assert going.wait(SECONDS)
    refused = 0
    try:
        for _ in range(5):
            time.sleep(0.05)  # most of the time a call is under way
            child = forked()
            if child == 0:
                try:
                    net.loss(small, y[:2])
                    net.load_state_dict(net.state_dict())
                    net.fit(small, y[:2], epochs=1)
                    os._exit(0)
                except BaseException:
                    os._exit(1)
            refused += os.waitpid(child, 0)[1] != 0
    finally:
        stop.append(True)
        thread.join()
    assert refused == 0


REFUSED = """
import numpy as np
import rnncore as rc
from rnncore._runtime import builds

def refuse(*_):
    asked.append(True)
    raise RuntimeError("can't start new thread")

asked, core = [], builds.core("float32")
core.start_new_thread = refuse
net, x = rc.RNN(3, 5, 1, seed=0), np.random.default_rng(0).standard_normal((300, 30, 3), np.float32)
print((net.predict(x, threads=8) == net.predict(x, threads=1)).all(), len(asked))
"""


def test_threads_that_cannot_be_had_are_done_without(printed_by):
    assert printed_by(REFUSED) == "True 1\n"


WAITING = """
import os
import numpy as np
import rnncore as rc
net, x = rc.RNN(3, 5, 1, seed=0), np.ones((300, 30, 3), np.float32)
counts = set()
for _ in range(30):
    net.predict(x, threads=3)
    counts.add(len(os.listdir("/proc/self/task")))
print(len(counts), max(counts) - min(counts))
child = os.fork()
if child == 0:
    same = (net.predict(x, threads=3) == net.predict(x, threads=1)).all()
    os._exit(0 if same and len(os.listdir("/proc/self/task")) == 3 else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads")
def test_helpers_wait_for_the_next_call(printed_by):
    """They are started once, again after a fork, and do not keep the interpreter from ending."""
    assert printed_by(WAITING) == "1 0\n0\n"


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
def test_a_helper_without_memory_leaves_the_work_to_the_others(printed_by):
    assert printed_by(ONE_TAPE) == "True True\n"


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
