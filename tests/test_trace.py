"""trace: every layer's states and gates against the oracle's, written from the equations."""

import numpy as np
import oracle
import pytest
from cases import Case, Problem
from oracle.stack import REAL
from stacks import STACKED

import rnncore as rc

GATES = {"RNN": "", "LSTM": "ifgo", "GRU": "rzn", "MGU": "fn"}
CASES = [case for case in STACKED if case.cell != "RNN" or case.skip] + [
    Case(layers=2, bidirectional=True, ragged="mask", h0=True, nonlinearity="relu", time=6),
    Case("LSTM", hidden=9, batch=20, time=6, layers=2, tokens=True, inputs=5, ragged="mask"),
    Case("GRU", reset="before", hidden=5, layers=2, bidirectional=True, ragged="mask", h0=True),
    Case("GRU", hidden=17, batch=5, layers=2, bias=False, bidirectional=True, ragged="lengths"),
]


def met_by(problem, b):
    """What the oracle met: of every layer and direction (suffix, states, gates) at the steps that
    count, and which steps these are."""
    case, net = problem.case, problem.net
    p = {k: v.astype(float).tolist() for k, v in net.parameters().items() if k not in ("h0", "c0")}
    counts = problem.counts[b]
    states = problem.first_state(b)
    _, met = oracle.stack.forward(
        p, case.spec, problem.rows[b].astype(float).tolist(), states, counts.tolist(), REAL
    )
    steps = np.flatnonzero(counts)
    for runs in met:
        for suffix, _, _, found, gates in runs:
            way = steps[::-1] if suffix.endswith("_reverse") else steps
            yield suffix.removeprefix("_"), way, found[1:], gates


@pytest.mark.parametrize("case", CASES, ids=str)
def test_states_and_gates_equal_the_oracles(build, dtype, case):
    problem = Problem(case, dtype)
    found = problem.net.trace(problem.x, **problem.options)
    limit = 1e-13 if dtype == "float64" else 2e-6
    shape, names = (case.batch, case.time, case.hidden), GATES[case.cell]
    expected = {}
    for b in range(case.batch):
        for name, steps, states, gates in met_by(problem, b):
            parts = expected.setdefault(name, {key: np.zeros(shape) for key in ("h", "c", *names)})
            for t, state, gate in zip(steps, states, gates, strict=True):
                parts["h"][b, t], parts["c"][b, t] = state[0], state[-1]
                for key, values in zip(names, gate or (), strict=False):  # of a GRU also W_hn h
                    parts[key][b, t] = values
    assert list(found) == list(expected)
    for name, layer in found.items():
        assert list(layer.gates) == list(names)
        assert (layer.cell is None) == (case.cell != "LSTM")
        got = {"h": layer.hidden, **layer.gates}
        if case.cell == "LSTM":
            got["c"] = layer.cell
        for key, values in got.items():
            assert values.shape == shape
            assert values.dtype == dtype
            steps = problem.counts if key in ("h", "c") else np.ones(shape[:2], bool)
            difference = np.abs(values - expected[name][key])[steps].max()
            assert difference <= limit * max(1, np.abs(expected[name][key]).max()), (name, key)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_last_layers_states_have_the_networks_bits(build, dtype, case):
    problem = Problem(case, dtype)
    layers = list(problem.net.trace(problem.x, **problem.options).values())
    out = problem.net(problem.x, **problem.options)
    hidden = [layer.hidden for layer in layers[-case.directions :]]
    assert (np.concatenate(hidden, axis=2) == out.hidden).all()
    if case.cell == "LSTM":  # c after each layer's last step that counts
        counts = problem.counts
        ends = counts.shape[1] - 1 - counts[:, ::-1].argmax(axis=1), counts.argmax(axis=1)
        for row, layer in enumerate(layers):
            last = layer.cell[np.arange(case.batch), ends[row % 2 if case.bidirectional else 0]]
            for b in np.flatnonzero(counts.any(axis=1)):
                assert np.allclose(last[b], out.final[1][b, row], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", GATES)
def test_a_trace_is_of_its_own(kind):
    """Neither the network nor the input changes, and later calls leave it alone."""
    net = getattr(rc, kind)(2, 3, 1, num_layers=2, dropout=0.5, seed=0)
    x = np.random.default_rng(0).standard_normal((4, 6, 2)).astype(np.float32)
    kept, before = x.copy(), net.flat.copy()
    found = net.trace(x)
    hidden = found["l1"].hidden.copy()
    found["l0"].hidden[:] = 9
    net(x)
    assert (found["l1"].hidden == hidden).all()
    assert (net.flat == before).all()
    assert (x == kept).all()


class Derived(rc.GRU):
    def __init__(self):
        super().__init__(2, 3, seed=0)


def test_of_a_derived_class_and_of_gates_that_saturate():
    net = Derived()
    assert list(net.trace(np.zeros((1, 2, 2)))) == ["l0"]
    net.flat[:] *= 1000
    with np.errstate(all="raise", under="ignore"):
        layer = net.trace(np.full((2, 50, 2), 1e6))["l0"]
    assert all(np.isfinite(values).all() for values in (layer.hidden, *layer.gates.values()))


@pytest.mark.parametrize("kind", GATES)
def test_first_states_without_the_axis_of_their_rows(kind):
    net, rng = getattr(rc, kind)(2, 3, seed=0), np.random.default_rng(0)
    x, h0 = rng.standard_normal((4, 5, 2)), rng.standard_normal((2, 4, 1, 3))
    pair = kind == "LSTM"
    short = net.trace(x, tuple(h0[:, :, 0]) if pair else h0[0, :, 0])["l0"]
    full = net.trace(x, tuple(h0) if pair else h0[0])["l0"]
    assert (short.hidden == full.hidden).all()
    assert all((short.gates[name] == full.gates[name]).all() for name in full.gates)
    latest = rc.RNN(2, 3, skip=3, seed=0)
    hidden = latest.trace(x, h0[0, :, 0])["l0"].hidden
    assert (hidden == latest(x, h0[0, :, 0]).hidden).all()


def test_what_does_not_count_may_be_anything():
    net, x = rc.LSTM(2, 3, seed=0), np.ones((2, 5, 2), np.float32)
    x[1, 3:] = np.nan
    layer = net.trace(x, lengths=[5, 3])["l0"]
    for values in (layer.hidden, layer.cell, *layer.gates.values()):
        assert (values[1, 3:] == 0).all()
        assert (values[0] != 0).all()
        assert (values[1, :3] == values[0, :3]).all()
    tokens = np.array([[0, 1, 99], [1, 0, 1]])
    layer = net.trace(tokens, mask=tokens < 2)["l0"]
    assert (layer.gates["i"][0, 2] == 0).all()


def test_bad_input():
    net = rc.GRU(2, 3, seed=0)
    x = np.zeros((2, 5, 2))
    for call, text in (
        (lambda: net.trace(x[..., :1]), "x: expected"),
        (lambda: net.trace(x * np.nan), "x: expected finite numbers, got nan at"),
        (lambda: net.trace(np.full((2, 5), 2)), "x: expected tokens from 0 to 1, got 2"),
        (lambda: net.trace(x, h0=np.full((2, 3), np.inf)), "h0: expected finite numbers"),
        (lambda: net.trace(x, lengths=[1, 6]), "lengths: expected 1 to 5"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
