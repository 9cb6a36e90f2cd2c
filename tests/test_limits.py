"""What a machine can do at best: probes do the work they report, and limits count the operations of
a row."""

import numpy as np
import pytest
from rnncore._bench import limits
from rnncore._bench.grid import Row
from rnncore._runtime import builds as _builds


@pytest.mark.parametrize("name", list(limits.ITERATIONS))
def test_probes_return_the_work_they_do(name, build, dtype):
    core, itemsize = _builds.core(dtype), np.dtype(dtype).itemsize
    lanes = {"v4": 64, "v3": 32, "base": 16}[build] // itemsize
    memory = np.full(12 * 64 * 3, 0.5, dtype)
    memory[1] = 1
    work = {
        "fma": 5 * 12 * lanes * 2, "tanh": 5 * 512, "chain": 5, "stream": 5 * memory.nbytes,
    }  # fmt: skip
    before = memory.copy()
    assert core.probe(name, 5, memory) == work[name]
    if name == "fma":  # s -> s / 2 + 1, five times over
        sums = np.arange(12) / 2**5 + 2 - 2 / 2**5
        np.testing.assert_allclose(memory[2:14], lanes * sums, rtol=1e-6)
    elif name == "tanh":
        np.testing.assert_allclose(memory[512:1024], np.tanh(before[:512]), rtol=1e-6)
        np.testing.assert_allclose(memory[1024:1536], 1 / np.cosh(before[:512]) ** 2, rtol=1e-6)
    elif name == "chain":
        h = 0.0
        for t in range(5):
            h = np.tanh(0.5 * h + before[t])
        assert memory[512] == pytest.approx(lanes * h, rel=1e-6)
    else:
        np.testing.assert_allclose(
            memory[:12], 5 * before.reshape(-1, 12, lanes).sum(axis=(0, 2)), rtol=1e-6
        )


def test_probes_refuse_what_they_cannot_do():
    core = _builds.core("float64")
    with pytest.raises(ValueError, match="name: expected one of fma, tanh, chain, stream, got 'f'"):
        core.probe("f", 1, np.ones(4096))
    with pytest.raises(ValueError, match="memory: expected 1536 or more, got 2"):
        core.probe("fma", 1, np.ones(2))


def test_limits_are_measured_and_used(dtype):
    measured = limits.measure(dtype, stream_bytes=1 << 16)
    assert all(value > 0 for value in measured)
    row = Row("rnn", 4, 3, 5, 7)
    forward = 4 * (3 + 4) * 5 * 7
    assert row.multiply_adds() == 2 * forward + 4 * 4 * 5 * 7
    assert row._replace(task="forward").multiply_adds() == forward
    some = limits.Limits(1e9, 1e-9, 1e-9, 1e9)
    assert some.seconds(row) == pytest.approx((2 * row.multiply_adds() + 4 * 5 * 7) * 1e-9)
    assert some._replace(seconds_per_chain_step=1).seconds(row) == 7
    assert some.fma_share(row, 1e-3) == pytest.approx(2e-6 * row.multiply_adds())


def test_limits_count_layers_directions_and_steps():
    row = Row("gru", 4, 3, 5, 7)
    steps, first, above, state = 5 * 7, 3 + 4, 4 + 4, 4  # inputs of a step; H
    both = row._replace(bidirectional=True)
    assert both.multiply_adds() == 2 * row.multiply_adds()
    assert both.activations() == 2 * row.activations()
    assert both.chain == row.chain == 7
    two = row._replace(layers=2)
    backward = state + above  # W_hh^T of the first layer, both matrices of the second
    assert two.multiply_adds() == 3 * 4 * (2 * first + 2 * above + backward) * steps
    assert two._replace(task="forward").multiply_adds() == 3 * 4 * (first + above) * steps
    assert two.chain == 8
    all_of_it = row._replace(layers=2, bidirectional=True)
    above = 2 * 4 + 4
    backward = state + above
    assert all_of_it.multiply_adds() == 2 * 3 * 4 * (2 * first + 2 * above + backward) * steps
    assert all_of_it.activations() == 4 * row.activations()
    assert all_of_it.chain == 14
    ragged = row._replace(B=100, T=50, task="ragged")
    lengths = ragged.lengths()
    assert lengths.min() == 5
    assert lengths.max() == 50
    assert 15 < lengths.mean() < 25
    full = ragged._replace(task="train")
    assert ragged.multiply_adds() * 5000 == full.multiply_adds() * lengths.sum()
    assert ragged.activations() * 5000 == full.activations() * lengths.sum()
    assert ragged._replace(T=3).lengths().tolist() == [3] * 100
