"""Saved networks come back; foreign and damaged files are refused, and never executed."""

import os
import pickle
import stat
import subprocess
import sys
import zipfile

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


@pytest.fixture
def safetensors():
    return pytest.importorskip("safetensors.numpy")


def test_safetensors(tmp_path, net, safetensors):
    net.save(tmp_path / "net.safetensors")
    assert os.listdir(tmp_path) == ["net.safetensors"]
    arrays = safetensors.load_file(tmp_path / "net.safetensors")
    assert list(arrays["weight_hh_l0"].ravel()) == list(net.parameters()["weight_hh_l0"].ravel())
    again = rc.load(tmp_path / "net.safetensors")
    assert again.config == net.config
    assert again.flat.tobytes() == net.flat.tobytes()


@pytest.mark.parametrize("kind", [rc.RNN, rc.LSTM, rc.GRU])
def test_safetensors_of_every_cell(tmp_path, safetensors, kind):
    net = kind(2, 3, num_layers=2, bidirectional=True, dropout=0.5, trainable_h0=True, seed=0)
    net.save(os.fsencode(tmp_path / "net.safetensors"))
    again = rc.load(os.fsencode(tmp_path / "net.safetensors"))
    assert type(again) is kind
    assert again.config == net.config
    assert again.flat.tobytes() == net.flat.tobytes()


def test_safetensors_that_are_not_ours(tmp_path, net, safetensors):
    import json

    path = tmp_path / "net.safetensors"
    arrays, config = net.state_dict(), net.config

    def refused(text, arrays=arrays, **header):
        metadata = {"rnncore": json.dumps({"format": 1, "class": "RNN", "config": config} | header)}
        path.write_bytes(safetensors.save(arrays, metadata=metadata))
        with pytest.raises(ValueError, match=text):
            rc.load(path)

    refused("its header says", config=config | {"hidden_size": 400_000})
    refused("its header says", arrays={"weight_hh_l0": arrays["weight_hh_l0"]})
    refused("this version reads", format=99)
    refused("this version reads", **{"class": "os"})
    refused("expected finite", arrays=arrays | {"head.bias": np.full(2, np.nan)})
    refused("no 'hidden_size'", config={})
    path.write_bytes(safetensors.save(arrays))  # somebody else's
    with pytest.raises(ValueError, match=r"path: expected a file written by save.*metadata"):
        rc.load(path)
    net.save(tmp_path / "net.npz")
    for data in (
        b"",
        b"\xff" * 8,
        b"\x13" + bytes(7) + b'{"__metadata__": 4}',
        os.urandom(100),
        (tmp_path / "net.npz").read_bytes(),
    ):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="path: expected a file written by save"):
            rc.load(path)
    with pytest.raises(FileNotFoundError):
        rc.load(tmp_path / "nothing.safetensors")


def test_safetensors_are_written_whole_or_not_at_all(tmp_path, net, safetensors, monkeypatch):
    path = tmp_path / "net.safetensors"
    net.save(path)
    before = path.read_bytes()

    def full(*args, **options):
        raise OSError("no space left on device")

    monkeypatch.setattr(safetensors, "save", full)
    with pytest.raises(OSError, match="no space"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_the_package_safetensors_is_named_where_it_is_missing(tmp_path, net, hide):
    hide("safetensors")
    (tmp_path / "old.safetensors").write_bytes(b"")
    for call in (
        lambda: net.save(tmp_path / "net.safetensors"),
        lambda: rc.load(tmp_path / "old.safetensors"),
    ):
        with pytest.raises(ImportError, match="path: expected the package safetensors"):
            call()
    assert os.listdir(tmp_path) == ["old.safetensors"]
    before, y = net.flat.copy(), np.zeros((1, 3, 2))
    with pytest.raises(ImportError, match="the package safetensors"):
        net.fit(np.ones((1, 3, 3)), y, epochs=1, checkpoint=tmp_path / "fit.safetensors")
    assert (net.flat == before).all()
    net.save(tmp_path / "net.npz")


@pytest.mark.skipif(os.name == "nt", reason="links as on Unix")
def test_a_link_is_of_the_kind_its_own_name_says(tmp_path, net, safetensors):
    for name, target in (("a.safetensors", "one.bin"), ("b.bin", "two.safetensors")):
        (tmp_path / target).write_bytes(b"")
        (tmp_path / name).symlink_to(target)
        net.save(tmp_path / name)
        assert (rc.load(tmp_path / name).flat == net.flat).all()


def test_checkpoints_can_be_safetensors(tmp_path, safetensors):
    x, y = np.ones((4, 3, 2)), np.ones(4)
    twice, once = (rc.RNN(2, 3, 1, loss="mse", seed=0) for _ in range(2))
    once.fit(x, y, epochs=6, rng=0)
    for epochs in (2, 6):
        twice.fit(x, y, epochs=epochs, rng=0, checkpoint=tmp_path / "fit.safetensors")
    assert twice.flat.tobytes() == once.flat.tobytes()


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


@pytest.mark.parametrize(
    "name", ["n.onnx", "n.PT", "n.pth", "n.keras", "n.h5", "n.pkl", "n.json", "n.h", "a.b/n.npy"]
)
def test_names_of_other_formats_are_refused(tmp_path, net, name):
    path, before = tmp_path / name, net.flat.tobytes()
    with pytest.raises(ValueError, match=r"path: expected the name of an \.npz or a \.safetensors"):
        net.save(path)
    with pytest.raises(ValueError, match=r"checkpoint: expected the name of an \.npz or a"):
        net.fit(np.ones((1, 3, 3)), np.zeros((1, 3, 2)), epochs=1, checkpoint=path)
    assert not list(tmp_path.iterdir())
    assert net.flat.tobytes() == before


@pytest.mark.parametrize("name", ["net.npz", "net", "run.v2", "run.ckpt", "a.onnx.npz", ".h5"])
def test_other_names_are_the_users_own(tmp_path, net, name):
    net.save(tmp_path / name)
    assert (rc.load(tmp_path / name).flat == net.flat).all()


def archive_of(*names):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"")

    return write


