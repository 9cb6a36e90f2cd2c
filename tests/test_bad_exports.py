"""What cannot be exported is refused by name, and leaves files as they were."""

import os
import re
from dataclasses import replace

import numpy as np
import pytest
import rnncore.export

import rnncore as rc


def infinite(net):
    net.parameters()["weight_hh_l0"][1, 0] = np.inf
    return net


def large(net):
    net.parameters()["bias_ih_l0"][2] = 1e200
    return net


def started(net):
    net.parameters()["h0"][0, 1] = 0.5
    return net


GRU = rc.GRU(3, 4, 2, seed=0)
X = np.zeros((2, 5, 3))

BAD_C = [
    (lambda p: ([1], p), {}, TypeError, "net: expected an RNN, LSTM, GRU or MGU, got a list"),
    (lambda p: (rc.Population(rc.GRU, members=2, input_size=1, hidden_size=1), p), {}, TypeError, "net: expected an RNN, LSTM, GRU or MGU, got a Population; write net[i] for one of its members"),
    (lambda p: (rc.GRU(3, 4, bidirectional=True), p), {}, ValueError, "net: expected a network with bidirectional=False"),
    (lambda p: (infinite(rc.RNN(3, 4, seed=0)), p), {}, ValueError, "parameters()['weight_hh_l0']: expected finite numbers, got inf at [1, 0]"),
    (lambda p: (large(rc.RNN(3, 4, dtype="float64", seed=0)), p), {}, ValueError, "net: bias_l0 as float32: expected finite numbers, got inf at [2]"),
    (lambda p: (GRU, p), {"dtype": "int4"}, ValueError, "dtype: expected one of 'float32', 'int8', got 'int4'"),
    (lambda p: (GRU, p), {"dtype": 8}, TypeError, "dtype: expected one of 'float32', 'int8', got 8"),
    (lambda p: (GRU, p), {"libm": 1}, TypeError, "libm: expected True or False, got 1"),
    (lambda p: (GRU, p), {"tokens": "no"}, TypeError, "tokens: expected True or False, got 'no'"),
    (lambda p: (GRU, p), {"name": "2nd"}, ValueError, "name: expected letters, digits and underscores that begin with a letter, got '2nd'"),
    (lambda p: (GRU, p), {"name": "net\n"}, ValueError, "name: expected letters, digits and underscores"),
    (lambda p: (GRU, p), {"name": ""}, ValueError, "name: expected letters, digits and underscores"),
    (lambda p: (GRU, p), {"name": 3}, TypeError, "name: expected a str, got 3"),
    (lambda p: (GRU, f"{p}-v2"), {}, ValueError, "name: expected letters, digits and underscores that begin with a letter, got 'net-v2'"),
    (lambda p: (GRU, f'{p}"a'), {"name": "net"}, ValueError, "path: expected a name that C can include, got 'net\"a'"),
    (lambda p: (GRU, f"{p}\nb"), {"name": "net"}, ValueError, "path: expected a name that C can include, got 'net\\nb'"),
    (lambda p: (GRU, 7.5), {}, TypeError, "path: expected a file's path, got 7.5"),
    (lambda p: (GRU, ""), {}, ValueError, "path: expected a file's path, got ''"),
    (lambda p: (GRU, "net\0"), {}, ValueError, "path: expected a file's path, got"),
    (lambda p: (GRU, os.path.join(p, "net")), {}, FileNotFoundError, "path: expected a file in a folder that exists"),
    (lambda p: (GRU, p), {"x": X}, ValueError, "x: expected None with dtype='float32', which rounds no weights"),
    (lambda p: (GRU, p), {"dtype": "int8", "x": X[0]}, ValueError, "x: expected (batch, time, 3), got (5, 3)"),
    (lambda p: (GRU, p), {"dtype": "int8", "y": [1]}, ValueError, "x: expected the sequences that the targets y belong to, got None"),
    (lambda p: (rc.GRU(3, 4, 2, loss="mse"), p), {"dtype": "int8", "x": X, "y": [1]}, ValueError, "y: expected"),
]  # fmt: skip

