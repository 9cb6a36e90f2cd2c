"""Checkpoints: a fit goes on where it was, in the same process or another, and only where it is the
same fit."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from fits import data, network

import rnncore as rc

FIT = {"epochs": 60, "batch_size": 8, "lr": 0.01, "rng": 3}


def test_a_fit_goes_on_from_its_checkpoint(build, dtype, tmp_path):
    """Whatever it depends on: moments, shuffling, dropout, patience, plateaus."""
    x, y = data()
    lengths = np.random.default_rng(0).integers(1, 10, 30)
    options = {
        "lengths": lengths, "validation": 0.2, "patience": 1000, "weight_decay": 0.01,
        "lr": rc.schedules.WarmUp(5, rc.schedules.Plateau(0.05, patience=1, factor=0.7)),
    }  # fmt: skip
    make = {"kind": "GRU", "dtype": dtype, "num_layers": 2, "dropout": 0.3}
    whole = network(**make)
    expected = whole.fit(x, y, **{**FIT, **options})
    path = tmp_path / "fit.npz"
    for epochs in (1, 17, 18, 60, 60):
        net = network(**make)
        if path.exists():
            net.flat[:] = 0.5  # what it was before no longer matters
        history = net.fit(x, y, **{**FIT, **options, "epochs": epochs}, checkpoint=path)
        assert len(history) == epochs
    assert net.flat.tobytes() == whole.flat.tobytes()
    assert history.loss.tolist() == expected.loss.tolist()
    assert history.validation.tolist() == expected.validation.tolist()
    assert history.lr.tolist() == expected.lr.tolist()
    assert os.listdir(tmp_path) == ["fit.npz"]


def test_a_fit_without_a_seed_goes_on_as_well(build, tmp_path):
    x, y = data()
    path, options = tmp_path / "fit", {**FIT, "rng": None, "validation": 0.3}
    net, twin = network(), network()
    net.fit(x, y, **{**options, "epochs": 10}, checkpoint=path)
    (tmp_path / "copy").write_bytes(path.read_bytes())
    net.fit(x, y, **options, checkpoint=path)
    twin.fit(x, y, **options, checkpoint=tmp_path / "copy")
    assert net.flat.tobytes() == twin.flat.tobytes()


def test_patience_that_was_over_stays_over(build, tmp_path):
    x, y = data(B=12)
    options = {"epochs": 500, "lr": 0.05, "rng": 0, "validation": data(B=40, seed=1),
               "patience": 6, "checkpoint": tmp_path / "fit"}  # fmt: skip
    net, twin = network(), network()
    first, second = net.fit(x, y, **options), twin.fit(x, y, **options)
    assert first.stopped == second.stopped == "patience"
    assert len(first) == len(second) < 500
    assert net.flat.tobytes() == twin.flat.tobytes()


def test_a_checkpoint_of_more_epochs(build, tmp_path):
    x, y = data()
    path, net = tmp_path / "fit", network()
    net.fit(x, y, **{**FIT, "epochs": 6}, checkpoint=path)
    kept, before = path.read_bytes(), net.flat.copy()
    net.flat[:] = 0.5
    with pytest.raises(ValueError, match=r"epochs: expected at least the 6 that .* got 5"):
        net.fit(x, y, **{**FIT, "epochs": 5}, checkpoint=path)
    assert (net.flat == 0.5).all()
    assert path.read_bytes() == kept
    assert len(net.fit(x, y, **{**FIT, "epochs": 6}, checkpoint=path)) == 6
    assert net.flat.tobytes() == before.tobytes()


class Falling(rc.schedules.Schedule):
    """A schedule of a user's own."""

    def __call__(self, epoch, epochs):
        return 0.1 * (1 - epoch / (epochs + 1))


class Fixed(Falling):
    uses_total = False

    def __call__(self, epoch, epochs):
        return 0.1 / epoch


WHOLE = [
    rc.schedules.Cosine(0.1), rc.schedules.WarmUp(2, rc.schedules.Cosine(0.1)), Falling(),
    rc.schedules.WarmUp(2, Falling()),
]  # fmt: skip
ANY = [
    rc.schedules.Cosine(0.1, epochs=6), rc.schedules.Step(0.1, 2), rc.schedules.Plateau(0.1),
    rc.schedules.WarmUp(2, 0.1), rc.schedules.WarmUp(2, rc.schedules.Step(0.1, 2)), Fixed(),
    lambda epoch: 0.1 / epoch,
]  # fmt: skip


@pytest.mark.parametrize("lr", WHOLE, ids=lambda lr: type(lr).__name__)
def test_rates_that_depend_on_all_epochs_go_on_to_the_same_number_only(tmp_path, lr):
    x, y = data()
    path, net = tmp_path / "fit", network()

    def stop(epoch, loss):
        return epoch == 3

    net.fit(x, y, **{**FIT, "epochs": 8, "lr": lr}, checkpoint=path, callback=stop)
    before = net.flat.copy()
    with pytest.raises(ValueError, match=r"of one with lr='.*over 8 epochs'"):
        net.fit(x, y, **{**FIT, "epochs": 9, "lr": lr}, checkpoint=path)
    assert net.flat.tobytes() == before.tobytes()
    net.fit(x, y, **{**FIT, "epochs": 8, "lr": lr}, checkpoint=path)
    whole = network()
    whole.fit(x, y, **{**FIT, "epochs": 8, "lr": lr})
    assert net.flat.tobytes() == whole.flat.tobytes()


