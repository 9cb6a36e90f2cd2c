"""C code of networks: it compiles without a warning, computes what ``net.step`` computes, and has
the memory that it says."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
import rnncore.export
from compiled import STRICT, Stream, library, run, steps, tool

import rnncore as rc

COUNT = 96
CELLS = ("RNN", "LSTM", "GRU", "MGU")


def drawn(k):
    """A network in which all options are crossed, and options of its export."""
    rng = np.random.default_rng(k)
    cell = CELLS[k % 4]
    D, H = rng.integers(1, 7), rng.choice([1, 2, 3, 5, 8, 9, 17])
    K = None if rng.random() < 0.2 else int(rng.integers(1, 5))
    options = {
        "num_layers": int(rng.choice([1, 1, 2, 3])),
        "bias": bool(rng.random() < 0.7),
        "readout_bias": None if K is None else [None, False, True][rng.integers(3)],
        "readout": str(rng.choice(["last", "all", "before"])),
        "trainable_h0": bool(rng.random() < 0.5),
        "dtype": str(rng.choice(["float32", "float64"])),
    }
    if cell == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu", "sigmoid", "identity"]))
        options["skip"] = [None, None, 1, 2, 5][rng.integers(5)]
    elif cell != "LSTM":
        options["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    if cell == "GRU":
        options["reset"] = str(rng.choice(["after", "before"]))
    net = getattr(rc, cell)(int(D), int(H), K, **options, seed=k)
    for name in ("h0", "c0"):
        if name in net.parameters():
            net.parameters()[name][...] = rng.standard_normal(net.parameters()[name].shape) / 2
    libm, tokens = rng.random() < 0.6, rng.random() < 0.5
    return net, rng, {"libm": bool(libm), "tokens": bool(tokens)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """All networks, in one library: no name is in it twice."""
    folder = tmp_path_factory.mktemp("sweep")
    nets = [drawn(k) for k in range(COUNT)]
    reports = [
        rnncore.export.c(net, folder / f"net_{k}", **options)
        for k, (net, _, options) in enumerate(nets)
    ]
    return library(folder, reports), nets, reports


@pytest.mark.parametrize("k", range(COUNT))
def test_a_step_is_that_of_the_network(sweep, k):
    compiled, nets, reports = sweep
    net, rng, _ = nets[k]
    x = rng.standard_normal((12, net.input_size)) * 2
    expected = steps(net, x)
    stream = Stream(compiled, reports[k], expected.shape[1])
    y = stream.run(x)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))
    stream.call("reset")
    assert (stream.run(x) == y).all()


@pytest.mark.parametrize("k", range(COUNT))
def test_a_token_is_a_row_of_the_identity(sweep, k):
    compiled, nets, reports = sweep
    net, rng, options = nets[k]
    one, other = (
        Stream(compiled, reports[k], len(steps(net, np.eye(net.input_size))[0])) for _ in "12"
    )
    if not options["tokens"]:
        assert not hasattr(compiled, f"net_{k}_step_token")
        return
    for token in rng.integers(0, net.input_size, 8):
        code, y = one.step_token(token)
        assert code == 0
        np.testing.assert_allclose(y, other.step(np.eye(net.input_size)[token]), atol=1e-6)
    for token in (-1, net.input_size, 2**31 - 1, -(2**31)):
        before = one.memory.raw
        code, y = one.step_token(token)
        assert code == -1
        assert np.isnan(y).all()
        assert one.memory.raw == before


def test_states_are_apart(tmp_path):
    net = rc.LSTM(3, 4, 2, num_layers=2, seed=0)
    report = rnncore.export.c(net, tmp_path / "net")
    compiled = library(tmp_path, [report])
    x = np.random.default_rng(0).standard_normal((2, 20, 3))
    alone = [Stream(compiled, report, 2).run(x_s) for x_s in x]
    streams = [Stream(compiled, report, 2) for _ in x]
    together = [
        [s.step(x_t) for s, x_t in zip(streams, pair, strict=True)] for pair in zip(*x, strict=True)
    ]
    assert (np.array(alone) == np.swapaxes(together, 0, 1)).all()


def test_every_option_of_a_network_is_known_to_the_export():
    known = {
        "input_size", "hidden_size", "output_size", "nonlinearity", "skip", "num_layers", "loss",
        "bidirectional", "dropout", "trainable_h0", "bias", "readout_bias", "readout", "dtype",
        "reset", "recurrent_dropout", "zoneout", "switching",
    }  # fmt: skip
    for cell in CELLS:
        assert set(getattr(rc, cell)(1, 1)._model.config) <= known


# ---- what the compiler says ---------------------------------------------------------


def various(folder):
    """Exports between which every part of the code is met."""
    nets = {
        "elman": (rc.RNN(3, 4, 2, seed=0), {}),
        "identity": (rc.RNN(3, 4, nonlinearity="identity", seed=0), {"libm": False}),
        "skipping": (rc.RNN(1, 1, 1, skip=3, trainable_h0=True, nonlinearity="relu", seed=0), {}),
        "lstm": (rc.LSTM(3, 4, 2, num_layers=2, trainable_h0=True, seed=0), {"tokens": True}),
        "gru": (rc.GRU(3, 4, 2, num_layers=2, bias=False, seed=0), {"dtype": "int8"}),
        "before": (rc.GRU(3, 4, 2, reset="before", readout="before", seed=0), {}),
        "mgu": (rc.MGU(3, 4, 2, seed=0), {"libm": False, "tokens": True, "dtype": "int8"}),
    }
    return [rnncore.export.c(net, folder / name, **more) for name, (net, more) in nets.items()]


@pytest.mark.parametrize("level", ["-O0", "-O3", "-Os"])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compilers_have_nothing_to_say(tmp_path, compiler, level):
    for report in various(tmp_path):
        text = Path(report.source).read_text() + Path(report.header).read_text()
        object_ = tmp_path / "object.o"
        run(tool(compiler), *STRICT, level, "-fno-pic", "-c", report.source, "-o", object_)
        allowed = {"expf", "tanhf"} if "<math.h>" in text else set()
        called = {line.split()[-1] for line in run("nm", "-u", object_).splitlines()}
        assert called <= allowed | {"memcpy", "memset"}
        sizes = {}
        for line in run("nm", "-S", "--defined-only", object_).splitlines():
            _, *size, kind, symbol = line.split()
            assert kind in "tTrR"  # code and constants
            if kind in "rR" and re.match(rf"{report.name}_", symbol):
                sizes[symbol.removeprefix(f"{report.name}_")] = int(size[0], 16)
        tables = sizes.pop("layers", 0) + sizes.pop("readout", 0)
        if level == "-O0":
            assert tables
            assert sum(sizes.values()) == report.weights


def test_the_header_suits_c_and_cpp(tmp_path):
    for report in various(tmp_path):
        name, N = report.name, report.name.upper()
        text = (
            f'#include "{name}.h"\n#include "{name}.h"\n'
            f"char same[sizeof({name}_state) == {N}_STATE_BYTES ? 1 : -1];\n"
            f"int main(void)\n{{\n    {name}_state state;\n    float x[{N}_INPUTS] = {{0}}, "
            f"y[{N}_OUTPUTS];\n    {name}_init(&state);\n    {name}_step(&state, x, y);\n"
            f"    {name}_reset(&state);\n    return 0;\n}}\n"
        )
        for ending, compiler, standard in (("c", "gcc", "c99"), ("cpp", "g++", "c++11")):
            main, object_ = tmp_path / f"main.{ending}", tmp_path / "net.o"
            main.write_text(text)
            run(tool("gcc"), *STRICT, "-c", report.source, "-o", object_)
            flags = f"-std={standard} -pedantic -Wall -Wextra -Werror".split()
            run(tool(compiler), *flags, main, object_, "-lm", "-o", tmp_path / "program")
            run(tmp_path / "program")
        run("g++", "-x", "c++", *flags, "-c", report.source, "-o", tmp_path / "net.o")


# ---- without the C library ----------------------------------------------------------


def test_own_functions_are_as_close_as_they_say(tmp_path):
    rnncore.export.c(rc.GRU(1, 1, seed=0), tmp_path / "net", libm=False)
    wrapper = tmp_path / "wrapper.c"
    wrapper.write_text(
        '#include "net.c"\nvoid many(const float *x, float *t, float *s, int count);\n'
        "void many(const float *x, float *t, float *s, int count)\n{\n    int i;\n"
        "    for (i = 0; i < count; ++i) {\n        t[i] = net_tanh(x[i]);\n"
        "        s[i] = net_logistic(x[i]);\n    }\n}\n"
    )
    run(tool("gcc"), *STRICT, "-O2", "-fPIC", "-shared", wrapper, "-o", tmp_path / "wrapper.so")
    largest = np.float32(40).view(np.int32)
    x = np.arange(0, largest, 499, np.int32).view(np.float32)  # every 499th float from 0 to 40
    x = np.concatenate([x, -x, np.linspace(-12, 12, 3_000_001, dtype=np.float32)])
    x = np.append(x, np.float32([np.inf, -np.inf, 3e38]))
    tanh, logistic = np.full((2, len(x)), np.nan, np.float32)
    pointers = [
        values.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for values in (x, tanh, logistic)
    ]
    ctypes.CDLL(str(tmp_path / "wrapper.so")).many(*pointers, len(x))
    exact = np.tanh(x.astype(np.float64))
    assert np.abs(tanh - exact).max() <= 5e-7
    assert np.abs(tanh - exact)[np.abs(x) < 1].max() <= 2.5e-7
    assert (np.abs(tanh - exact) <= 5e-7 * np.abs(exact) + 1e-44).all()  # small ones keep digits
    assert np.abs(tanh).max() <= 1
    assert np.abs(logistic - (0.5 + 0.5 * np.tanh(x.astype(np.float64) / 2))).max() <= 5e-7
    assert logistic.min() >= 0
    assert logistic.max() <= 1


def test_a_small_network_has_the_memory_of_its_numbers(tmp_path):
    report = rnncore.export.c(rc.GRU(3, 8, 1, num_layers=2, seed=0), tmp_path / "net")
    first, second, head = 24 * (3 + 8) + 24 + 8, 24 * 16 + 24 + 8, 8 + 1
    assert report.weights == 4 * (first + second + head)
    assert (report.state, report.scratch) == (4 * 16, 4 * 32)
    assert repr(report).startswith("GRU, 2 layers of 8 units, 3 inputs, 1 output; float32\n")
