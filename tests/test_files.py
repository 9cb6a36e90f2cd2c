"""Saved networks come back; foreign and damaged files are refused, and never executed."""

import os
import pickle
import stat

import numpy as np
import pytest

import rnncore as rc


@pytest.fixture
def net():
    return rc.RNN(3, 4, 2, loss="mse", readout="all", nonlinearity="relu", dtype="float64", seed=0)


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
    import zipfile

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


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_foreign_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("other.npz", a=np.zeros(3))
    np.save("single.npy", np.zeros(3))
    np.savez("evil.npz", rnncore=np.array([Evil()], dtype=object))
    with open("pickle.npz", "wb") as file:
        pickle.dump(Evil(), file)
    np.savez("text.npz", rnncore=np.array("no json"))
    np.savez("list.npz", rnncore=np.array("[1, 2]"))
    np.savez("future.npz", rnncore=np.array('{"format": 99, "class": "RNN", "config": {}}'))
    np.savez("class.npz", rnncore=np.array('{"format": 1, "class": "os", "config": {}}'))
    np.savez("config.npz", rnncore=np.array('{"format": 1, "class": "RNN", "config": {}}'))
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "noise.npz").write_bytes(os.urandom(1000))
    for path in sorted(tmp_path.glob("*.np*")):
        with pytest.raises(ValueError, match="path: expected a file"):
            rc.load(path.name)
    assert not (tmp_path / "executed").exists()


def test_a_header_that_lies_about_sizes_is_refused(tmp_path, net):
    net.save(tmp_path / "net.npz")
    with np.load(tmp_path / "net.npz") as archive:
        entries = dict(archive)
    header = str(entries["rnncore"]).replace('"hidden_size": 4', '"hidden_size": 400000')
    entries["rnncore"] = np.array(header)
    np.savez(tmp_path / "lies.npz", **entries)
    with pytest.raises(ValueError, match="its header says"):
        rc.load(tmp_path / "lies.npz")


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
