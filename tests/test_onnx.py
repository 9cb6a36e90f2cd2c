"""Networks written as ONNX graphs: onnxruntime gives their outputs, and reading them their bits."""

import numpy as np
import pytest
from states import parts

import rnncore as rc

onnx = pytest.importorskip("onnx")
import rnncore.onnx  # noqa: E402


def draw(seed):
    """A network and options of `to_model`."""
    rng = np.random.default_rng(seed)

    def one_in(n):
        return bool(rng.integers(n) == 0)

    kind = [rc.RNN, rc.LSTM, rc.GRU][rng.integers(3)]
    options = {
        "num_layers": int(rng.integers(1, 4)), "bidirectional": one_in(2), "bias": not one_in(4),
        "readout": str(rng.choice(["last", "all"])), "trainable_h0": one_in(3),
        "loss": [None, "mse"][rng.integers(2)],
    }  # fmt: skip
    if kind is rc.RNN:
        options["nonlinearity"] = str(rng.choice(["tanh", "relu", "sigmoid", "identity"]))
    if kind is rc.GRU:
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
        options["reset"] = str(rng.choice(["after", "before"]))
    if options["num_layers"] > 1 and one_in(3):
        options["dropout"] = 0.5
    D, H, K = (int(n) for n in rng.integers(1, 7, 3))
    K = None if one_in(4) else K
    if K is not None and one_in(3):
        options["readout_bias"] = not options["bias"]
    net = kind(D, H, K, **options, seed=rng)
    for name in ("h0", "c0"):
        if name in net.parameters():
            net.parameters()[name][:] = rng.standard_normal(net.parameters()[name].shape)
    given = {name: one_in(2) for name in ("lengths", "states", "tokens")}
    return net, given | {"opset": int(rng.choice([14, 15, 17, 17, 20, 21]))}, rng


def feeds_of(net, given, rng, B, T):
    """What the graph is given, and what a call of the network is."""
    spec = net._model.spec
    x = rng.standard_normal((B, T, spec.input_size)).astype(net.dtype)
    if given["tokens"]:
        x = rng.integers(0, spec.input_size, (B, T))
    feeds, call = {"x": x}, {}
    if given["lengths"]:
        lengths = rng.integers(1, T + 1, B)
        feeds["lengths"], call["lengths"] = lengths.astype(np.int32), lengths
    if given["states"]:
        shape = (B, spec.state_rows, spec.hidden_size)
        pair = [rng.standard_normal(shape).astype(net.dtype) for _ in range(spec.states)]
        feeds |= dict(zip(("h0", "c0"), pair, strict=False))
        call["h0"] = tuple(pair) if len(pair) == 2 else pair[0]
    return feeds, x, call


def same_parameters(a, b):
    return all((values == b.parameters()[name]).all() for name, values in a.parameters().items())


@pytest.mark.parametrize("seed", range(160))
def test_onnxruntime_gives_the_outputs_of_the_network(seed):
    ort = pytest.importorskip("onnxruntime")
    net, given, rng = draw(seed)
    model = rnncore.onnx.to_model(net, **given)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    for B, T in ((1, 1), (3, 7), (5, 2)):
        feeds, x, call = feeds_of(net, given, rng, B, T)
        got = dict(
            zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True)
        )
        out = net(x, **call)
        final = dict(zip(("final", "final_c"), parts(out.final), strict=False))
        for name, exact in {"y": out.y, "hidden": out.hidden, **final}.items():
            assert got[name].shape == exact.shape
            assert np.abs(got[name] - exact).max() < 1e-5 * max(1, np.abs(exact).max()), name


@pytest.mark.parametrize("seed", range(160))
def test_what_was_written_is_read_with_the_same_bits(seed, dtype):
    net, given, _ = draw(seed)
    model = rnncore.onnx.to_model(net, **given, dtype=dtype)
    other = rnncore.onnx.load(model.SerializeToString(), loss=net.config["loss"])
    ignored = {"dropout": 0.0, "dtype": dtype}
    if given["states"]:  # whose first ones the graph does not have
        ignored["trainable_h0"] = False
    assert other.config == net.config | ignored
    assert same_parameters(other, net)
    assert type(other) is type(net)


def runs_in_the_reference(net):
    """What onnx.reference can run: it knows neither two directions nor "Relu" of a GRU."""
    return not net.config["bidirectional"] and net.config.get("nonlinearity") in (None, "tanh")


@pytest.mark.parametrize("seed", [s for s in range(60) if runs_in_the_reference(draw(s)[0])])
def test_the_reference_evaluator_gives_them_in_float64(seed):
    from onnx.reference import ReferenceEvaluator

    net, given, rng = draw(seed)
    given["lengths"] = False
    model = rnncore.onnx.to_model(net, **given, dtype="float64")
    net = type(net)(**net.config | {"dtype": "float64"}, init=net.state_dict())
    feeds, x, call = feeds_of(net, given, rng, 3, 5)
    (y,) = ReferenceEvaluator(model).run(["y"], feeds)
    assert np.abs(y - net(x, **call).y).max() < 1e-12


def test_a_file(tmp_path):
    net = rc.LSTM(3, 4, 2, seed=0)
    rnncore.onnx.export(net, tmp_path / "net.onnx", states=True)
    other = rnncore.onnx.load(tmp_path / "net.onnx")
    assert same_parameters(other, net)
    assert rnncore.onnx.load(str(tmp_path / "net.onnx")).config == net.config
    with pytest.raises(FileNotFoundError):
        rnncore.onnx.load(tmp_path / "other.onnx")


NET = rc.RNN(2, 3, 1, seed=0)
BAD = [
    (lambda: rnncore.onnx.to_model(rc.MGU(2, 3)), ValueError, "net: expected an RNN, LSTM or GRU"),
    (lambda: rnncore.onnx.to_model(rc.RNN(2, 3, skip=2)), ValueError, "net: expected skip=None"),
    (
        lambda: rnncore.onnx.to_model(rc.RNN(2, 3, readout="before")),
        ValueError,
        "net: expected readout='last' or 'all', got 'before'",
    ),
    (lambda: rnncore.onnx.to_model("net"), TypeError, "net: expected a network of rnncore, got a"),
    (lambda: rnncore.onnx.to_model(NET, opset=13), ValueError, "opset: expected at least 14"),
    (lambda: rnncore.onnx.to_model(NET, lengths=1), TypeError, "lengths: expected True or False"),
    (lambda: rnncore.onnx.to_model(NET, dtype="float16"), ValueError, "dtype: expected one of"),
    (lambda: rnncore.onnx.export(NET, 3), TypeError, "path: expected a file's path, got 3"),
    (lambda: rnncore.onnx.load(3), TypeError, "model: expected a file's path, got 3"),
    (lambda: rnncore.onnx.load(b"no model"), ValueError, "model: expected an ONNX model, got"),
    (
        lambda: rnncore.onnx.load(rnncore.onnx.to_model(NET), output="z"),
        ValueError,
        "output: expected one of 'y', 'hidden', 'final', got 'z'",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_parameters_that_are_not_finite():
    net = rc.RNN(2, 3, seed=0)
    net.flat[0] = np.nan
    with pytest.raises(ValueError, match=r"parameters\(\)\['weight_ih_l0'\]: expected finite"):
        rnncore.onnx.to_model(net)


def test_without_the_package(hide, monkeypatch):
    import importlib
    import sys

    hide("onnx")
    monkeypatch.delitem(sys.modules, "rnncore.onnx")
    with pytest.raises(ImportError, match=r"expected the package onnx .*pip install rnncore\[onnx"):
        importlib.import_module("rnncore.onnx")
