"""Results are the same bits for any number of threads, in any company, from run to run."""

from functools import partial

import numpy as np
import pytest
from answers import problem, results

import rnncore as rc

# H, D, B, T: blocks of one, two and four vectors, wide weights, one long sequence in chunks
SIZES = [
    (1, 1, 300, 9), (1, 6, 70, 9), (2, 3, 200, 7), (4, 8, 130, 12), (16, 8, 100, 11),
    (21, 5, 90, 6), (40, 33, 70, 5), (100, 110, 40, 3), (1, 2, 3, 700),
]  # fmt: skip


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_number_of_threads(build, dtype, size, readout):
    net, x, y = problem(size, dtype, readout)
    expected = results(net, x, y, threads=1)
    for threads in (2, 3, 8, None, 1):
        assert results(net, x, y, threads=threads) == expected


@pytest.mark.parametrize("size", [(1, 1, 200, 9), (5, 3, 90, 7), (40, 3, 70, 5)], ids=str)
def test_fits_with_any_number_of_threads(build, dtype, size):
    net, x, y = problem(size, dtype)
    start, ends = net.flat.copy(), set()
    for threads in (1, 2, 3, 8):
        net.flat[:] = start
        net.fit(x, y, epochs=5, batch_size=70, rng=3, threads=threads)
        ends.add(net.flat.tobytes())
    assert len(ends) == 1


CELLS = [rc.RNN, rc.LSTM, rc.GRU, rc.MGU, partial(rc.GRU, reset="before")]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("options", [{}, {"readout": "all", "num_layers": 2}], ids=str)
def test_arrays_that_need_conversion_and_those_that_do_not(build, dtype, cell, options):
    net = cell(3, 4, 2, loss="mse", seed=0, dtype=dtype, bidirectional=True, **options)
    x = np.random.default_rng(0).standard_normal((5, 7, 3)).astype(dtype)
    y = net(x).y + 1
    assert results(net, x, y) == results(net, np.asfortranarray(x), y)


def test_ragged_batches_with_any_number_of_threads(build):
    net, x, y = problem((6, 3, 150, 20), "float32", "all")
    lengths = np.random.default_rng(1).integers(1, 21, 150)
    mask = np.random.default_rng(2).random((150, 20)) < 0.7
    for options in ({"lengths": lengths}, {"mask": mask}):
        expected = results(net, x, y, **options, threads=1)
        assert results(net, x, y, **options, threads=3) == expected


CHUNKS = {
    "forgets within a chunk": {"scale": 1.0},
    "forgets within several": {"scale": 1.5},
    "never forgets": {"scale": 4.0},
    "relu": {"nonlinearity": "relu"},
    "identity": {"nonlinearity": "identity"},
    "sigmoid": {"nonlinearity": "sigmoid"},
}


@pytest.mark.parametrize("case", CHUNKS, ids=str)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("T", [256, 511, 1000, 9001])
def test_a_long_sequence_alone_and_among_others(build, dtype, T, readout, case):
    """One sequence of one unit is worked on in chunks of time: the bits are those of a batch."""
    options = dict(CHUNKS[case])
    scale = options.pop("scale", 1.0)
    net, x, y = problem((1, 1, 12, T), dtype, readout, **options)
    weights = net.parameters()
    weights["weight_hh_l0"][:] = 0.95 * scale
    weights["weight_ih_l0"][:] = 0.1
    h0 = np.linspace(-1, 1, 12).astype(dtype).reshape(12, 1, 1)
    together, dy = net(x, h0=h0), np.ones_like(y)
    _, dx, dh0 = net.vjp(x, dy, h0=h0)
    for s in (0, 7):
        one = slice(s, s + 1)
        alone = net(x[one], h0=h0[one])
        assert alone.hidden.tobytes() == together.hidden[one].tobytes()
        assert alone.y.tobytes() == together.y[one].tobytes()
        assert alone.final.tobytes() == together.final[one].tobytes()
        _, dx_alone, dh0_alone = net.vjp(x[one], dy[one], h0=h0[one])
        assert dx_alone.tobytes() == dx[one].tobytes()
        assert dh0_alone.tobytes() == dh0[one].tobytes()


ALONE = [
    {"hidden": 4, "T": 20},
    {"hidden": 16, "T": 300, "readout": "all", "loss": "mse"},
    {"hidden": 9, "T": 13, "num_layers": 3, "bidirectional": True, "output_size": None},
    {"hidden": 33, "T": 7, "readout": "all", "num_layers": 2, "bias": False, "tokens": True},
    {"hidden": 5, "T": 40, "bidirectional": True, "readout": "all", "lengths": True},
    {"hidden": 1, "T": 11, "trainable_h0": True, "num_layers": 2},
    {"hidden": 70, "T": 6, "output_size": 40},
]  # fmt: skip


def company(cell, case, dtype, count):
    """A network, so many sequences, and their lengths if they are to differ."""
    options = {"output_size": 3, "dtype": dtype, "seed": 0} | case
    H, T = options.pop("hidden"), options.pop("T")
    tokens, ragged = options.pop("tokens", False), options.pop("lengths", False)
    net, rng = cell(6, H, **options), np.random.default_rng(0)
    shape = (count, T) if tokens else (count, T, 6)
    x = rng.integers(0, 6, shape) if tokens else rng.standard_normal(shape).astype(dtype)
    return net, x, rng.integers(1, T + 1, count) if ragged else None


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("case", ALONE, ids=str)
def test_a_sequence_alone_and_among_others(build, dtype, cell, case):
    """A sequence alone is worked on with units in lanes: the bits are those of a batch."""
    net, x, lengths = company(cell, case, dtype, 40)
    out = net(x, lengths=lengths)
    dy = np.random.default_rng(1).standard_normal(out.y.shape).astype(dtype)
    _, dx, dh0 = net.vjp(x, dy, h0=out.final, lengths=lengths)
    for s in (0, 39):
        one = slice(s, s + 1)
        of_one = {"lengths": None if lengths is None else lengths[one]}
        alone = net(x[one], **of_one)
        assert alone.y.tobytes() == out.y[one].tobytes()
        assert alone.hidden.tobytes() == out.hidden[one].tobytes()
        first = parts(out.final, one)
        assert_same(alone.final, first)
        _, dx_alone, dh0_alone = net.vjp(x[one], dy[one], h0=first, **of_one)
        assert_same(dh0_alone, parts(dh0, one))
        assert dx is None or dx_alone.tobytes() == dx[one].tobytes()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("case", ALONE, ids=str)
def test_the_gradient_of_a_sequence_alone(build, dtype, cell, case):
    """It has the bits that it has beside sequences, in half a block, that have no gradient."""
    lanes = {"base": 16, "v3": 32, "v4": 64}[build] // np.dtype(dtype).itemsize
    net, x, lengths = company(cell, case, dtype, lanes // 2 + 1)
    if lengths is not None:
        lengths[:] = x.shape[1] - 1
    dy = np.random.default_rng(1).standard_normal(net(x).y.shape).astype(dtype)
    dy[1:] = 0
    together = net.vjp(x, dy, lengths=lengths)[0]
    alone = net.vjp(x[:1], dy[:1], lengths=None if lengths is None else lengths[:1])[0]
    for name, values in together.items():
        assert (alone[name] == values).all(), name


def parts(state, which):
    """The states of some sequences."""
    return tuple(h[which] for h in state) if isinstance(state, tuple) else state[which]


def assert_same(state, other):
    assert np.asarray(state).tobytes() == np.asarray(other).tobytes()
