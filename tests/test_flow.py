"""gradient_flow: every time step's term against the oracle's, closed forms, and differences."""

import json

import numpy as np
import oracle
import pytest
from cases import Case, Problem, difference
from stacks import LARGE_STACKED, STACKED

import rnncore as rc

CASES = [
    Case(), Case(hidden=1, inputs=1, outputs=1, bias=False, loss="bce", time=6), Case(h0=True),
    Case(readout="all", time=5, loss="bce"), Case(readout="all", loss="cross_entropy", outputs=4),
    Case(tokens=True, inputs=6, loss="cross_entropy"), Case(ragged="mask", time=6, batch=4),
    Case(nonlinearity="sigmoid", time=6), Case(nonlinearity="relu", time=6),
    Case(outputs=None), Case(hidden=20, batch=9, inputs=3),
]  # fmt: skip


GATED = [
    Case(**kind, **options)
    for kind in ({"cell": "LSTM"}, {"cell": "GRU"}, {"cell": "GRU", "reset": "before"})
    for options in ({}, {"ragged": "mask", "time": 6, "readout": "all"}, {"hidden": 9, "batch": 20})
]


EVERY = CASES + GATED + STACKED + [case for case in LARGE_STACKED if case.time < 1000]


def flow_of(problem):
    """Of the problem's loss, which must be one (mse stands in for dy)."""
    return problem.net.gradient_flow(problem.x, problem.targets, **problem.options)


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_terms_sum_to_the_gradient(build, case):
    problem = Problem(case, "float64")
    flow = flow_of(problem)
    loss, grads = problem.net.loss_and_grad(problem.x, problem.targets, **problem.options)
    assert flow.loss == pytest.approx(loss, rel=1e-12)
    assert flow.terms.keys() == grads.keys()
    for name, expected in grads.items():
        terms = flow.terms[name]
        assert terms.shape == (flow.steps, *expected.shape)
        assert difference(terms.sum(axis=0), expected) < 1e-12, name
        exact = np.sqrt((terms.reshape(flow.steps, -1) ** 2).sum(axis=1))
        assert difference(flow.norms[name], exact) < 1e-12


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_terms_of_given_slopes_sum_to_theirs(build, case):
    problem = Problem(case, "float64")
    flow = problem.net.gradient_flow(problem.x, dy=problem.slopes, **problem.options)
    grads = problem.net.vjp(problem.x, problem.slopes, **problem.options)[0]
    assert flow.loss is None
    assert flow.terms.keys() == grads.keys()
    for name, expected in grads.items():
        assert difference(flow.terms[name].sum(axis=0), expected) < 1e-12, name


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("ragged", ["", "list", "lengths", "mask"])
def test_the_slopes_of_a_loss_give_its_flow(build, readout, ragged):
    """Whatever is said of a network's own loss is said of the same loss by its slopes."""
    case = Case("GRU", readout=readout, ragged=ragged, time=40, batch=20, outputs=2, scale=0.5)
    problem = Problem(case, "float64")
    own = flow_of(problem)
    y = problem.net(problem.x, **problem.options).y
    counts = problem.counts if readout == "all" else np.ones(case.batch, bool)
    problem.dy = 2 * (y - problem.y) / (2 * counts.sum()) * counts[..., None]
    plain = rc.GRU(case.inputs, case.hidden, 2, readout=readout, dtype="float64")  # without a loss
    plain.load_state_dict(problem.net.state_dict())
    flow = plain.gradient_flow(problem.x, dy=problem.slopes, **problem.options)
    for name, terms in own.terms.items():
        assert difference(flow.terms[name], terms) < 1e-12, name
    for name in ("state_norms", "term_norms", "product_norms"):
        assert np.allclose(getattr(flow, name), getattr(own, name), rtol=1e-10, atol=0), name
    for name in ("verdict", "horizon", "remedies"):
        assert getattr(flow, name) == getattr(own, name)
    assert flow.factor == pytest.approx(own.factor, rel=1e-10)
    assert json.loads(json.dumps(flow.to_dict()))["loss"] is None
    assert flow.summary()


