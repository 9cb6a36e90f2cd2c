"""net.jacobian: of one step, against the complex step through the oracle's equations."""

import numpy as np
import oracle
import pytest
from crossed.draw import draw
from crossed.reference import noise_of, spec_of
from oracle.stack import COMPLEX, joined
from refusals import unchanged

import rnncore as rc

#: Networks in which all options are crossed, of those that have a next step.
NUMBERS = [n for n in range(60) if not draw(n).options["bidirectional"]]


def by_complex_step(net, state, x):
    """The Jacobian (n, n) of a state (states, rows, H), a column at a time."""
    p = {k: v.astype(float).tolist() for k, v in net.parameters().items() if k not in ("h0", "c0")}
    spec, columns = spec_of(net) | noise_of(net, None, 0, None), []
    for k in range(state.size):
        moved = state.astype(complex)
        moved.flat[k] += 1e-30j
        _, met = oracle.stack.forward(p, spec, [x.tolist()], moved.tolist(), [1], COMPLEX)
        last = [r[3][-1] for runs in met for r in runs]
        if len(state) == 2:
            last = [[s[part] for s in last] for part in range(2)]
        flat = joined(joined(part) for part in last) if len(state) == 2 else joined(joined(last))
        columns.append([complex(v).imag / 1e-30 for v in flat])
    return np.array(columns).T


@pytest.mark.parametrize("number", NUMBERS)
def test_it_is_the_oracles(build, dtype, number):
    example = draw(number)
    net, rng = example.network(dtype), np.random.default_rng(number)
    spec, B = net._model.spec, 10  # more than there are inputs: no tokens look like numbers
    states = rng.standard_normal((spec.states, B, spec.state_rows, spec.hidden_size))
    x = rng.standard_normal((B, spec.input_size))
    given = x
    if example.tokens is not None:
        given = rng.integers(0, spec.input_size, B)
        x = np.eye(spec.input_size)[given]
    h = tuple(states) if spec.states == 2 else states[0]
    if spec.state_rows == 1 and number % 2:  # the axis of rows may be left out
        h = tuple(part[:, 0] for part in h) if spec.states == 2 else h[:, 0]
    elif spec.state_rows == 1:
        given = given[:, None]
    J = net.jacobian(h, given)
    n = spec.states * spec.state_rows * spec.hidden_size
    assert J.dtype == float
    J = J.reshape(B, n, n)
    for b in range(B):
        expected = by_complex_step(net, states[:, b], x[b])
        assert np.abs(J[b] - expected).max() <= 1e-12 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "MGU"])
def test_it_is_that_of_a_gradient_flow(kind):
    """Step after step along a sequence."""
    net = getattr(rc, kind)(2, 3, 1, loss="mse", dtype="float64", seed=0)
    x = np.random.default_rng(0).standard_normal((2, 6, 2))
    flow = net.gradient_flow(x, np.zeros(2))
    for b in range(2):
        state = None
        for t in range(6):
            before = np.zeros((1, 3)) if state is None else state
            if kind == "LSTM" and state is None:
                before = (before, before)
            J = net.jacobian(before, x[b, t])[0]
            assert np.abs(J - flow.jacobians[t, b]).max() < 1e-14
            _, state = net.step(x[b, t], state)


def test_shapes_and_forms():
    net = rc.GRU(3, 2, seed=0)
    assert net.jacobian([0.0, 0.0], [0.0, 0, 0]).shape == (2, 2)
    assert net.jacobian(np.zeros((4, 5, 2)), np.zeros(3)).shape == (4, 5, 2, 2)
    assert net.jacobian(np.zeros((4, 5, 2)), np.zeros((4, 5, 3))).shape == (4, 5, 2, 2)
    assert net.jacobian(np.zeros((0, 2)), 1).shape == (0, 2, 2)
    for token in range(3):
        one_hot = net.jacobian([0.1, 0.2], np.eye(3)[token])
        assert (net.jacobian([0.1, 0.2], token) == one_hot).all()
        assert (net.jacobian([[0.1, 0.2]] * 2, [token, token]) == one_hot).all()
    lstm = rc.LSTM(3, 2, num_layers=2, seed=0)
    assert lstm.jacobian((np.zeros((2, 2)),) * 2, 0).shape == (8, 8)
    dropout = rc.GRU(3, 2, num_layers=2, dropout=0.5, seed=0)
    assert (dropout.jacobian(np.zeros((2, 2)), 0) == dropout.jacobian(np.zeros((2, 2)), 0)).all()


