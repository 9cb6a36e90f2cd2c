"""Files of other libraries are told apart and refused with advice that works; none is executed."""

import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

import rnncore as rc


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
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def tensors(ours=None):
    """A safetensors file of no arrays."""
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