@pytest.mark.parametrize("case", [c for c in CASES if not c.tokens], ids=str)
def test_every_term_equals_the_oracles(build, case):
    """Formed there one by one, from products of Jacobians."""
    problem = Problem(case, "float64")
    flow, T = flow_of(problem), case.time
    parameters = {k: v.tolist() for k, v in problem.net.parameters().items()}
    sums, count = dict.fromkeys(parameters, 0.0), 0
    for b in range(case.batch):
        counts = problem.counts[b]
        steps = [t + 1 for t in range(T) if counts[t]] if case.every_step else [T]
        targets = {}
        for t in steps:
            target = problem.y[b, t - 1] if case.every_step else problem.y[b]
            if case.loss == "cross_entropy" and target < 0:
                continue
            targets[t] = target.tolist()
            count += 1 if case.loss == "cross_entropy" else len(target)
        _, terms = oracle.loss_and_terms(
            parameters, case.nonlinearity, problem.rows[b].tolist(), problem.first_state(b),
            counts.tolist(), case.loss, targets,
        )  # fmt: skip
        end = T if case.ragged == "" else int(np.flatnonzero(counts)[-1]) + 1
        for name in parameters:
            if name.startswith("head"):
                continue
            # the last steps of all sequences stand together
            aligned = np.zeros((T, *np.shape(parameters[name])))
            aligned[T - end :] = np.array(terms[name])[:end]
            sums[name] = sums[name] + aligned
    for name, expected in sums.items():
        if not name.startswith("head"):
            assert difference(flow.terms[name], expected / count) < 1e-12, name


def test_a_chain_of_a_hundred_steps_in_closed_form(build):
    """o_t = tanh(w_h o_{t-1} + w_i x_t) with known slopes: terms are products of these."""
    T, w_i, w_h, w_o = 100, 0.7, 0.9, 1.3
    net = rc.RNN(1, 1, 1, bias=False, loss="mse", seed=0)  # float32: flows are float64 anyway
    net.flat[:] = [w_i, w_h, w_o]
    w_i, w_h, w_o = net.flat.astype(float)
    x = np.random.default_rng(0).standard_normal(T)
    o = np.zeros(T + 1)
    for t in range(T):
        o[t + 1] = np.tanh(w_i * x[t] + w_h * o[t])
    slope, target = 1 - o[1:] ** 2, 0.25
    dy = 2 * (w_o * o[T] - target)
    reach = dy * w_o * np.array([np.prod(w_h * slope[t + 1 :]) for t in range(T)])
    flow = net.gradient_flow(x.reshape(1, T, 1), [target])
    for name, local in (("weight_ih_l0", x), ("weight_hh_l0", o[:-1])):
        expected = reach * slope * local
        got = flow.terms[name].ravel()
        assert np.allclose(got, expected, rtol=1e-11, atol=0), name
    assert np.allclose(flow.state_norms[1:], np.abs(reach), rtol=1e-11, atol=0)
    assert np.allclose(flow.jacobians[:, 0, 0, 0], w_h * slope, rtol=1e-12, atol=0)
    assert np.allclose(flow.jacobian_norms, np.abs(w_h * slope), rtol=1e-12, atol=0)
    products = np.array([np.prod(w_h * slope[t:]) for t in range(T)])
    for got in (flow.product_norms, flow.product_radii):
        assert np.allclose(got, np.abs(products), rtol=1e-11, atol=0)
    norms = np.hypot(reach * slope * x, reach * slope * o[:-1])
    assert np.allclose(flow.term_norms, np.abs(norms), rtol=1e-11, atol=0)
    by_lag = np.abs(norms)[::-1].cumsum() / np.abs(norms).sum()
    assert flow.horizon == int(np.argmax(by_lag >= 0.99)) + 1
    assert flow.short_share == pytest.approx(by_lag[9], rel=1e-12)


