"""Networks and checkpoints as safetensors files: they come back, and others' are refused."""

import os

import numpy as np
import pytest

import rnncore as rc


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


def test_an_archive_of_the_other_ending(tmp_path, net, safetensors):
    net.save(tmp_path / "net.npz")
    os.rename(tmp_path / "net.npz", tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"an .npz archive; give it a name that does not end in"):
        rc.load(tmp_path / "net.safetensors")
    net.save(tmp_path / "NET.SAFETENSORS")
    assert safetensors.load_file(tmp_path / "NET.SAFETENSORS")
