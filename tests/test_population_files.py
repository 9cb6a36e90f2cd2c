"""Populations in files, copies and checkpoints."""

import copy
import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import rnncore as rc


def population(**options):
    return rc.Population(rc.GRU, 13, 2, 2, 2, loss="cross_entropy", readout="all", seed=0,
                         **options)  # fmt: skip


def data(B=16, T=10):
    rng = np.random.default_rng(0)
    return rng.standard_normal((B, T, 2)), rng.integers(0, 2, (B, T))


FIT = {"epochs": 40, "batch_size": 5, "lr": np.linspace(0.002, 0.05, 13), "validation": 0.25,
       "patience": 5, "rng": 1, "optimizer": "adamw"}  # fmt: skip


@pytest.mark.parametrize("name", ["pop.npz", "pop.safetensors"])
def test_a_saved_population_is_loaded(tmp_path, name, dtype):
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    pop = population(dtype=dtype, trainable_h0=True)
    pop.save(tmp_path / name)
    loaded = rc.load(tmp_path / name)
    assert isinstance(loaded, rc.Population)
    assert loaded.flat.tobytes() == pop.flat.tobytes()
    assert loaded.config == pop.config
    assert loaded.kind is rc.GRU


def test_a_damaged_file_is_refused(tmp_path):
    population().save(tmp_path / "pop")
    with np.load(tmp_path / "pop") as file:
        entries = dict(file)
    for members in (12, 14, 0, -1, 2**40, "x", None):
        header = str(entries["rnncore"]).replace('"members": 13', f'"members": {members!r}')
        np.savez(tmp_path / "other.npz", **{**entries, "rnncore": np.array(header)})
        with pytest.raises(ValueError, match="expected a file written by save"):
            rc.load(tmp_path / "other.npz")


def test_copies_are_apart():
    pop = population()
    for twin in (copy.deepcopy(pop), pickle.loads(pickle.dumps(pop)), copy.deepcopy(pop[2:4])):
        assert (twin.flat == (pop.flat if len(twin) == 13 else pop.flat[2:4])).all()
        twin.flat[:] = 0
        twin.fit(*data(), epochs=1)
    assert not (pop.flat == 0).all()


def test_a_fit_goes_on_from_its_checkpoint(build, tmp_path, monkeypatch):
    from rnncore._population import training

    x, y = data()
    whole = population()
    expected = whole.fit(x, y, **FIT)
    path = tmp_path / "fit"
    monkeypatch.setattr(training, "INTERVAL", 0.0)  # an epoch of a cohort at a time
    for epochs in (3, 17, 40, 40):
        pop = population()
        history = pop.fit(x, y, **{**FIT, "epochs": epochs}, checkpoint=path)
    assert pop.flat.tobytes() == whole.flat.tobytes()
    assert history.loss.tobytes() == expected.loss.tobytes()
    assert history.validation.tobytes() == expected.validation.tobytes()
    assert history.stopped.tolist() == expected.stopped.tolist()
    assert os.listdir(tmp_path) == ["fit"]
    for change in ({"lr": 0.1}, {"validation": [0, 1], "train": [2, 3]}, {"batch_size": 4}):
        with pytest.raises(ValueError, match="checkpoint: expected one of this fit"):
            population().fit(x, y, **{**FIT, **change}, checkpoint=path)
    with pytest.raises(ValueError, match="more than epochs=2"):
        population().fit(x, y, **{**FIT, "epochs": 2}, checkpoint=path)


PROGRAM = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
import test_population_files as t
from rnncore._population import training
training.INTERVAL = training.WORK_PER_SAVE = 0.0
x, y = t.data(64, 40)
pop = t.population()
print("begun", flush=True)
history = pop.fit(x, y, **{{**t.FIT, "epochs": 60}}, checkpoint={path!r})
print(pop.flat.tobytes().hex(), history.loss.tobytes().hex())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_fit_goes_on_with_the_same_bits(tmp_path):
    """Killed at random moments, again and again, until it comes to its end."""
    rng = np.random.default_rng()
    tests = os.path.dirname(__file__)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}

    def start(path):
        code = PROGRAM.format(tests=tests, path=str(path))
        return subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )

    expected = start(tmp_path / "whole").communicate()[0]
    kills = 0
    while True:
        process = start(tmp_path / "fit")
        assert process.stdout.readline() == "begun\n"
        if kills < 20:
            time.sleep(rng.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            kills += 1
        found = process.communicate()[0]
        if found:
            break
    assert "begun\n" + found == expected