def test_many_states_are_worked_on_in_parts(monkeypatch):
    net = rc.GRU(3, 2, seed=0)
    h, x = np.random.default_rng(0).standard_normal((2, 50, 3))
    whole = net.jacobian(h[:, :2], x)
    monkeypatch.setattr("rnncore._diagnostics.step_map.MOST_NUMBERS", 29)
    assert (net.jacobian(h[:, :2], x) == whole).all()


@pytest.mark.parametrize(
    ("h", "x", "error", "text"),
    [
        ([0.0], [0.0] * 3, ValueError, "h: expected (..., 2), got (1,)"),
        (0.0, [0.0] * 3, ValueError, "h: expected (..., 2), got ()"),
        ([0.0, np.nan], [0.0] * 3, ValueError, "h: expected finite numbers, got nan at [1]"),
        (["a", "b"], [0.0] * 3, TypeError, "h: expected real numbers"),
        ([0.0, 0.0], [0.0] * 2, ValueError, "x: expected (3,), got (2,) of float64"),
        ([[0.0, 0.0]], [[0.0]], ValueError, "x: expected (3,) or (1, 3), got (1, 1) of float64"),
        ([0.0, 0.0], [0.0, 0.0, np.inf], ValueError, "x: expected finite numbers, got inf at [2]"),
        ([0.0, 0.0], 3, ValueError, "x: expected tokens from 0 to 2, got 3"),
        ([[0.0, 0.0]] * 2, [0, -1], ValueError, "x: expected tokens from 0 to 2, got -1 at [1]"),
        ([[0.0, 0.0]] * 3, [0, 1, 2], ValueError, "x: expected the 3 numbers of one input or 3"),
        ([0.0, 0.0], 0.5, ValueError, "x: expected (3,), got () of float64"),
    ],
)
def test_bad_states_and_inputs(h, x, error, text):
    net = rc.GRU(3, 2, seed=0)
    unchanged(net, lambda: net.jacobian(h, x), error, text)


def test_bad_states_of_other_networks():
    lstm = rc.LSTM(3, 2, seed=0)
    for h, error, text in (
        ([0.0, 0.0, 0.0], TypeError, "h: expected a pair (h, c) for an LSTM, got a list"),
        (np.zeros((2, 2)), TypeError, "h: expected a pair (h, c) for an LSTM, got a ndarray"),
        (([0.0, 0.0], [0.0]), ValueError, "h[1]: expected (..., 2), got (1,)"),
        (([0.0, 0.0], [[0.0, 0.0]]), ValueError, "h[1]: expected (2,), got (1, 2)"),
    ):
        unchanged(lstm, lambda h=h: lstm.jacobian(h, 0), error, text)
    stack = rc.GRU(3, 2, num_layers=2, seed=0)
    unchanged(stack, lambda: stack.jacobian([0.0, 0.0], 0), ValueError, "h: expected (..., 2, 2)")
    both = rc.GRU(3, 2, bidirectional=True)
    unchanged(
        both, lambda: both.jacobian([0.0, 0.0], 0), ValueError, "jacobian: expected a network"
    )
    stack.flat[3] = np.nan
    with pytest.raises(ValueError, match=r"parameters\(\)\['weight_ih_l0'\]: expected finite"):
        stack.jacobian(np.zeros((2, 2)), 0)
