"""Saved networks come back; damaged and forged files are refused, and nothing but a file is
replaced or waited for."""

import os
import stat
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from states import same

import rnncore as rc


@pytest.mark.parametrize("name", ["net.npz", "net", "net.model"])
def test_round_trip(tmp_path, net, name):
    net.save(tmp_path / name)
    assert os.listdir(tmp_path) == [name]
    again = rc.load(str(tmp_path / name))
    assert again.config == net.config
    assert (again.flat == net.flat).all()
    assert again.flat.dtype == net.flat.dtype


def test_numpy_can_read_it(tmp_path, net):
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz", allow_pickle=False) as archive:
        assert (archive["weight_hh_l0"] == net.parameters()["weight_hh_l0"]).all()


def test_saving_replaces_the_whole_file_or_nothing(tmp_path, net, monkeypatch):
    path = tmp_path / "net.npz"
    net.save(path)
    before = path.read_bytes()

    def full(*args, **options):
        args[0].write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.npz"]


@pytest.mark.skipif(os.name == "nt", reason="links and permissions as on Unix")
def test_saving_again_keeps_links_and_permissions(tmp_path, net):
    net.save(tmp_path / "net.npz")
    os.chmod(tmp_path / "net.npz", 0o600)
    (tmp_path / "link").symlink_to("net.npz")
    net.flat[:] = 0
    net.save(os.fsencode(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert stat.S_IMODE(os.stat(tmp_path / "net.npz").st_mode) == 0o600
    assert (rc.load(tmp_path / "link").flat == 0).all()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"'descr': '<f8'", b"'descr': ('<f8"),
        (b"'shape': (4, 3)", b"'shape': (9**9,"),
        ("float64".encode("utf-32-le"), "f4,(f4,".encode("utf-32-le")),
    ],
)
def test_forged_headers_are_refused(tmp_path, net, old, new):
    net.save(tmp_path / "net.npz")
    with zipfile.ZipFile(tmp_path / "net.npz") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    forged = {name: data.replace(old, new) for name, data in entries.items()}
    assert forged != entries
    with zipfile.ZipFile(tmp_path / "forged.npz", "w") as archive:
        for name, data in forged.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="path: expected a file written by save"):
        rc.load(tmp_path / "forged.npz")


@pytest.mark.skipif(os.name == "nt", reason="permissions as on Unix")
def test_permissions_follow_the_umask(tmp_path, net):
    net.save(tmp_path / "net.npz")
    (tmp_path / "plain").write_bytes(b"")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("net.npz", "plain")}
    assert len(modes) == 1


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        rc.load(tmp_path / "nothing.npz")


def saved(path, net):
    """What is in the file of a network."""
    net.save(path)
    with np.load(path) as archive:
        return dict(archive)


def test_a_header_that_lies_about_sizes_is_refused(tmp_path, net):
    entries = saved(tmp_path / "net.npz", net)
    header = str(entries["rnncore"]).replace('"hidden_size": 4', '"hidden_size": 400000')
    entries["rnncore"] = np.array(header)
    np.savez(tmp_path / "lies.npz", **entries)
    with pytest.raises(ValueError, match="its header says"):
        rc.load(tmp_path / "lies.npz")


def test_a_header_that_asks_for_endless_work_is_refused(tmp_path, net):
    entries = saved(tmp_path / "net.npz", net)
    header = str(entries["rnncore"]).replace('"num_layers": 1', '"num_layers": 1000000000000')
    np.savez(tmp_path / "endless.npz", **(entries | {"rnncore": np.array(header)}))
    with pytest.raises(ValueError, match="num_layers: expected at most 64"):
        rc.load(tmp_path / "endless.npz")


def test_an_archive_that_swells_is_refused(tmp_path, net):
    entries = saved(tmp_path / "net.npz", net)
    np.savez_compressed(tmp_path / "bomb.npz", **(entries | {"more": np.zeros(10**6)}))
    with pytest.raises(ValueError, match="it says it holds more than it does, or is compressed"):
        rc.load(tmp_path / "bomb.npz")


def test_truncated_and_mutated_files_never_crash(tmp_path, net):
    net.save(tmp_path / "net.npz")
    data = (tmp_path / "net.npz").read_bytes()
    path = tmp_path / "cut.npz"
    for n in range(0, len(data), 7):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match="path: expected a file written by save"):
            rc.load(path)
    rng, refusals = np.random.default_rng(0), []
    for _ in range(500):
        mutated = bytearray(data)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            mutated[at] = rng.integers(256)
        path.write_bytes(mutated)
        try:
            again = rc.load(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert np.isfinite(again.flat).all()
    assert len(refusals) > 400
    assert all(text.startswith("path: expected") for text in refusals)


@pytest.mark.skipif(os.name == "nt", reason="pipes and devices as on Unix")
@pytest.mark.parametrize(
    ("name", "what"), [("folder", "folder"), ("pipe", "pipe"), ("link", "pipe"), ("null", "device")]
)
def test_only_files_are_replaced(tmp_path, net, monkeypatch, name, what):
    def replace(part, path):
        raise AssertionError(f"it replaces {path}")  # and would, of whoever may do so

    monkeypatch.setattr(os, "replace", replace)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "null").symlink_to(os.devnull)
    path, before = tmp_path / name, sorted(os.listdir(tmp_path))
    with pytest.raises(OSError, match=f"path: expected a file, got .*, which is a {what}"):
        net.save(path)
    flat = net.flat.tobytes()
    with pytest.raises(OSError, match=f"checkpoint: expected a file, got .*, which is a {what}"):
        net.fit(np.ones((1, 3, 3)), np.zeros((1, 3, 2)), epochs=1, checkpoint=path)
    assert net.flat.tobytes() == flat
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.skipif(os.name == "nt", reason="pipes as on Unix")
@pytest.mark.parametrize("name", ["pipe", "pipe.safetensors"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    code = "import sys, rnncore; rnncore.load(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert "OSError: path: expected a file, got" in done.stderr


def test_a_file_from_before_there_were_stacks(tmp_path):
    """Its configuration says nothing of them."""
    from rnncore._storage import files as _files

    net, x = rc.GRU(3, 5, 2, seed=0), np.zeros((2, 4, 3))
    net.save(tmp_path / "net.npz")
    header, arrays = _files.read(tmp_path / "net.npz")
    for name in (
        "num_layers", "bidirectional", "dropout", "trainable_h0", "readout_bias",
        "recurrent_dropout", "zoneout",
    ):  # fmt: skip
        del header["config"][name]
    _files.write(tmp_path / "old.npz", header, arrays)
    assert same(rc.load(tmp_path / "old.npz")(x).y, net(x).y)
