"""fit: its updates, its reproducibility, and how it stops."""

import copy
import io
import os
import signal
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest

import rnncore as rc


def data(B=50, T=6, D=2, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((B, T, D))
    return x, np.tanh(x.sum(axis=(1, 2)) / 3)


def network(dtype="float64", **options):
    return rc.RNN(2, 3, 1, loss="mse", dtype=dtype, seed=0, **options)


def descend(net, x, y, order, batch_size, update, clip=lambda g: g):
    """An epoch in Python from loss_and_grad: what fit must do."""
    total = 0.0
    for first in range(0, len(order), batch_size):
        part = order[first : first + batch_size]
        loss, grads = net.loss_and_grad(x[part], y[part])
        total += loss * len(part)
        net.flat[:] -= update(clip(np.concatenate([g.ravel() for g in grads.values()])))
    return total / len(order)


class Momentum:
    def __init__(self, lr, mu):
        self.lr, self.mu, self.v = lr, mu, 0.0

    def __call__(self, g):
        self.v = self.mu * self.v + g
        return self.lr * self.v


class Adam:
    def __init__(self, lr, b1, b2, eps):
        self.lr, self.b1, self.b2, self.eps = lr, b1, b2, eps
        self.m = self.v = 0.0
        self.n = 0

    def __call__(self, g):
        self.n += 1
        self.m = self.b1 * self.m + (1 - self.b1) * g
        self.v = self.b2 * self.v + (1 - self.b2) * g**2
        m, v = self.m / (1 - self.b1**self.n), self.v / (1 - self.b2**self.n)
        return self.lr * m / (np.sqrt(v) + self.eps)


class Lion:
    def __init__(self, lr, b1, b2):
        self.lr, self.b1, self.b2, self.m = lr, b1, b2, 0.0

    def __call__(self, g):
        c = self.b1 * self.m + (1 - self.b1) * g
        self.m = self.b2 * self.m + (1 - self.b2) * g
        return self.lr * np.sign(c)


@pytest.mark.parametrize(
    ("options", "update"),
    [
        ({"optimizer": "lion", "lr": 0.003}, Lion(0.003, 0.9, 0.999)),
        ({"optimizer": "lion", "lr": 0.003, "betas": (0.8, 0.9)}, Lion(0.003, 0.8, 0.9)),
        ({"optimizer": "sgd", "lr": 0.1}, lambda g: 0.1 * g),
        ({"optimizer": "momentum", "lr": 0.05}, Momentum(0.05, 0.9)),
        ({"optimizer": "momentum", "lr": 0.05, "momentum": 0.5}, Momentum(0.05, 0.5)),
        ({"optimizer": "adam", "lr": 0.02}, Adam(0.02, 0.9, 0.999, 1e-8)),
        ({"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3}, Adam(0.02, 0.8, 0.9, 1e-3)),
    ],
)
def test_fit_makes_the_updates_of_the_textbook(build, options, update):
    x, y = data()
    fitted, by_hand = network(), network()
    history = fitted.fit(x, y, epochs=5, batch_size=16, shuffle=False, **options)
    update = copy.deepcopy(update)
    losses = [descend(by_hand, x, y, np.arange(50), 16, update) for _ in range(5)]
    assert np.allclose(history.loss, losses, rtol=1e-12)
    assert np.allclose(fitted.flat, by_hand.flat, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(
    ("options", "clip"),
    [
        ({"clip_norm": 0.05}, lambda g: g * min(1, 0.05 / (np.linalg.norm(g) + 1e-6))),
        ({"clip_value": 0.02}, lambda g: np.clip(g, -0.02, 0.02)),
        ({"clip_norm": 1e6, "clip_value": 1e6}, lambda g: g),
    ],
)
def test_clipping(build, options, clip):
    x, y = data()
    fitted, by_hand = network(), network()
    fitted.fit(x, y, epochs=3, batch_size=16, shuffle=False, optimizer="sgd", lr=0.5, **options)
    for _ in range(3):
        descend(by_hand, x, y, np.arange(50), 16, lambda g: 0.5 * g, clip)
    assert np.allclose(fitted.flat, by_hand.flat, rtol=1e-11, atol=1e-13)


def test_shuffling_is_a_new_permutation_every_epoch(build):
    """With batches of one and plain descent, the loss of an epoch tells its order."""
    x, y = data(B=4, T=1)
    seen = set()
    for seed in range(200):
        net = network()
        net.fit(x, y, epochs=1, batch_size=1, optimizer="sgd", lr=0.3, rng=seed)
        seen.add(net.flat.tobytes())
    assert len(seen) == 24  # every order of four sequences occurs, and nothing else
    net = network()
    history = net.fit(x, y, epochs=2, batch_size=1, optimizer="sgd", lr=1e-12, rng=0)
    assert history.loss[0] == pytest.approx(history.loss[1], rel=1e-9)  # each sequence once


def test_same_rng_same_fit(build, dtype):
    x, y = data()
    nets = [network(dtype) for _ in range(4)]
    for net, rng in zip(nets, (7, 7, np.random.default_rng(7), 8), strict=True):
        net.fit(x, y, epochs=4, batch_size=8, rng=rng)
    assert (nets[0].flat == nets[1].flat).all()
    assert (nets[0].flat == nets[2].flat).all()
    assert (nets[0].flat != nets[3].flat).any()


def test_watching_does_not_change_the_fit(build):
    x, y = data()
    alone, watched = network(), network()
    expected = alone.fit(x, y, epochs=6, batch_size=8, rng=0)
    seen = []
    history = watched.fit(
        x, y, epochs=6, batch_size=8, rng=0, callback=lambda *args: seen.append(args)
    )
    assert (alone.flat == watched.flat).all()
    assert (history.loss == expected.loss).all()
    assert seen == [(n + 1, loss) for n, loss in enumerate(expected.loss.tolist())]


def test_progress_is_shown_and_ends_its_line(capsys, hide):
    hide("tqdm")
    x, y = data()
    network().fit(x, y, epochs=3, progress=True)
    text = capsys.readouterr().err
    assert "epoch 3/3" in text
    assert text.endswith("\n")
    network().fit(x, y, epochs=3)
    assert capsys.readouterr().err == ""


class Broken:
    """A stream that nobody reads any more, or whose disk is full."""

    def write(self, text):
        raise BrokenPipeError("nobody reads")

    def flush(self):
        raise OSError("no space left on device")


@pytest.mark.parametrize("bar", ["tqdm", "plain"])
@pytest.mark.parametrize("stream", ["none", "closed", "broken"])
def test_where_progress_cannot_be_shown_the_fit_goes_on(monkeypatch, hide, bar, stream):
    if bar == "plain":
        hide("tqdm")
    else:
        pytest.importorskip("tqdm")
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", {"none": None, "closed": closed, "broken": Broken()}[stream])
    x, y = data()
    history = network().fit(x, y, epochs=3, progress=True)
    monkeypatch.undo()
    assert len(history.loss) == 3


@pytest.mark.parametrize("widgets", [True, False])
def test_progress_in_a_notebook_is_its_own_kind_of_bar(monkeypatch, capsys, widgets):
    """Where widgets are installed: tqdm.auto warns of it where they are not."""
    pytest.importorskip("tqdm")
    bars = []

    class Bar:
        def __init__(self, **options):
            assert "file" not in options  # or it would write below the widget
            bars.append(options["total"])

        set_postfix_str = update = close = lambda self, *args, **options: None

    auto, found = ModuleType("tqdm.auto"), ModuleType("ipywidgets")
    auto.tqdm, found.__spec__ = Bar, ModuleSpec("ipywidgets", None)
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "ipywidgets", found if widgets else None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    x, y = data()
    network().fit(x, y, epochs=3, progress=True)
    assert bars == [3] * widgets
    assert ("3/3" in capsys.readouterr().err) is not widgets


@pytest.mark.parametrize("readout", ["last", "all"])
def test_lists_of_sequences_fit_like_padded_ones(build, readout):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, 40)
    x = rng.standard_normal((40, 8, 2))
    y = rng.standard_normal((40, 8)) if readout == "all" else rng.standard_normal(40)
    nets = [network(readout=readout) for _ in range(3)]
    listed = [row[:n] for row, n in zip(x, lengths, strict=True)]
    listed_y = [row[:n] for row, n in zip(y, lengths, strict=True)] if readout == "all" else y
    options = {"epochs": 3, "batch_size": 7, "rng": 0}
    nets[0].fit(listed, listed_y, **options)
    nets[1].fit(x, y, lengths=lengths, **options)
    nets[2].fit(x, y, mask=np.arange(8) < lengths[:, None], **options)
    assert (nets[0].flat == nets[1].flat).all()
    assert np.allclose(nets[0].flat, nets[2].flat, rtol=1e-12)


def test_a_batch_without_counted_targets_is_passed_over(build):
    x, _ = data(B=6)
    net = rc.RNN(2, 3, 4, loss="cross_entropy", dtype="float64", seed=0)
    other = rc.RNN(2, 3, 4, loss="cross_entropy", dtype="float64", seed=0)
    y = np.array([0, 3, -1, -1, 1, 2])
    history = net.fit(x, y, epochs=4, batch_size=2, shuffle=False)
    expected = other.fit(x[y >= 0], y[y >= 0], epochs=4, batch_size=2, shuffle=False)
    assert (history.loss == expected.loss).all()
    assert (net.flat == other.flat).all()


@pytest.mark.parametrize("share", [None, 0.25])
def test_without_a_batch_size_all_sequences_are_one_batch(share, build):
    x, y = data(B=40)
    nets = [network() for _ in range(2)]
    options = {"epochs": 3, "validation": share, "rng": 0}
    sizes = (None, 30 if share else 40)
    histories = [
        net.fit(x, y, batch_size=size, **options) for net, size in zip(nets, sizes, strict=True)
    ]
    assert (histories[0].loss == histories[1].loss).all()
    assert (nets[0].flat == nets[1].flat).all()
    other = network()
    other.fit(x, y, batch_size=20, **options)
    assert (other.flat != nets[0].flat).any()


def test_a_token_network_learns_to_spot_a_word(build):
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 50, n) for n in rng.integers(3, 12, 400)]
    y = [(s == 7).any() or (s == 9).any() for s in x]
    net = rc.RNN(50, 8, 1, loss="bce", seed=0)
    net.fit(x, y, epochs=30, lr=0.01, rng=0)
    assert (net.predict(x) == y).mean() > 0.97


def test_divergence_stops_at_the_last_finite_epoch(build):
    x, y = data()
    net = network(nonlinearity="identity")
    twin = network(nonlinearity="identity")
    options = {"optimizer": "sgd", "lr": 0.5, "shuffle": False, "batch_size": 50}
    with pytest.raises(
        FloatingPointError, match=r"in epoch \d+; the network is that of epoch"
    ) as caught:
        net.fit(x, y * 100, epochs=1000, **options)
    assert np.isfinite(net.flat).all()
    assert "clip_norm" in str(caught.value)
    epoch = int(str(caught.value).split("in epoch ")[1].split(";")[0])
    twin.fit(x, y * 100, epochs=epoch - 1, **options)
    assert (net.flat == twin.flat).all()


def test_an_update_that_overflows_is_not_taken(build):
    """The loss before it is finite."""
    x, y = data()
    net = network(dtype="float32")
    before = net.flat.copy()
    with pytest.raises(FloatingPointError, match="in epoch 1; the network is unchanged"):
        net.fit(x, 1e6 * y, epochs=1, batch_size=50, optimizer="sgd", lr=1e38)
    assert (net.flat == before).all()


def test_a_raising_callback_leaves_the_network_at_that_epoch():
    x, y = data()
    net, twin = network(), network()

    def callback(epoch, loss):
        if epoch == 3:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        net.fit(x, y, epochs=9, rng=0, callback=callback)
    twin.fit(x, y, epochs=3, rng=0)
    assert (net.flat == twin.flat).all()


@pytest.fixture
def _interruptible():
    """Ctrl-C as at a terminal; what a shell runs in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="signals are sent as on Unix")
@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_stops_between_two_epochs(build):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((512, 50, 4))
    net = rc.RNN(4, 16, 1, loss="mse", seed=0)
    start = net.flat.copy()
    timer = threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        net.fit(x, x[:, 0, 0], epochs=10_000_000, batch_size=64, rng=0)
    stopped = net.flat.copy()
    assert (stopped != start).any()
    # whatever epoch it was, it was a finished one
    twin, seen = rc.RNN(4, 16, 1, loss="mse", seed=0), []

    class Found(Exception):
        pass

    def look(epoch, loss):
        seen.append(epoch)
        if (twin.flat == stopped).all():
            raise Found

    with pytest.raises(Found):
        twin.fit(x, x[:, 0, 0], epochs=100_000, batch_size=64, rng=0, callback=look)


def test_other_threads_run_meanwhile(build):
    """The GIL is free: Python goes on counting while a fit runs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 50, 4))
    net = rc.RNN(4, 16, 1, loss="mse", seed=0)
    thread = threading.Thread(target=lambda: net.fit(x, x[:, 0, 0], epochs=30, rng=0))
    thread.start()
    counted = 0
    while thread.is_alive():
        counted += 1
    thread.join()
    assert counted > 1000