@pytest.mark.parametrize("lr", ANY, ids=lambda lr: type(lr).__name__)
def test_other_rates_go_on_to_any_number_of_epochs(tmp_path, lr):
    x, y = data()
    net, whole = network(), network()
    for epochs in (3, 8):
        net.fit(x, y, **{**FIT, "epochs": epochs, "lr": lr}, checkpoint=tmp_path / "fit")
    whole.fit(x, y, **{**FIT, "epochs": 8, "lr": lr})
    assert net.flat.tobytes() == whole.flat.tobytes()


def test_a_schedule_without_a_text_of_its_own_is_recognised(tmp_path):
    """Python's own differs from process to process."""
    x, y = data()
    for _ in range(2):
        network().fit(x, y, **{**FIT, "lr": Falling()}, checkpoint=tmp_path / "fit")
    with pytest.raises(ValueError, match="lr='a Falling over 60 epochs'"):
        network().fit(x, y, **{**FIT, "lr": Fixed()}, checkpoint=tmp_path / "fit")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"lr": 0.02}, "lr=0.01"),
        ({"optimizer": "sgd"}, "optimizer='adam'"),
        ({"batch_size": 9}, "batch_size=8"),
        ({"y": np.zeros((30, 1))}, "other data"),
    ],
)
def test_a_checkpoint_of_another_fit(build, tmp_path, change, text):
    x, y = data()
    path = tmp_path / "fit"
    network().fit(x, y, **FIT, checkpoint=path)
    net = network()
    before, kept = net.flat.copy(), path.read_bytes()
    options = {**FIT, **change}
    with pytest.raises(ValueError, match=f"checkpoint: expected one of this fit.*{text}"):
        net.fit(x, options.pop("y", y), **options, checkpoint=path)
    assert net.flat.tobytes() == before.tobytes()
    assert path.read_bytes() == kept
    with pytest.raises(ValueError, match="network="):
        rc.RNN(2, 5, 1, loss="mse", dtype="float64").fit(x, y, **FIT, checkpoint=path)


def test_a_damaged_checkpoint(build, tmp_path):
    x, y = data()
    path, net = tmp_path / "fit", network()
    net.fit(x, y, **FIT, checkpoint=path)
    good = path.read_bytes()
    other = tmp_path / "net"
    net.save(other)
    for content in (b"", b"nothing", good[: len(good) // 2], other.read_bytes()):
        path.write_bytes(content)
        net = network()
        before = net.flat.copy()
        with pytest.raises(ValueError, match="checkpoint: expected a file written by fit"):
            net.fit(x, y, **FIT, checkpoint=path)
        assert net.flat.tobytes() == before.tobytes()


CHILD = """
import sys, numpy as np, rnncore as rc
rng = np.random.default_rng(0)
x, y = rng.standard_normal((64, 40, 2)), rng.standard_normal((64, 1))
net = rc.GRU(2, 8, 1, loss="mse", seed=0, num_layers=2, dropout=0.2)
net.fit(x, y, epochs=int(sys.argv[2]), lr=0.01, rng=1, validation=0.2, patience=10**6,
        checkpoint=sys.argv[1] or None)
sys.stdout.write(net.flat.tobytes().hex())
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_fit_killed_at_any_moment_comes_to_the_same_end(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RNNCORE_THREADS": "1"}

    def start(path, epochs):
        command = [sys.executable, "-c", CHILD, str(path), str(epochs)]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)

    begun = time.perf_counter()
    epochs = 300
    expected = start("", epochs).communicate()[0]
    took = time.perf_counter() - begun
    assert expected
    killed = 0
    path = tmp_path / "fit"
    for share in np.random.default_rng(0).uniform(0.3, 1.1, 20):
        begun = time.perf_counter()
        child = start(path, epochs)
        try:
            child.communicate(timeout=share * took)
            took = time.perf_counter() - begun  # the machine may have less to do than it had
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            killed += 1
        if path.exists():
            with np.load(path) as archive:  # whole, whenever it was
                assert archive["records"].shape[1] == 5
        if killed % 5 == 0:  # from the beginning now and then
            assert start(path, epochs).communicate()[0] == expected
            path.unlink()
    assert start(path, epochs).communicate()[0] == expected
    assert killed >= 5


FULL = """
import resource, signal, sys, numpy as np, rnncore as rc
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
x, y = rng.standard_normal((64, 40, 2)), rng.standard_normal((64, 1))
net = rc.GRU(2, 40, 1, loss="mse", seed=0)
net.fit(x, y, epochs=2, rng=1, checkpoint=sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    net.fit(x, y, epochs=4, rng=1, checkpoint=sys.argv[1])
except OSError as error:
    print(error.errno)
net.fit(x, y, epochs=1)
print(np.isfinite(net.flat).all())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path):
    path = tmp_path / "fit"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], env=environment, capture_output=True, text=True,
        check=True,
    ).stdout.split()  # fmt: skip
    assert out == ["27", "True"]
    assert os.listdir(tmp_path) == ["fit"]
    with np.load(path) as archive:
        assert len(archive["records"]) == 2


def test_a_checkpoint_that_is_slow_to_save_is_saved_less_often(monkeypatch, tmp_path):
    now, saves = 0.0, 0

    def clock():
        nonlocal now
        now += 0.01
        return now

    def write(*_):
        nonlocal now, saves
        now += 1.0
        saves += 1

    monkeypatch.setattr("rnncore._training.loop.perf_counter", clock)
    monkeypatch.setattr("rnncore._training.checkpoint.write", write)
    network().fit(*data(), epochs=3000, callback=lambda *_: None, checkpoint=tmp_path / "fit")
    worked = now - saves
    assert 2 < saves < 2 + worked / 10
