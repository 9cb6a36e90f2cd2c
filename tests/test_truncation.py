"""Truncated BPTT: gradients stay within windows of so many counted steps."""

import numpy as np
import oracle
import pytest
from cases import Case, Problem, difference
from fits import KINDS, data, flat, network, one_step

import rnncore as rc


@pytest.mark.parametrize("case", [
    Case(time=7), Case(time=7, h0=True, nonlinearity="sigmoid"), Case(time=6, ragged="lengths"),
    Case(time=7, hidden=1, outputs=1), Case(time=7, ragged="mask", batch=4),
    Case(time=7, readout="all"), Case(time=7, readout="all", ragged="lengths", batch=4),
    Case(time=9, readout="all", ragged="mask", batch=4), Case(time=9, ragged="mask", hidden=1),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("k", [1, 2, 3, 7, 100])
def test_truncated_gradient_equals_the_terms_within_its_windows(build, dtype, case, k):
    problem = Problem(case, dtype)
    net, T = problem.net, case.time
    parameters = {name: v.astype(float).tolist() for name, v in net.parameters().items()}
    sums, count = dict.fromkeys(parameters, 0.0), 0
    for b in range(case.batch):
        counts = problem.counts[b]
        later = counts[::-1].cumsum()[::-1] - counts  # steps that count after each
        windows = [-1, *(later // k)]
        steps = [t + 1 for t in range(T) if counts[t]] if case.readout == "all" else [T]
        for t in steps:
            wanted = problem.y[b, t - 1] if case.readout == "all" else problem.y[b]
            count += len(wanted)
            _, terms = oracle.loss_and_terms(
                parameters, case.nonlinearity, problem.rows[b].astype(float).tolist(),
                problem.first_state(b), counts.tolist(), case.loss, {t: wanted.tolist()},
            )  # fmt: skip
            for name in parameters:
                mine = terms[name]
                for j in range(1, len(mine) + 1):
                    whole = name.startswith("head") or windows[j] == windows[t]
                    sums[name] = sums[name] + np.array(mine[j - 1]) * whole
    _, grads = net.loss_and_grad(problem.x, problem.targets, **problem.options, truncate=k)
    for name, values in grads.items():
        assert difference(values, sums[name] / count) < (1e-12 if dtype == "float64" else 1e-5)


STACKS = [
    (kind, options)
    for kind in KINDS
    for options in ({}, {"num_layers": 2}, {"skip": 2}, {"skip": 3, "num_layers": 2})
    if kind == "RNN" or "skip" not in options
]


@pytest.mark.parametrize(("kind", "options"), STACKS, ids=str)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("k", [1, 2, 4, 9, 20])
def test_truncated_gradient_equals_that_of_windows_on_their_own(build, kind, options, readout, k):
    rng = np.random.default_rng(0)
    net = network(kind, readout=readout, **options)
    x = rng.standard_normal((5, 9, 2))
    y = rng.standard_normal((5, 9, 1) if readout == "all" else (5, 1))
    _, grads = net.loss_and_grad(x, y, truncate=k)
    end, total = 9, 0.0
    while end > 0:
        start = max(0, end - k)
        h0 = net(x[:, :start]).final if start else None
        if readout == "all":
            _, part = net.loss_and_grad(x[:, start:end], y[:, start:end], h0=h0)
            total = total + flat(part) * (end - start) / 9
        elif end == 9:
            total = flat(net.loss_and_grad(x[:, start:], y, h0=h0)[1])
        end = start
    assert difference(flat(grads), total) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_windows_of_the_reverse_direction_begin_at_its_end(build, kind):
    """Of a "last" read-out, what the reverse direction saw last are the first steps."""
    rng = np.random.default_rng(0)
    net = network(kind, bidirectional=True)
    x, dy = rng.standard_normal((5, 9, 2)), np.ones((5, 1))
    _, dx, dh0 = net.vjp(x, dy, truncate=3)
    assert (dx[:, 3:6] == 0).all()
    assert (dx[:, :3] != 0).all()
    assert (dx[:, 6:] != 0).all()
    for part in dh0 if kind == "LSTM" else (dh0,):
        assert (part == 0).all()
    lengths = np.array([9, 4, 5, 9, 1])
    together = net.vjp(x, dy, lengths=lengths, truncate=3)[1]
    for s, n in enumerate(lengths):
        alone = net.vjp(x[s : s + 1, :n], dy[:1], truncate=3)[1]
        assert alone[0].tobytes() == together[s, :n].tobytes()


@pytest.mark.parametrize("options", [{}, {"skip": 2}, {"bidirectional": True}], ids=str)
@pytest.mark.parametrize("readout", ["last", "all"])
def test_masked_steps_are_in_no_window(build, options, readout):
    """What is truncated is the sequence without them."""
    rng = np.random.default_rng(0)
    net = network("RNN", readout=readout, **options)
    x, mask = rng.standard_normal((6, 12, 2)), rng.random((6, 12)) < 0.6
    mask[:, 0] = True
    dy = rng.standard_normal((6, 12, 1) if readout == "all" else (6, 1))
    for k in (1, 2, 3, 5):
        dx = net.vjp(x, dy, mask=mask, truncate=k)[1]
        for s in range(6):
            d = dy[s : s + 1, mask[s]] if readout == "all" else dy[s : s + 1]
            alone = net.vjp(x[s : s + 1, mask[s]], d, truncate=k)[1]
            assert alone[0].tobytes() == dx[s, mask[s]].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"skip": 3}, {"bidirectional": True}], ids=str)
def test_a_window_of_the_whole_sequence_gives_the_whole_gradient(build, dtype, kind, options):
    if kind != "RNN" and "skip" in options:
        pytest.skip("only an RNN skips")
    net = network(kind, dtype, trainable_h0=True, num_layers=2, **options)
    x, y = data(T=9)
    lengths = np.arange(30) % 9 + 1
    mask = np.random.default_rng(0).random((30, 9)) < 0.7
    h0 = net(x).final
    h0 = tuple(part[::-1].copy() for part in h0) if kind == "LSTM" else h0[::-1].copy()
    for given in ({}, {"lengths": lengths}, {"mask": mask}, {"h0": h0}):
        whole, dx, dh0 = net.vjp(x, y, **given)
        for k in (9, 10, 10**6):
            grads, other_dx, other_dh0 = net.vjp(x, y, **given, truncate=k)
            assert flat(grads).tobytes() == flat(whole).tobytes()
            assert other_dx.tobytes() == dx.tobytes()
            assert np.asarray(other_dh0).tobytes() == np.asarray(dh0).tobytes()
            assert "h0" in given or (grads["h0"] != 0).any()


def test_truncated_fits_train_the_first_state(build):
    """Of one window it is the first step's: it was left out where T is a multiple of k."""
    for k in (9, 3):
        net = network("GRU", trainable_h0=True, readout="all")
        x, _ = data(T=9)
        net.fit(x, x[..., :1], epochs=1, truncate=k)
        assert (net.parameters()["h0"] != 0).all()


def test_a_gradient_before_all_windows_is_zero(build):
    """It is not formed, and must not be what memory held before."""
    net = rc.GRU(8, 9, 1, seed=0)
    x = np.random.default_rng(0).standard_normal((63, 400, 8))
    dx = net.vjp(x, np.ones((63, 1)), truncate=2)[1]
    assert (dx[:, :-2] == 0).all()
    assert (dx[:, -2:] != 0).any(axis=2).all()


def test_a_long_sequence_truncated(build):
    """Chunks of time, and tapes formed twice, give way to truncation."""
    net = rc.RNN(1, 1, 1, loss="mse", dtype="float64", seed=0)
    x, y = np.random.default_rng(0).standard_normal((1, 3000, 1)), np.ones((1, 1))
    h0 = net(x[:, :2980]).final
    expected = net.loss_and_grad(x[:, 2980:], y, h0=h0)[1]
    assert difference(flat(net.loss_and_grad(x, y, truncate=20)[1]), flat(expected)) < 1e-12


def test_fits_are_truncated(build):
    net = network("GRU")
    x, y = data()
    expected = flat(net.loss_and_grad(x, y, truncate=3)[1])
    assert difference(one_step(net, x, y, truncate=3), expected) < 1e-12
    assert difference(one_step(net, x, y), expected) > 1e-3


def test_windows_of_masked_skips_stay_within_memory(printed_by):
    """Initial states lie before the first step: asking for their window read before the counts."""
    code = """
import numpy as np, rnncore as rc
mask = np.array([True, False, True, True, False, True])
for s, B in ((4, 1), (2733, 40), (4, 2), (149, 2)):
    dtype = "float64" if B == 40 else "float32"
    net = rc.RNN(1, 1, 1, loss="mse", skip=s, bidirectional=True, dtype=dtype, seed=0)
    x = np.ones((B, 6, 1))
    net.loss_and_grad(x, np.ones(B), mask=np.tile(mask, (B, 1)), truncate=2)
print("done")
"""
    close = {"MALLOC_TOP_PAD_": "0", "MALLOC_MMAP_THRESHOLD_": "1000000000"}
    assert printed_by(code, **close).strip() == "done"


@pytest.mark.parametrize("skip", [1, 2, 4])
def test_a_truncated_gradient_does_not_depend_on_the_batch(build, dtype, skip):
    rng = np.random.default_rng(0)
    net = network("RNN", dtype, skip=skip, bidirectional=True, trainable_h0=True)
    lengths = np.array([1, 30, 7, 30, 2, 16])
    x = rng.standard_normal((6, 30, 2))
    for k in (1, 2, 3, 7):
        _, dx, dh0 = net.vjp(x, np.ones((6, 1)), lengths=lengths, truncate=k)
        for s, n in enumerate(lengths):
            _, alone, of_state = net.vjp(x[s : s + 1, :n], np.ones((1, 1)), truncate=k)
            assert alone[0].tobytes() == dx[s, :n].tobytes()
            assert of_state[0].tobytes() == dh0[s].tobytes()


@pytest.mark.parametrize("case", [
    Case(cell, time=6, hidden=2, **options)
    for cell in KINDS
    for options in ({}, {"layers": 2}, {"bidirectional": True}, {"layers": 2, "readout": "all",
                    "bidirectional": True}, {"readout": "all", "h0": True})
] + [Case(time=7, hidden=2, skip=s, bidirectional=b) for s in (1, 2, 4) for b in (False, True)],
    ids=str)  # fmt: skip
@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_the_oracle_truncates_in_two_ways(case, k):
    """By a backward pass that stops, and by complex steps to which what crosses is a constant."""
    problem = Problem(case, "float64")
    spec = case.spec | {"truncate": k}
    parameters = {name: v.tolist() for name, v in problem.net.parameters().items()}
    x, y = problem.rows[0].tolist(), problem.dy[0]
    targets = {case.time: y.tolist()}
    if case.readout == "all":
        targets = {t + 1: y[t].tolist() for t in range(case.time)}
    given = (x, stacked_state(problem), [True] * case.time, "given", targets)
    loss, grads = oracle.stack.loss_and_grad(parameters, spec, *given)
    other_loss, other = oracle.stack.by_complex_step(parameters, spec, *given)
    assert difference(loss, other_loss) < 1e-12
    for name, values in grads.items():
        assert difference(values, other[name]) < 1e-12, name


def stacked_state(problem):
    pair = problem.h0 if problem.case.cell == "LSTM" else (problem.h0,)
    return [part[0].tolist() for part in pair]
