"""Paths that lead to no file, and checkpoints that somebody changed, are refused before anything is
trained."""

import numpy as np
import pytest
from refusals import X, unchanged

import rnncore as rc


@pytest.mark.parametrize("path", [None, 5, 1.5])
def test_bad_paths(path):
    with pytest.raises(TypeError, match="path: expected a file's path"):
        rc.load(path)
    with pytest.raises(TypeError, match="path: expected a file's path"):
        rc.RNN(3, 2).save(path)


@pytest.mark.parametrize("path", ["", "a\0b", b"\0", "\ud800"])
def test_names_that_no_file_has(path):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    for call in (net.save, rc.load):
        with pytest.raises(ValueError, match="path: expected a file's path, got"):
            call(path)
    unchanged(net, lambda: net.fit(X, np.zeros(4), epochs=1, checkpoint=path), ValueError,
              "checkpoint: expected a file's path, got")  # fmt: skip


def test_checkpoints_that_cannot_be_written_are_known_before_anything_is_trained(tmp_path):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    before = net.flat.copy()
    for path in (tmp_path, tmp_path / "no" / "such" / "folder", tmp_path / ("x" * 5000)):
        with pytest.raises(OSError):  # noqa: PT011
            net.fit(X, np.zeros(4), epochs=1, checkpoint=path)
        assert net.flat.tobytes() == before.tobytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": -1}, "its header is not one"),
        ({"seed": 2**64}, "its header is not one"),
        ({"seed": 1.5}, "its header is not one"),
        ({"fit": [1]}, "its header is not one"),
        ({"records": np.zeros((0, 6))}, "its records are (0, 6) of float64"),
        ({"records": np.zeros((2, 6), "U3")}, "its records are (2, 6) of <U3"),
        ({"records": np.zeros((2, 4))}, "records of shape (2, 4)"),
        ({"parameters": np.full(17, np.nan, "f4")}, "its parameters: expected finite numbers"),
        ({"best": np.zeros(17, "U1")}, "its best: expected real numbers"),
        ({"order": np.full(4, 9)}, "order: no sequence 9"),
        ({"progress": np.zeros(3, "u1")}, "progress: expected size 64 along axis 0, got 3"),
    ],
)
def test_forged_checkpoints(tmp_path, change, text):
    import json

    path, net = tmp_path / "fit.npz", rc.RNN(3, 2, 1, loss="mse", seed=0)
    net.fit(X, np.zeros(4), epochs=1, rng=0, checkpoint=path)
    with np.load(path) as archive:
        entries = dict(archive)
    assert entries["parameters"].shape == (17,)
    header = json.loads(str(entries["rnncore"]))
    for name, value in change.items():
        (header if name in header else entries)[name] = value
    np.savez(path, **(entries | {"rnncore": np.array(json.dumps(header))}))
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: net.fit(X, np.zeros(4), epochs=2, checkpoint=path), ValueError, text)
