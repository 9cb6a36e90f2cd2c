"""Every method of net.online, and every option of its updates, from its definition; and what
relates the approximations to the exact gradient."""

import itertools

import numpy as np
import oracle
import pytest
from fits import RULES, SharedValues, flat, made_equal, ties_of
from learners import KINDS, METHODS, close, data, made, walked

import rnncore as rc

#: Of which the oracle has the slopes.
LOSSES = ["mse", "bce", "cross_entropy"]


def referred(net, learner, loss, method):
    """The oracle's learner of the same network, with the random signs that come next."""
    signs = oracle.online.Signs(learner.state_dict().get("random", 0))
    p = {name: values.tolist() for name, values in net.parameters().items()}
    nonlinearity = net.config.get("nonlinearity", "tanh")
    return oracle.online.Learner(
        p, type(net).__name__, nonlinearity, loss, method, readout=net.readout, signs=signs
    )


def compared(net, x, y, loss, method, seed=0, skipped=(), **options):
    """Steps of both, and updates in plain numpy by the gradients of the learner; both go on from
    the network's parameters, so that rounding is not amplified by rules that divide by it."""
    learner = net.online(method=method, rng=seed, **options)
    reference, shared = referred(net, learner, loss, method), SharedValues(net, **options)
    learner.reset()
    eye = np.eye(net.input_size)
    for t, (x_t, y_t) in enumerate(zip(x, y, strict=True)):
        given = eye[x_t] if x.ndim == 1 else x_t
        expected, gradient = reference.step(given.tolist(), y_t.tolist())
        got = learner.step(x_t, None if t in skipped else y_t)
        if t in skipped:
            assert got is None
            continue
        assert got == pytest.approx(expected, rel=1e-11)
        gradient = np.array(list(gradient.values()))
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(flat(learner.gradient), gradient, rtol=1e-10, atol=1e-12 * scale)
        shared.step(flat(learner.gradient))
        np.testing.assert_allclose(net.flat, shared.flat, rtol=1e-11, atol=1e-13)
        reference.put(net.flat)
    return learner


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "options", [{}, {"trainable_h0": True}, {"readout": "before", "bias": False}, {"K": None}],
    ids=str,
)  # fmt: skip
def test_updates_are_those_of_the_definition(build, cell, nonlinearity, method, options):
    net = made(cell, nonlinearity, **options)
    x, y = data(net, 20, "mse")
    learner = compared(
        net, x, y, "mse", method, optimizer="sgd", lr=0.05, clip_norm=0.5, weight_decay=0.01
    )
    assert learner.updates == 20


@pytest.mark.parametrize("seed", range(120))
def test_all_options_crossed(build, seed):
    rng = np.random.default_rng(seed)
    cell, nonlinearity = KINDS[seed % len(KINDS)]
    method, loss = METHODS[seed % 4], str(rng.choice(LOSSES))
    D, H, K = (int(n) for n in rng.integers(1, 5, 3))
    net = made(
        cell, nonlinearity, D, H, K, loss=loss, bias=bool(rng.integers(2)), seed=seed,
        trainable_h0=bool(rng.integers(2)), readout=str(rng.choice(["all", "before"])),
        readout_bias=bool(rng.integers(2)),
    )  # fmt: skip
    for name in {"h0", "c0"} & net.parameters().keys():
        net.parameters()[name][:] = rng.normal(0, 0.5, (1, H))
    options = {"optimizer": RULES[seed % 7], "lr": float(rng.choice([0.01, 0.03]))}
    for name, value in (
        ("clip_norm", 0.3), ("clip_value", 0.1), ("l1", 0.01), ("weight_decay", 0.1),
        ("freeze", str(rng.choice(["head", "weight_ih"]))), ("tie", ties_of(net, seed)),
    ):  # fmt: skip
        if rng.random() < 0.4:
            options[name] = value
    if "tie" in options:
        if options.get("freeze") == "weight_ih":
            options["freeze"] = "head"
        made_equal(net, options["tie"])
    x, y = data(net, 12, loss, tokens=bool(rng.random() < 0.3), seed=seed)
    skipped = set(np.flatnonzero(rng.random(12) < 0.2))
    compared(net, x, y, loss, method, seed, skipped, **options)


def gradients(net, x, y, method, random=None):
    """The sum of the gradients of all steps, as one vector."""
    learner, total = net.online(lr=0, method=method, rng=0), 0
    if random is not None:
        learner.load_state_dict(learner.state_dict() | {"random": random})
    for x_t, y_t in zip(x, y, strict=True):
        learner.step(x_t, y_t)
        total = total + flat(learner.gradient)
    return total


