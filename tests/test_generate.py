"""Generated sequences: those of a loop over `step`, and tokens with the right probabilities."""

import math

import numpy as np
import pytest
from randomness import uniform
from states import parts, same

import rnncore as rc

KINDS = [
    ("RNN", {}), ("LSTM", {}), ("GRU", {}), ("MGU", {}),
    ("RNN", {"skip": 3, "num_layers": 2, "trainable_h0": True}),
    ("LSTM", {"num_layers": 2, "trainable_h0": True}),
    ("GRU", {"num_layers": 3, "bias": False, "readout": "last"}),
    ("RNN", {"nonlinearity": "relu", "readout": "last"}), ("GRU", {"reset": "before"}),
    ("MGU", {"num_layers": 2, "bias": False}),
]  # fmt: skip


def network(kind, D, hidden, dtype="float32", K=None, **options):
    options = {"readout": "all"} | options
    K = D if K is None else K
    return getattr(rc, kind)(D, hidden, K, dtype=dtype, seed=0, **options)


def drawn(z, temperature, seed):
    """(token, log probability, next seed), in plain Python."""
    z = [float(v) for v in z]
    weights = [math.exp((v - max(z)) / temperature) for v in z]
    token = z.index(max(z))
    if seed is not None:
        u, seed = uniform(seed)
        level, below = u * sum(weights), 0.0
        token = next(k for k in range(len(z)) if (below := below + weights[k]) > level)
    return token, (z[token] - max(z)) / temperature - math.log(sum(weights)), seed


def by_steps(net, start, steps, choose, state=None):
    """(what choose made of y at every step, the state) by a loop over `step`; choose(y) returns
    (what is kept, the next input)."""
    for x in start:
        y, state = net.step(x, state)
    kept = []
    for t in range(steps):
        what, x = choose(y)
        kept.append(what)
        if t + 1 < steps:
            y, state = net.step(x, state)
    return kept, state


@pytest.mark.parametrize("hidden", [1, 5, 40])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_numbers_are_those_of_steps(build, dtype, kind, options, hidden):
    rng = np.random.default_rng(hidden)
    for D, count, steps in ((1, 1, 1), (3, 1, 9), (1, 3, 12), (3, 70, 5)):
        net = network(kind, D, hidden, dtype, loss="mse", **options)
        start = rng.standard_normal((count, 4, D)).astype(dtype)
        got = net.generate(start, steps)
        assert got.values.shape == (count, steps, D)
        assert got.log_probabilities is None
        for s in range(count):
            kept, state = by_steps(net, start[s], steps, lambda y: (y, y))
            assert same(got.values[s], np.array(kept))
            for a, b in zip(parts(got.final), parts(state), strict=True):
                assert same(a[s], b)
            alone = net.generate(start[s], steps)
            assert same(alone.values, got.values[s])
            assert same(alone.final, state)


@pytest.mark.parametrize("sample", ["argmax", "softmax"])
@pytest.mark.parametrize("hidden", [1, 5, 40])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_tokens_are_those_of_steps(build, dtype, kind, options, hidden, sample):
    rng = np.random.default_rng(hidden)
    for K, count, steps in ((2, 1, 1), (7, 1, 9), (7, 3, 12), (30, 70, 5)):
        net = network(kind, K, hidden, dtype, loss="cross_entropy", **options)
        net.flat[:] *= 3
        start = rng.integers(0, K, (count, 4))
        seeds = rng.integers(0, 2**64, count, dtype=np.uint64)
        got = net.generate(start, steps, sample=sample, temperature=0.7, rng=seeds)
        assert got.values.shape == got.log_probabilities.shape == (count, steps)
        assert got.values.dtype == np.int64
        for s in range(count):
            seed = int(seeds[s]) if sample == "softmax" else None

            def choose(y):
                nonlocal seed
                token, log, seed = drawn(y, 0.7, seed)
                return (token, log), token

            kept, state = by_steps(net, start[s].tolist(), steps, choose)
            tokens, logs = zip(*kept, strict=True)
            assert got.values[s].tolist() == list(tokens)
            np.testing.assert_allclose(got.log_probabilities[s], logs, rtol=1e-12, atol=1e-13)
            for a, b in zip(parts(got.final), parts(state), strict=True):
                assert same(a[s], b)
            alone = net.generate(
                start[s], steps, sample=sample, temperature=0.7, rng=seeds[s : s + 1]
            )
            assert same(alone.values, got.values[s])