BAD_RTNEURAL = [
    (rc.RNN(3, 4), ValueError, "net: expected a GRU or LSTM for RTNeural, which has no RNN"),
    (rc.MGU(3, 4), ValueError, "net: expected a GRU or LSTM for RTNeural, which has no MGU"),
    (rc.LSTM(3, 4, bidirectional=True), ValueError, "net: expected a network with bidirectional=False"),
    (rc.GRU(3, 4, nonlinearity="relu"), ValueError, "nonlinearity: expected 'tanh' for RTNeural, got 'relu'"),
    (rc.LSTM(3, 4, readout="before"), ValueError, "readout: expected 'last' or 'all' for RTNeural, got 'before'"),
    (rc.GRU(3, 4, reset="before"), ValueError, "reset: expected 'after' for RTNeural, got 'before'"),
    (started(rc.LSTM(3, 4, trainable_h0=True)), ValueError, "trainable_h0: expected zeros in parameters()['h0'] for RTNeural, whose states begin with zeros"),
    (3, TypeError, "net: expected an RNN, LSTM, GRU or MGU, got a int"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "options", "error", "text"), BAD_C)
def test_c_refuses(tmp_path, arguments, options, error, text):
    for name in ("net.h", "net.c"):
        (tmp_path / name).write_text("before")
    with pytest.raises(error, match=re.escape(text)):
        rnncore.export.c(*arguments(str(tmp_path / "net")), **options)
    assert sorted(os.listdir(tmp_path)) == ["net.c", "net.h"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"before"}


@pytest.mark.parametrize(("net", "error", "text"), BAD_RTNEURAL)
def test_rtneural_refuses(tmp_path, net, error, text):
    with pytest.raises(error, match=re.escape(text)):
        rnncore.export.rtneural(net, tmp_path / "net.json")
    assert os.listdir(tmp_path) == []


def test_a_cell_that_has_no_template_is_named(tmp_path):
    net = rc.GRU(3, 4, 2, seed=0)
    net._model.cell = replace(net._model.cell, name="SCRN")
    with pytest.raises(ValueError, match=r"net: expected one of RNN, .* got SCRN"):
        rnncore.export.c(net, tmp_path / "net")
    with pytest.raises(ValueError, match=r"net: expected a GRU or LSTM .* no SCRN"):
        rnncore.export.rtneural(net, tmp_path / "net.json")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("ending", [".h", ".c"])
def test_a_folder_in_the_place_of_either_file(tmp_path, ending):
    (tmp_path / f"net{ending}").mkdir()
    with pytest.raises(OSError, match=r"path: expected a file, got .*, which is a folder"):
        rnncore.export.c(GRU, tmp_path / "net")
    assert os.listdir(tmp_path) == [f"net{ending}"]


def test_a_disk_that_fails_leaves_both_files(tmp_path, monkeypatch):
    rnncore.export.c(GRU, tmp_path / "net")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*args):
        raise OSError("no space left")

    for function in ("chmod", "fdopen"):
        with monkeypatch.context() as context:
            context.setattr(os, function, full)
            with pytest.raises(OSError, match="no space left"):
                rnncore.export.c(rc.GRU(3, 4, 2, seed=1), tmp_path / "net")
            with pytest.raises(OSError, match="no space left"):
                rnncore.export.rtneural(rc.GRU(3, 4, 2, seed=1), tmp_path / "net.json")
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("ending", ["", ".h", ".c"])
def test_the_path_may_have_the_ending_of_either(tmp_path, ending):
    report = rnncore.export.c(GRU, tmp_path / f"net_2{ending}")
    assert sorted(os.listdir(tmp_path)) == ["net_2.c", "net_2.h"]
    assert report.name == "net_2"


def test_names_in_the_files_may_differ_from_theirs(tmp_path):
    report = rnncore.export.c(GRU, tmp_path / "my-net.v2", name="voice")
    text = (tmp_path / "my-net.v2.c").read_text()
    assert report.source == str(tmp_path / "my-net.v2.c")
    assert text.startswith('#include "my-net.v2.h"\n')
    assert "void voice_step(voice_state *state" in text
