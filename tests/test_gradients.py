"""Outputs, losses and gradients of every build against the oracle and central differences."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import oracle
import pytest
from cases import Case, Problem, difference
from stacks import LARGE_STACKED, STACKED
from states import parts

import rnncore as rc

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}

# Few enough steps and units for the sum over terms, which costs T^2 H^3.
SMALL = [
    Case(),
    Case(batch=1, time=1, inputs=1, hidden=1, outputs=1, bias=False, loss="bce"),
    Case(batch=1, time=1, h0=True),
    Case(batch=5, time=6, inputs=1, hidden=1, outputs=1, bias=False, loss="bce", h0=True),
    Case(hidden=1, inputs=3, nonlinearity="relu"),
    Case(hidden=1, inputs=3, nonlinearity="sigmoid", readout="all", outputs=1, loss="bce"),
    Case(hidden=1, nonlinearity="identity", outputs=3, loss="cross_entropy"),
    Case(hidden=1, ragged="mask", h0=True, outputs=1),
    Case(hidden=1, ragged="list", outputs=1, batch=6),
    Case(hidden=2, nonlinearity="relu", loss="bce", h0=True),
    Case(hidden=5, nonlinearity="sigmoid", readout="all", loss="cross_entropy", outputs=4),
    Case(hidden=4, nonlinearity="identity", readout="all", bias=False),
    Case(outputs=None, h0=True),
    Case(outputs=None, readout="all", ragged="mask"),
    Case(outputs=None, readout="all", loss="cross_entropy", hidden=4),
    Case(tokens=True, inputs=7, h0=True, loss="cross_entropy"),
    Case(tokens=True, inputs=3, hidden=1, outputs=1, bias=False, loss="bce"),
    Case(tokens=True, inputs=5, ragged="list", batch=5, readout="all"),
    Case(tokens=True, inputs=5, ragged="mask", hidden=1, readout="all"),
    Case(ragged="list", batch=4, time=6, readout="all", loss="bce"),
    Case(ragged="lengths", batch=4, time=6, h0=True),
    Case(ragged="lengths", batch=4, time=6, readout="all", loss="cross_entropy"),
    Case(ragged="mask", batch=4, time=6, h0=True, readout="all"),
    Case(ragged="mask", batch=4, time=6, nonlinearity="identity", loss="bce"),
    Case(scale=6, time=6, h0=True),  # saturated
    Case(readout_bias=False, readout="all", h0=True),
    Case(readout_bias=True, bias=False, hidden=1, inputs=1, outputs=1, loss="bce"),
    Case(readout_bias=False, hidden=1, ragged="mask", tokens=True, loss="cross_entropy"),
    Case(scale=6, time=6, nonlinearity="sigmoid"),
]

KINDS = [{"cell": "LSTM"}, {"cell": "GRU"}, {"cell": "GRU", "reset": "before"}, {"cell": "MGU"}]
GATED = [
    Case(**kind, **options)
    for kind in KINDS
    for options in (
        {},
        {"batch": 1, "time": 1, "inputs": 1, "hidden": 1, "outputs": 1, "bias": False},
        {"batch": 1, "time": 1, "h0": True},
        {"hidden": 1, "inputs": 3, "h0": True, "readout": "all", "loss": "bce"},
        {"hidden": 2, "bias": False, "h0": True, "time": 6},
        {"hidden": 4, "outputs": None, "readout": "all", "ragged": "mask", "h0": True},
        {"hidden": 5, "outputs": 4, "loss": "cross_entropy", "ragged": "list", "batch": 5},
        {"tokens": True, "inputs": 7, "h0": True, "loss": "cross_entropy"},
        {"tokens": True, "inputs": 5, "ragged": "lengths", "readout": "all", "hidden": 1},
        {"ragged": "lengths", "batch": 4, "time": 6, "h0": True, "loss": "bce"},
        {"ragged": "mask", "batch": 4, "time": 6, "h0": True, "readout": "all"},
        {"readout_bias": False, "readout": "all", "ragged": "mask", "loss": "cross_entropy"},
        {"readout_bias": True, "bias": False, "hidden": 2, "ragged": "lengths"},
    )
]
# Saturated. (At 6 the third kind's loss is so curved that differences over 1e-3 are good to 5e-8.)
GATED += [
    Case(**kind, scale=scale, time=6, h0=True)
    for kind, scale in zip(KINDS, (6, 6, 4, 6), strict=True)
]
LARGE_GATED = [
    Case(**kind, **options)
    for kind in KINDS
    for options in (
        {"batch": 37, "hidden": 7, "readout": "all", "outputs": 5, "loss": "cross_entropy"},
        {"batch": 33, "hidden": 4, "inputs": 5, "h0": True, "ragged": "mask", "loss": "bce"},
        {"batch": 17, "time": 3, "hidden": 16, "inputs": 6, "outputs": 9, "h0": True},
        {"batch": 3, "time": 3, "hidden": 21, "inputs": 17, "tokens": True, "ragged": "list"},
        {"batch": 20, "time": 200, "hidden": 3, "readout": "all", "loss": "cross_entropy"},
        {"batch": 2, "time": 2500, "hidden": 2, "tokens": True, "ragged": "mask", "h0": True},
    )
]

# Blocks that are full, half empty, one of several; tiles with every remainder; several segments.
LARGE = [
    Case(batch=70, time=3, hidden=1, inputs=1, outputs=1, bias=False, loss="bce"),
    Case(batch=67, time=3, hidden=2, inputs=1, ragged="list"),
    Case(batch=37, time=4, hidden=7, inputs=3, readout="all", outputs=5, loss="cross_entropy"),
    Case(batch=33, time=4, hidden=9, inputs=5, h0=True, ragged="mask", loss="bce"),
    Case(batch=17, time=3, hidden=15, inputs=6, outputs=9, nonlinearity="sigmoid", h0=True),
    Case(batch=2, time=3, hidden=31, inputs=17, tokens=True, outputs=3),
    Case(batch=3, time=6000, hidden=1, inputs=1, outputs=1, loss="mse"),
    Case(batch=3, time=6000, hidden=1, inputs=1, outputs=1, readout="all", ragged="lengths"),
    Case(batch=33, time=3, hidden=40, inputs=20, h0=True, readout="all"),
    Case(batch=18, time=2, hidden=150, inputs=60, h0=True),  # more columns than a panel
    Case(batch=40, time=5, hidden=20, inputs=3, ragged="mask"),
    Case(batch=1, time=900, hidden=1, inputs=1, outputs=1, readout="all", readout_bias=False),
    Case(batch=2, time=9, hidden=17, bias=False, readout_bias=True, readout="all"),
    Case(batch=20, time=200, hidden=5, inputs=2, outputs=3, readout="all", loss="cross_entropy"),
    Case(batch=2, time=2500, hidden=4, inputs=3, tokens=True, ragged="mask", h0=True),
]


# One sequence, and two of more units, are worked on one by one, with units in lanes.
ALONE = [
    replace(case, batch=1)
    for case in SMALL + GATED + STACKED
    if case.ragged != "mask" and not case.skip and (case.hidden > 1 or case.cell != "RNN")
]
ALONE = list({str(case): case for case in ALONE}.values())
ALONE += [
    Case(**kind, batch=2, time=40, hidden=hidden, inputs=9, outputs=7, **options)
    for kind, hidden in zip([{}, *KINDS], (17, 16, 19, 23, 24), strict=True)
    for options in (
        {"readout": "all", "loss": "cross_entropy", "ragged": "lengths", "h0": True},
        {"layers": 2, "bidirectional": True, "trainable": True, "tokens": True},
        {"layers": 3, "readout": "all", "bidirectional": True, "ragged": "list", "loss": "bce"},
    )
]

EVERY = SMALL + LARGE + GATED + LARGE_GATED + STACKED + LARGE_STACKED + ALONE


def derived(case):
    """For the oracle alone, whose second derivation takes half a minute for these."""
    slow = case.layers > 1 and case.bidirectional and case.hidden > 1
    return pytest.param(case, marks=pytest.mark.exhaustive if slow else ())


@pytest.mark.parametrize("case", [derived(c) for c in SMALL + GATED + STACKED], ids=str)
def test_the_two_derivations_agree(case):
    problem = Problem(case, "float64")
    one, two = problem.derivations
    name = None if case.cell == "RNN" and not case.stacked else "given"
    loss, grads = problem.oracle(one, name)
    other_loss, other = problem.oracle(two, name)
    assert difference(loss, other_loss) < 1e-12
    for name, expected in grads.items():
        assert difference(other[name], expected) < 1e-12, name


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_loss_and_gradient_equal_the_oracle(build, dtype, case):
    problem = Problem(case, dtype)
    loss, grads = problem.oracle()
    tolerance = TOLERANCE[dtype]
    x, y, options = problem.x, problem.targets, problem.options
    assert difference(problem.net.loss(x, y, **options), loss) < tolerance
    got_loss, got = problem.net.loss_and_grad(x, y, **options)
    assert difference(got_loss, loss) < tolerance
    assert got.keys() == problem.net.parameters().keys()
    for name, values in got.items():
        assert values.dtype == dtype
        assert difference(values, problem.of_parameter(grads, name)) < tolerance, name


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_gradient_equals_the_sum_of_its_terms(build, dtype, case):
    problem = Problem(case, dtype, seed=1)
    loss, grads = problem.oracle(oracle.by_terms)
    got_loss, got = problem.net.loss_and_grad(problem.x, problem.targets, **problem.options)
    assert difference(got_loss, loss) < TOLERANCE[dtype]
    for name, values in got.items():
        assert difference(values, grads[name]) < TOLERANCE[dtype], name


@pytest.mark.parametrize("case", EVERY, ids=str)
def test_vjp_equals_the_oracle(build, dtype, case):
    problem = Problem(case, dtype)
    _, grads = problem.oracle(loss="given")
    got, dx, dh0 = problem.net.vjp(problem.x, problem.slopes, **problem.options)
    for name, values in got.items():
        assert difference(values, problem.of_parameter(grads, name)) < TOLERANCE[dtype], name
    assert difference(dh0, grads["h0"]) < TOLERANCE[dtype]
    if case.tokens:
        assert dx is None
    elif problem.listed:
        for b, counts in enumerate(problem.counts):
            assert np.abs(dx[b] - grads["x"][b, counts]).max() < (
                TOLERANCE[dtype] * np.abs(grads["x"]).max()
            )
    else:
        assert difference(dx, grads["x"]) < TOLERANCE[dtype]
        if case.ragged:
            assert (dx[~problem.counts] == 0).all()


@pytest.mark.parametrize("case", SMALL + GATED + STACKED, ids=str)
def test_gradient_equals_central_differences(build, case):
    """Fourth-order differences of the float64 loss, for every parameter, x and h0."""
    problem = Problem(case, "float64", seed=2)
    net, y = problem.net, problem.targets
    options = dict(problem.options)

    def slope(values, at, loss):
        eps, kept, total = 1e-3, values[at], 0.0
        for step, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
            values[at] = kept + step * eps
            total += weight * loss()
        values[at] = kept
        return total / (12 * eps)

    def close(exact, numeric):
        # a loss near 1 is known to 1e-16, its differences over 1e-3 to some 1e-12
        largest = np.abs(exact).max()
        return np.abs(exact - numeric).max() < 1e-8 * largest + 1e-11

    _, grads = net.loss_and_grad(problem.x, y, **options)
    flat_grad = np.concatenate([g.ravel() for g in grads.values()])
    numeric = [
        slope(net.flat, i, lambda: net.loss(problem.x, y, **options)) for i in range(net.flat.size)
    ]
    assert close(flat_grad, numeric)

    # dx and dh0, of sum(dy * y)
    h0 = deepcopy(problem.h0)
    options["h0"] = h0
    _, dx, dh0 = net.vjp(problem.x, problem.slopes, **options)
    weights = problem.dy * (problem.counts[:, :, None] if case.every_step else 1)

    def total():
        return float((net(problem.x, **options).y * weights).sum())

    for state, exact in zip(parts(h0), parts(dh0), strict=True):
        numeric = np.array([slope(state, at, total) for at in np.ndindex(state.shape)])
        assert close(exact.ravel(), numeric)
    if not case.tokens and not problem.listed:
        x = problem.x
        numeric = np.array([slope(x, at, total) for at in np.ndindex(x.shape)])
        assert close(dx.ravel(), numeric)


@pytest.mark.parametrize("case", SMALL + LARGE[:6], ids=str)
def test_outputs_equal_the_oracle(build, dtype, case):
    """y through the slope of sum(dy * y) is not enough: compare values, held steps included."""
    problem = Problem(case, dtype)
    out = problem.net(problem.x, **problem.options)
    total, _ = problem.oracle(loss="given")
    dy = problem.dy * (problem.counts[:, :, None] if case.every_step else 1)
    assert (
        abs(float((out.y.astype(float) * dy).sum()) - total)
        < 30 * TOLERANCE[dtype] * np.abs(dy).sum()
    )

    f = oracle.recurrence.NONLINEARITIES[case.nonlinearity][0]
    p = {name: value.astype(float) for name, value in problem.net.parameters().items()}
    bias = p["bias_ih_l0"] + p["bias_hh_l0"] if case.bias else 0
    h = problem.h0[:, 0].astype(float)
    later = problem.counts[:, ::-1].cumsum(axis=1)[:, ::-1] > 0  # a step that counts, here or after
    for t in range(case.time):
        a = problem.rows[:, t] @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T + bias
        counts = problem.counts[:, t, None]
        h = np.where(counts, np.vectorize(f)(a), h)
        wanted = np.where(later[:, t, None], h, 0)
        assert np.abs(out.hidden[:, t] - wanted).max() < TOLERANCE[dtype] * 10
    assert np.abs(out.final[:, 0] - h).max() < TOLERANCE[dtype] * 10


@pytest.mark.parametrize("case", SMALL + GATED + STACKED, ids=str)
def test_zero_upstream_gradient_gives_exactly_zero(build, dtype, case):
    problem = Problem(case, dtype)
    problem.dy[...] = 0
    grads, dx, dh0 = problem.net.vjp(problem.x, problem.slopes, **problem.options)
    for values in [*grads.values(), *parts(dh0), *([] if dx is None else dx)]:
        assert (values == 0).all()


@pytest.mark.parametrize(("batch", "hidden", "inputs"), [(70, 300, 150), (3, 400, 20)])
def test_large_products(build, dtype, batch, hidden, inputs):
    """Several panels of columns, blocks of four vectors: against numpy, and the loss's slope."""
    rng = np.random.default_rng(0)
    net = rc.RNN(inputs, hidden, 2, loss="mse", dtype=dtype, seed=0)
    x, y = rng.standard_normal((batch, 3, inputs)), rng.standard_normal((batch, 2))
    p = {name: value.astype(float) for name, value in net.parameters().items()}
    h = np.zeros((batch, hidden))
    for t in range(3):
        a = x[:, t] @ p["weight_ih_l0"].T + h @ p["weight_hh_l0"].T
        h = np.tanh(a + p["bias_ih_l0"] + p["bias_hh_l0"])
    out = net(x)
    assert difference(out.final[:, 0], h) < 10 * TOLERANCE[dtype]
    _, grads = net.loss_and_grad(x, y)
    kept, direction = net.flat.copy(), rng.standard_normal(net.flat.size)
    twin = rc.RNN(inputs, hidden, 2, loss="mse", dtype="float64")
    losses = []
    for step in (1e-4, -1e-4):
        twin.flat[:] = kept + step * direction
        losses.append(twin.loss(x, y))
    exact = np.concatenate([g.ravel() for g in grads.values()]).astype(float) @ direction
    assert exact == pytest.approx((losses[0] - losses[1]) / 2e-4, rel=1e-4)