def test_gradients_of_1e_300_are_seen(build):
    net = rc.RNN(1, 1, 1, nonlinearity="identity", bias=False, loss="mse", dtype="float64", seed=0)
    net.flat[:] = [1.0, 0.1, 1.0]
    x = np.zeros((1, 301, 1))
    x[0, 0] = 1
    flow = net.gradient_flow(x, [-0.5])
    dy = 2 * (1e-300 + 0.5)
    assert flow.terms["weight_ih_l0"][0, 0, 0] == pytest.approx(dy * 1e-300, rel=1e-10)
    assert flow.norms["weight_ih_l0"][0] == pytest.approx(dy * 1e-300, rel=1e-10)
    assert flow.state_norms[1] == pytest.approx(dy * 1e-300, rel=1e-10)
    assert flow.product_norms[1] == pytest.approx(1e-300, rel=1e-10)
    assert flow.verdict == "vanishing"
    assert flow.factor == pytest.approx(0.1, rel=1e-9)
    net.flat[1] = 10
    flow = net.gradient_flow(x[:, :100], [0.0])
    assert flow.verdict == "exploding"
    assert flow.norms["weight_ih_l0"][0] == pytest.approx(2e99 * 1e99, rel=1e-9)
    assert flow.factor == pytest.approx(10, rel=1e-9)


def test_a_read_out_at_every_step_is_judged_by_its_last(build):
    rng = np.random.default_rng(0)
    net = rc.RNN(1, 3, 1, readout="all", loss="mse", seed=0)
    x, y = rng.standard_normal((4, 60, 1)), rng.standard_normal((4, 60, 1))
    flow = net.gradient_flow(x, y)
    last = rc.RNN(1, 3, 1, loss="mse")
    last.load_state_dict(net.state_dict())
    alone = last.gradient_flow(x, y[:, -1])
    assert flow.horizon == alone.horizon
    assert flow.verdict == alone.verdict == "vanishing"
    assert np.allclose(flow.state_norms * 60, alone.state_norms, rtol=1e-10, atol=0)
    assert flow.norms["weight_hh_l0"][5] > 1e-6  # but the terms are those of all losses


def test_sequences_of_different_lengths_end_together(build):
    rng = np.random.default_rng(0)
    net = rc.GRU(2, 3, 1, loss="mse", dtype="float64", seed=0)
    lengths = [9, 4, 6, 4]
    x, y = [rng.standard_normal((n, 2)) for n in lengths], rng.standard_normal(4)
    flow = net.gradient_flow(x, y)
    total = np.zeros_like(flow.terms["weight_hh_l0"])
    for s, n in enumerate(lengths):
        alone = net.gradient_flow([x[s]], y[s : s + 1])
        total[9 - n :] += alone.terms["weight_hh_l0"] / 4
    assert difference(flow.terms["weight_hh_l0"], total) < 1e-12
    padded = np.zeros((4, 9, 2))
    for s, n in enumerate(lengths):
        padded[s, :n] = x[s]
    other = net.gradient_flow(padded, y, lengths=lengths)
    assert difference(other.terms["weight_hh_l0"], total) < 1e-12
    longest = net.gradient_flow([x[0]], y[:1])
    assert other.factor == pytest.approx(longest.factor, rel=1e-12)


def test_padding_that_no_sequence_reaches_changes_nothing(build):
    rng = np.random.default_rng(0)
    net = rc.GRU(2, 3, 1, loss="mse", dtype="float64", seed=0)
    x, y = rng.standard_normal((3, 20, 2)), rng.standard_normal(3)
    short = net.gradient_flow(x[:, :8], y)
    for options in ({"lengths": [8, 8, 8]}, {"mask": np.arange(20) < np.full((3, 1), 8)}):
        flow = net.gradient_flow(x, y, **options)
        assert flow.steps == 8
        assert flow.horizon == short.horizon
        for name in ("state_norms", "term_norms", "product_norms"):
            got, expected = getattr(flow, name), getattr(short, name)
            assert np.allclose(got, expected, rtol=1e-12, atol=0), name
