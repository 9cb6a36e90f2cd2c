"""Weights as 8-bit integers: how they are rounded, what the C code makes of them, and what the
report says it costs."""

import numpy as np
import pytest
import rnncore.export
from compiled import Stream, library
from rnncore._export.quantisation import quantised

import rnncore as rc


def by_hand(net):
    """The network with every row of every matrix rounded to 127 steps of its largest weight."""
    twin = type(net)(**net._model.config, seed=0)
    twin.load_state_dict(net.state_dict())
    for name, values in twin.parameters().items():
        if name.startswith("weight") or name == "head.weight":
            for row in values:
                scale = max(abs(float(w)) for w in row) / 127
                row[:] = [round(float(w) / scale) * scale if scale else 0.0 for w in row]
    return twin


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((30, 12, 3)).astype(np.float32)


def test_a_row_is_rounded_to_steps_of_its_own():
    matrix = np.random.default_rng(0).standard_normal((20, 7)) * np.logspace(-8, 8, 20)[:, None]
    matrix[3] = 0
    integers, scales = quantised(matrix)
    assert integers.dtype == np.int8
    assert (np.abs(integers).max(axis=1) == np.where(np.arange(20) == 3, 0, 127)).all()
    steps = scales[:, None].astype(np.float64)
    assert (np.abs(integers * steps - matrix) <= 0.5001 * steps).all()


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU", "MGU"])
@pytest.mark.parametrize("libm", [False, True])
def test_the_code_computes_what_the_rounded_network_does(tmp_path, x, cell, libm):
    more = {"skip": 2} if cell == "RNN" else {}
    net = getattr(rc, cell)(3, 9, 2, num_layers=2, readout="all", trainable_h0=True, seed=1, **more)
    net.parameters()["h0"] = np.random.default_rng(0).standard_normal((2, 9))
    report = rnncore.export.c(net, tmp_path / "net", dtype="int8", libm=libm, tokens=True, x=x)
    compiled = library(tmp_path, [report])
    expected, before = by_hand(net)(x).y, net(x).y
    for k in range(3):
        y = Stream(compiled, report, 2).run(x[k])
        np.testing.assert_allclose(y, expected[k], atol=1e-6)
    found = report.accuracy
    assert found.largest == pytest.approx(np.abs(expected - before).max(), rel=1e-3)
    assert found.mean == pytest.approx(np.abs(expected - before).mean(), rel=1e-3)
    assert 1e-4 < found.mean < found.largest < 0.1
    assert (found.equal, found.loss, found.loss_after) == (None, None, None)
    token = Stream(compiled, report, 2).step_token(1)[1]
    np.testing.assert_allclose(token, Stream(compiled, report, 2).step([0, 1, 0]), atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("loss", ["bce", "cross_entropy", "mse"])
def test_the_report_compares_predictions_and_losses(tmp_path, x, loss, readout, dtype):
    net = rc.GRU(3, 5, 4, loss=loss, readout=readout, dtype=dtype, seed=0)
    rng = np.random.default_rng(1)
    shape = (30,) if readout == "last" else (30, 12)
    y = rng.integers(0, 4, shape) if loss == "cross_entropy" else rng.integers(0, 2, (*shape, 4))
    found = rnncore.export.c(net, tmp_path / "net", dtype="int8", x=x, y=y).accuracy
    twin = by_hand(net)
    assert found.loss == net.loss(x, y)
    assert found.loss_after == pytest.approx(twin.loss(x, y), rel=1e-6)
    if loss == "mse":
        assert found.equal is None
    else:
        assert found.equal == pytest.approx((twin.predict(x) == net.predict(x)).mean(), abs=2e-3)


def test_steps_that_pad_a_sequence_are_not_compared(tmp_path, x):
    net = rc.GRU(3, 5, 4, loss="cross_entropy", readout="all", seed=0)
    ragged = [x[0], x[1, :2]]
    found = rnncore.export.c(net, tmp_path / "net", dtype="int8", x=ragged).accuracy
    twin = by_hand(net)
    apart = np.concatenate([np.abs(twin(s[None]).y - net(s[None]).y)[0] for s in ragged])
    assert found.mean == pytest.approx(apart.mean(), rel=1e-3)


def test_tokens_are_sequences_too(tmp_path):
    net = rc.GRU(4, 5, 2, loss="cross_entropy", readout="all", seed=0)
    tokens = np.random.default_rng(0).integers(0, 4, (6, 9))
    report = rnncore.export.c(net, tmp_path / "net", dtype="int8", x=tokens, y=tokens % 2)
    assert 0.9 < report.accuracy.equal <= 1
    shown = repr(report).splitlines()
    assert shown[0] == "GRU, 5 units, 4 inputs, 2 outputs; int8"
    assert [line.split()[0] for line in shown[2:]] == [
        "weights", "state", "stack", "outputs", "predictions", "loss",
    ]  # fmt: skip


def test_weights_take_a_quarter_of_the_memory(tmp_path):
    net = rc.LSTM(32, 64, 8, seed=0)
    sizes = [rnncore.export.c(net, tmp_path / "net", dtype=t).weights for t in ("float32", "int8")]
    matrices, rows, biases = 256 * 96 + 8 * 64, 256 * 2 + 8, 256 + 8
    assert sizes == [4 * (matrices + biases), matrices + 4 * (rows + biases)]
    assert sizes[1] < 0.28 * sizes[0]


def test_the_network_stays_as_it_is(tmp_path, x):
    net = rc.GRU(3, 5, 4, seed=0)
    before = net.flat.copy()
    rnncore.export.c(net, tmp_path / "net", dtype="int8", x=x)
    assert (net.flat == before).all()