def test_ways_to_generate_agree(build, dtype):
    """Options crossed at random: functions that do what the compiled loop does get its bits."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        kind, options = KINDS[rng.integers(len(KINDS))]
        K, count = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        steps, T = int(rng.integers(1, 8)), int(rng.integers(1, 5))
        tokens, single = bool(rng.integers(2)), bool(rng.integers(2))
        loss = "cross_entropy" if tokens else ["mse", "huber", None][rng.integers(3)]
        net = network(kind, K, int(rng.integers(1, 20)), dtype, loss=loss, **options)
        shape = (T,) if single else (count, T)
        start = rng.integers(0, K, shape) if tokens else rng.standard_normal((*shape, K))
        lead = () if single else (count,)
        state = net(np.zeros((*(lead or (1,)), 1, K))).final
        h0 = tuple(rng.standard_normal(p[0].shape if single else p.shape) for p in parts(state))
        h0 = h0 if len(h0) == 2 else h0[0]
        options = {"rng": int(rng.integers(99)), "h0": h0}
        options["temperature"] = float(rng.uniform(0.1, 3))
        expected = net.generate(start, steps, **options)
        assert expected.values.shape == (*lead, steps, *(() if tokens else (K,)))
        times = []

        def feedback(x, t, times=times):
            times.append(t)
            kept = np.copy(x)
            if isinstance(x, np.ndarray):
                x[...] = 0  # is the function's own
            return kept

        got = net.generate(start, steps, feedback=feedback, **options)
        assert times == list(range(steps - 1))
        assert same(got.values, expected.values)
        assert same(got.final, expected.final)
        rows = list(start) if not single else [start]
        if not single:
            assert same(net.generate(rows, steps, **options).values, expected.values)
        if tokens:
            assert same(got.log_probabilities, expected.log_probabilities)
            likeliest = net.generate(start, steps, sample="argmax", **options)
            got = net.generate(start, steps, sample=lambda y, t: y.argmax(-1), **options)
            assert same(got.values, likeliest.values)
            np.testing.assert_allclose(
                got.log_probabilities, likeliest.log_probabilities, rtol=1e-6, atol=1e-6
            )
            onehot = net.generate(start, steps, feedback=lambda x, t, K=K: np.eye(K)[x], **options)
            assert same(onehot.values, expected.values)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "MGU"])
def test_generation_goes_on(build, dtype, kind):
    net = network(kind, 3, 6, dtype, loss="mse")
    start = np.random.default_rng(0).standard_normal((4, 5, 3))
    whole = net.generate(start, 12)
    first = net.generate(start, 7)
    rest = net.generate(first.values[:, -1:], 5, h0=first.final)
    assert same(np.concatenate([first.values, rest.values], 1), whole.values)
    assert same(rest.final, whole.final)
    first = net.generate(start[1], 7)
    rest = net.generate(first.values[-1:], 5, h0=first.final)
    assert same(rest.values, whole.values[1, 7:])


def test_sequences_of_different_lengths_begin_where_each_ends(build):
    net = network("GRU", 4, 6, loss="cross_entropy")
    start = [[1, 2, 3], [0], [3, 3]]
    got = net.generate(start, 6, sample="argmax")
    for s, sequence in enumerate(start):
        assert same(net.generate(sequence, 6, sample="argmax").values, got.values[s])


def test_an_array_of_whole_numbers_is_numbers_where_numbers_are_generated():
    net = network("GRU", 2, 6, loss="mse")
    start = np.array([[1, 0], [0, 1], [1, 1]])
    assert same(net.generate(start, 4).values, net.generate(start.astype(float), 4).values)


def constant(logits, dtype="float32"):
    """A network whose logits are always these."""
    K = len(logits)
    net = network("RNN", K, 2, dtype, loss="cross_entropy")
    net.flat[:] = 0
    net.parameters()["head.bias"][:] = logits
    return net


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_tokens_are_drawn_with_their_probabilities(build, dtype, temperature):
    logits = np.array([0.0, 1.0, -1.0, 2.0, -100.0])
    net = constant(logits, dtype)
    got = net.generate(np.zeros((200, 1), int), 500, temperature=temperature, rng=1)
    weights = np.exp(logits / temperature)
    p = weights / weights.sum()
    n, likely = got.values.size, p * got.values.size > 5
    counts = np.bincount(got.values.ravel(), minlength=5)
    assert counts[~likely].sum() == 0
    chi2 = ((counts - n * p) ** 2 / (n * p))[likely].sum()
    assert chi2 < 16.3  # of 3 degrees of freedom: one in a thousand
    np.testing.assert_allclose(got.log_probabilities, np.log(p)[got.values], rtol=1e-6)
    # and one token says nothing about the next, or about the other sequences'
    for a, b in ((got.values[:, :-1], got.values[:, 1:]), (got.values[:-1], got.values[1:])):
        pairs = np.bincount((5 * a + b).ravel(), minlength=25).reshape(5, 5)
        expected = a.size * np.outer(p, p)
        where = expected > 5
        assert ((pairs - expected) ** 2 / expected)[where].sum() < 39.3  # of at most 16


def test_temperatures_at_their_limits(build, dtype):
    net = constant([0.0, 1.0, 0.5], dtype)
    cold = net.generate(np.zeros((50, 1), int), 20, temperature=1e-300, rng=0)
    assert (cold.values == 1).all()
    assert (cold.log_probabilities == 0).all()
    hot = net.generate(np.zeros((50, 1), int), 200, temperature=1e300, rng=0)
    counts = np.bincount(hot.values.ravel())
    assert ((counts - 10000 / 3) ** 2 / (10000 / 3)).sum() < 13.8
    equal = constant([0.0, 2.0, 2.0], dtype).generate([0], 5, sample="argmax")
    assert (equal.values == 1).all()
    np.testing.assert_allclose(equal.log_probabilities, -np.log(2 + np.exp(-2)), rtol=1e-6)


def test_seeds(build):
    net = constant(np.zeros(50))
    start = np.zeros((4, 1), int)
    values = net.generate(start, 20, rng=5).values
    assert same(net.generate(start, 20, rng=np.random.default_rng(5)).values, values)
    assert same(net.generate(start[:2], 20, rng=5).values, values[:2])
    seeds = np.random.default_rng(5).integers(2**63, size=4)
    assert same(net.generate(start, 20, rng=seeds).values, values)
    assert same(net.generate(start[::-1], 20, rng=seeds[::-1]).values, values[::-1])
    assert len({tuple(row) for row in values.tolist()}) == 4
    other = net.generate(start, 20, rng=6).values
    assert not same(other, values)
    assert not same(net.generate(start, 20).values, net.generate(start, 20).values)


def test_covariates_join_what_is_generated(build):
    net = network("LSTM", 3, 6, "float64", K=2, loss="mse")
    rng = np.random.default_rng(0)
    start, later = rng.standard_normal((4, 5, 3)), rng.standard_normal((6, 4, 1))
    got = net.generate(start, 6, feedback=lambda y, t: np.concatenate([y, later[t]], 1))
    for s in range(4):
        t = iter(range(6))
        kept, _ = by_steps(
            net, start[s], 6, lambda y, s=s, t=t: (y, np.concatenate([y, later[next(t), s]]))
        )
        assert same(got.values[s], np.array(kept))


def test_long_generation_is_cut_into_pieces(monkeypatch):
    from rnncore._calls import generate

    net = network("GRU", 5, 4, loss="cross_entropy")
    expected = net.generate([[1, 2], [0, 3]], 50, rng=0)
    monkeypatch.setattr(generate, "PIECE", 7 * 2 * net.flat.size)
    got = net.generate([[1, 2], [0, 3]], 50, rng=0)
    assert same(got[:2], expected[:2])
    assert same(got.final, expected.final)