def test_lengths_changed_meanwhile_change_nothing(build):
    x, y = data()
    lengths = np.full(50, 3)
    nets = [network(), network()]
    nets[0].fit(x, y, epochs=4, lengths=lengths.copy(), rng=0)
    nets[1].fit(x, y, epochs=4, lengths=lengths, rng=0, callback=lambda *_: lengths.fill(10**7))
    assert (nets[0].flat == nets[1].flat).all()


def test_tokens_and_classes_changed_meanwhile_are_noticed(build):
    tokens, classes = np.zeros((4, 5), np.int64), np.zeros(4, np.int64)
    for changed, text in ((tokens, "x: expected tokens"), (classes, "y: expected classes")):
        tokens[:], classes[:] = 0, 0
        net = rc.RNN(3, 2, 2, loss="cross_entropy", seed=0)
        with pytest.raises(ValueError, match=text):
            net.fit(tokens, classes, epochs=3, callback=lambda *_, a=changed: a.fill(99))


def test_clipping_a_gradient_whose_square_overflows(build):
    net = rc.RNN(1, 1, 1, bias=False, nonlinearity="identity", loss="mse", seed=0)
    net.flat[:] = [1, 0, 1]
    net.fit(np.full((1, 1, 1), 1e14), [0.0], epochs=1, optimizer="sgd", lr=1e-3, clip_norm=1.0)
    change = net.flat - np.array([1, 0, 1], np.float32)
    assert np.allclose(change, [-1e-3 / 2**0.5, 0, -1e-3 / 2**0.5], rtol=1e-3)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="interval timers are Unix's")
def test_signal_handlers_run_in_the_callers_floating_point_mode():
    seen = []

    def handler(*_):
        seen.append(float((np.array([1e-310]) * np.array([1.0]))[0]))
        if len(seen) >= 3:  # one raised where exceptions are swallowed would be the last
            raise KeyboardInterrupt

    x, y = data(B=256, T=50)
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        with pytest.raises(KeyboardInterrupt):
            network().fit(x, y, epochs=10**9, rng=0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert set(seen) == {1e-310}


def test_history_shows_what_happened():
    x, y = data()
    history = network().fit(x, y, epochs=7)
    assert len(history) == 7
    assert (history.seconds > 0).all()
    assert "7 epochs" in repr(history)