@pytest.mark.parametrize("cell", ["RNN", "GRU", "MGU", "LSTM"])
def test_the_mean_over_all_signs_is_the_gradient(build, cell):
    """With 1 unit of an LSTM, or 2 of another cell, 4 steps draw 8 signs: 256 gradients in all."""
    net = made(cell, D=2, H=1 if cell == "LSTM" else 2, K=2)
    x, y = data(net, 4, "mse")
    found, random = {}, 0
    while len(found) < 256:
        found.setdefault(tuple(oracle.online.Signs(random)(8)), random)
        random += 1
    assert set(found) == set(itertools.product((-1, 1), repeat=8))
    each = np.array([gradients(net, x, y, "uoro", random) for random in found.values()])
    exact = gradients(net, x, y, "rtrl")
    np.testing.assert_allclose(each.mean(0), exact, rtol=0, atol=1e-12 * np.abs(exact).max())
    assert each.std(0).max() > 0.1 * np.abs(exact).max()


@pytest.mark.parametrize("cell", ["RNN", "GRU", "MGU", "LSTM"])
def test_the_mean_over_many_seeds_approaches_the_gradient(cell):
    """To within 4.5 standard errors in every entry, which SnAp-1 and e-prop are not."""
    net = made(cell, D=2, H=3, K=2, trainable_h0=True)
    w = net.parameters()["weight_hh_l0"]
    w *= 2
    x, y = data(net, 6, "mse")
    count = 3000
    each = []
    for seed in range(count):
        learner, total = net.online(lr=0, method="uoro", rng=seed), 0
        for x_t, y_t in zip(x, y, strict=True):
            learner.step(x_t, y_t)
            total = total + flat(learner.gradient)
        each.append(total)
    mean, error = np.mean(each, axis=0), np.std(each, axis=0) / np.sqrt(count)
    error += 1e-10 * np.abs(mean)  # that of the read-out is the same every time

    def errors(method):
        return np.abs((mean - gradients(net, x, y, method)) / error).max()

    assert errors("rtrl") < 4.5
    assert min(errors("snap1"), errors("eprop")) > 6


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu", "sigmoid", "identity"])
def test_eprop_of_a_plain_network_is_truncation_to_one_step(build, dtype, nonlinearity):
    net = made("RNN", nonlinearity, H=5, dtype=dtype)
    x, y = data(net, 30, "mse")
    _, sums, _ = walked(net, x, y, method="eprop")
    _, grads = net.loss_and_grad(x[None], y[None], reduction="sum", truncate=1)
    close(sums, grads, 1e-12 if dtype == "float64" else 1e-4)


@pytest.mark.parametrize(("cell", "nonlinearity"), KINDS)
def test_eprop_is_snap1_without_the_diagonal(build, cell, nonlinearity):
    net = made(cell, nonlinearity, H=4)
    x, y = data(net, 30, "mse")
    own = np.tile(np.eye(4, dtype=bool), (net.parameters()["weight_hh_l0"].shape[0] // 4, 1))
    one, other = (walked(net, x, y, method=method)[1] for method in ("snap1", "eprop"))
    assert any(np.abs(one[name] - other[name]).max() > 1e-6 for name in one)
    net.parameters()["weight_hh_l0"][own] = 0
    one, other = (walked(net, x, y, method=method)[1] for method in ("snap1", "eprop"))
    close(one, other, 1e-13)


def test_the_same_seed_draws_the_same_signs(build, dtype):
    nets = [made("GRU", dtype=dtype, trainable_h0=True) for _ in range(4)]
    x, y = data(nets[0], 10, "mse")
    seeds = [0, np.random.default_rng(0), 1, None]
    learners = [
        net.online(lr=0.1, method="uoro", rng=rng) for net, rng in zip(nets, seeds, strict=True)
    ]
    for x_t, y_t in zip(x, y, strict=True):
        for learner in learners:
            learner.step(x_t, y_t)
    assert (nets[0].flat == nets[1].flat).all()
    assert (nets[0].flat != nets[2].flat).any()
    assert (nets[0].flat != nets[3].flat).any()


def test_ties_are_checked():
    net = rc.GRU(1, 2, 1, readout="all", loss="mse", seed=0)
    with pytest.raises(ValueError, match="tie: expected equal values in group 0"):
        net.online(lr=0.1, tie={"weight_hh_l0": 0})
    with pytest.raises(ValueError, match="tie: expected one of weight_ih_l0"):
        net.online(lr=0.1, tie={"weight": 0})