def beginning(data):
    return lambda path: path.write_bytes(data + bytes(100))


TORCH = "it is a file of PyTorch; net.load_state_dict(torch.load(path, weights_only=True))"
FOREIGN = [
    (archive_of("archive/data.pkl", "archive/data/0", "archive/version"), TORCH),
    (archive_of("n/data.pkl", "n/constants.pkl", "n/code/n.py"), "it is a TorchScript module"),
    (beginning(pickle.dumps(0x1950A86A20F9469CFC6C, 2)), TORCH),
    (lambda path: path.write_bytes(pickle.dumps(Evil())), "it is a pickle, which can execute"),
    (beginning(b"\x08\x0a\x12\x07pytorch\x3a"), "it is an ONNX model; its arrays go into"),
    (beginning(b"\x89HDF\r\n\x1a\n"), "it is an HDF5 file; its arrays go into"),
    (archive_of("metadata.json", "config.json", "model.weights.h5"), "it is a Keras model"),
    (lambda path: path.write_bytes(npz(a=np.zeros(3))), "net.load_state_dict(np.load(path)) takes"),
    (lambda path: path.write_bytes(tensors()), "it is a safetensors file without the metadata"),
    (lambda path: path.write_bytes(tensors("{}")), "give it a name that ends in .safetensors"),
    (archive_of("notes.txt"), "it has no header"),
    (beginning(b"hello"), "it is no .npz archive"),
    (lambda path: path.write_bytes(b""), "it is no .npz archive"),
]


def npz(**arrays):
    import io

    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def tensors(ours=None):
    """A safetensors file of no arrays."""
    import json

    header = json.dumps({"__metadata__": {"rnncore": ours} if ours else {"format": "pt"}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(("write", "text"), FOREIGN, ids=[text for _, text in FOREIGN])
def test_files_of_others_are_told_apart(tmp_path, monkeypatch, write, text):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "model.bin")
    with pytest.raises(ValueError, match="path: expected a file written by save, got") as error:
        rc.load("model.bin")
    assert text in str(error.value)
    assert "allow_pickle" not in str(error.value)
    assert os.listdir() == ["model.bin"]


def test_what_the_errors_advise(tmp_path, net, safetensors):
    """Parameters of PyTorch's names, in a file of no header, go into a network."""
    np.savez(tmp_path / "plain.npz", **net.state_dict())
    safetensors.save_file(net.state_dict(), tmp_path / "plain.safetensors")
    for path in ("plain.npz", "plain.safetensors"):
        with pytest.raises(ValueError, match=r"net.load_state_dict\((np|safetensors.numpy).load"):
            rc.load(tmp_path / path)
    with np.load(tmp_path / "plain.npz") as archive:
        for arrays in (archive, safetensors.load_file(tmp_path / "plain.safetensors")):
            other = rc.RNN(3, 4, 2, dtype="float64", seed=1)
            other.load_state_dict(arrays)
            assert (other.flat == net.flat).all()


def test_what_the_errors_advise_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    theirs, net = torch.nn.GRU(3, 4), rc.GRU(3, 4)
    for new in (True, False):
        path = tmp_path / "gru.bin"
        torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=new)
        with pytest.raises(ValueError, match="it is a file of PyTorch"):
            rc.load(path)
        net.load_state_dict(torch.load(path, weights_only=True))
        assert (net.parameters()["weight_hh_l0"] == theirs.weight_hh_l0.detach().numpy()).all()


def test_a_checkpoint_is_no_network(tmp_path, net):
    net.fit(np.ones((1, 3, 3)), np.zeros((1, 3, 2)), epochs=1, checkpoint=tmp_path / "fit")
    with pytest.raises(ValueError, match=r"it is a checkpoint; fit\(checkpoint=path\) goes on"):
        rc.load(tmp_path / "fit")


def test_an_archive_of_the_other_ending(tmp_path, net, safetensors):
    net.save(tmp_path / "net.npz")
    os.rename(tmp_path / "net.npz", tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"an .npz archive; give it a name that does not end in"):
        rc.load(tmp_path / "net.safetensors")
    net.save(tmp_path / "NET.SAFETENSORS")
    assert safetensors.load_file(tmp_path / "NET.SAFETENSORS")


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
