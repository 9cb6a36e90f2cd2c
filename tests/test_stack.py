"""Layers on layers, both directions, skip connections and first states: what is theirs alone; their
gradients are in test_gradients.py, dropout in test_dropout.py."""

import copy

import numpy as np
import oracle
import pytest
from cases import Problem, difference
from stacks import BOTH, FORWARDS, STACKED, combinations, network
from states import carried, parts, row, same

import rnncore as rc


@pytest.mark.parametrize("case", STACKED, ids=str)
def test_states_equal_the_oracle(build, dtype, case):
    problem = Problem(case, dtype)
    out = problem.net(problem.x, **problem.options)
    p = {k: v.astype(float).tolist() for k, v in problem.net.parameters().items()}
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    finals = parts(out.final)
    for b in range(case.batch):
        counts = problem.counts[b]
        expected, met = oracle.stack.forward(
            p, case.spec, problem.rows[b].astype(float).tolist(), problem.first_state(b),
            counts.tolist(), oracle.stack.REAL,
        )  # fmt: skip
        wanted = carried(counts, [[s[0] for s in r[3]] for r in met[-1]])
        assert difference(out.hidden[b], wanted) < tolerance
        got = out.hidden[b][counts]
        assert difference(got, np.array(expected).reshape(got.shape)) < tolerance
        last = [found[-1] for runs in met for _, _, _, found, _ in runs]
        if case.cell == "LSTM":
            rows = [[state[0] for state in last], [state[1] for state in last]]
        else:
            rows = [[vector for state in last for vector in state]]
        for got, wanted in zip(finals, rows, strict=True):
            assert difference(got[b], wanted) < tolerance


@pytest.mark.parametrize(("kind", "options"), combinations(FORWARDS))
@pytest.mark.parametrize("hidden", [1, 5, 17, 40])
def test_streams_have_the_bits_of_a_batch(build, dtype, kind, options, hidden):
    rng = np.random.default_rng(hidden)
    net = network(kind, H=hidden, readout="all", dtype=dtype, **options)
    x = rng.standard_normal((3, 90, 3)).astype(dtype)
    begun, whole = net(x[:, :7]), net(x)
    y, state = net.run_stream(x[1, 7:80], row(begun.final, 1))
    assert same(y, whole.y[1, 7:80])
    for x_t in x[1, 80:]:
        y, state = net.step(x_t, state)
    assert same(y, whole.y[1, -1])
    assert same(state, row(whole.final, 1))
    fresh, _ = net.run_stream(x[2])
    assert same(fresh, whole.y[2])
    together = net.step(x[:, 7], begun.final)
    assert same(together[0], whole.y[:, 7])


@pytest.mark.parametrize(("kind", "options"), combinations(FORWARDS))
def test_a_sequence_can_be_cut_anywhere(build, dtype, kind, options):
    net = network(kind, readout="all", dtype=dtype, **options)
    x = np.random.default_rng(0).standard_normal((20, 12, 3)).astype(dtype)
    whole = net(x)
    for cut in (1, 2, 5, 11):
        first = net(x[:, :cut])
        second = net(x[:, cut:], h0=first.final)
        assert same(second.y, whole.y[:, cut:])
        assert same(second.final, whole.final)


@pytest.mark.parametrize(("kind", "options"), combinations(FORWARDS + BOTH))
@pytest.mark.parametrize("hidden", [1, 4, 20])
@pytest.mark.parametrize("readout", ["last", "all"])
def test_a_sequence_gets_the_same_bits_in_any_company(build, dtype, kind, options, hidden, readout):
    rng = np.random.default_rng(1)
    net = network(kind, H=hidden, dtype=dtype, readout=readout, **options)
    x = rng.standard_normal((40, 9, 3)).astype(dtype)
    lengths = rng.integers(1, 10, 40)
    mask = (np.arange(9) < lengths[:, None]) & (rng.random((40, 9)) < 0.7)
    dy = rng.standard_normal((40, 9, 2) if readout == "all" else (40, 2)).astype(dtype)
    for given, counts in (
        ({"lengths": lengths}, np.arange(9) < lengths[:, None]),
        ({"mask": mask}, mask),
    ):
        together = net(x, **given)
        _, dx, d0 = net.vjp(x, dy, **given)
        for s in (0, 17, 39):
            kept = counts[s]
            if not kept.any():
                continue
            alone = net(x[s : s + 1, kept])
            assert same(row(alone.final, 0), row(together.final, s))
            d = dy[s : s + 1, kept] if readout == "all" else dy[s : s + 1]
            _, dx_alone, d0_alone = net.vjp(x[s : s + 1, kept], d)
            assert same(alone.y[0], together.y[s, kept] if readout == "all" else together.y[s])
            assert same(dx_alone[0], dx[s, kept])
            assert (dx[s, ~kept] == 0).all()
            assert same(row(d0_alone, 0), row(d0, s))


@pytest.mark.parametrize(("kind", "options"), combinations(FORWARDS + BOTH))
def test_any_number_of_threads(build, kind, options):
    options = {"dropout": 0.3, **options} if options.get("num_layers", 1) > 1 else options
    net = network(kind, loss="mse", **options)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 9, 3)), rng.standard_normal((150, 2))
    lengths = rng.integers(1, 10, 150)
    loss, grads = net.loss_and_grad(x, y, lengths=lengths, threads=1, rng=0)
    start, ends = net.flat.copy(), set()
    for threads in (1, 2, 3, 8):
        net.flat[:] = start
        other_loss, other = net.loss_and_grad(x, y, lengths=lengths, threads=threads, rng=0)
        assert other_loss == loss
        assert all(same(grads[name], other[name]) for name in grads)
        net.fit(x, y, lengths=lengths, epochs=3, batch_size=70, rng=1, threads=threads)
        ends.add(net.flat.tobytes())
    assert len(ends) == 1


@pytest.mark.parametrize(("kind", "options"), combinations(FORWARDS + BOTH))
def test_copies_and_files(tmp_path, kind, options):
    net = network(kind, loss="mse", dtype="float64", **options)
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    net.save(tmp_path / "net.npz")
    for other in (rc.load(tmp_path / "net.npz"), copy.deepcopy(net)):
        assert type(other) is type(net)
        assert other.config == net.config
        assert same(other(x).y, net(x).y)


def test_masked_steps_are_as_if_they_were_not_there(build, dtype):
    for options in ({"skip": 3}, {"bidirectional": True}, {"num_layers": 2, "skip": 2}):
        net = network("RNN", dtype=dtype, **options)
        x = np.random.default_rng(0).standard_normal((5, 8, 3)).astype(dtype)
        mask = np.ones((5, 8), bool)
        mask[:, [0, 3, 4, 7]] = False
        assert same(net(x, mask=mask).final, net(x[:, [1, 2, 5, 6]]).final)


def test_a_mask_that_ends_early_is_a_length(build):
    net = network("GRU", readout="all")
    x = np.random.default_rng(0).standard_normal((6, 8, 3)).astype("f4")
    lengths = np.array([8, 1, 3, 5, 5, 2])
    mask = np.arange(8) < lengths[:, None]
    for got, expected in zip(net(x, mask=mask), net(x, lengths=lengths), strict=True):
        assert same(got, expected)
    mask[2] = False  # none of its steps counts
    out = net(x, mask=mask)
    assert (out.y[2] == 0).all()
    assert (out.final[2] == 0).all()


def test_the_state_as_a_skip_network_takes_it(build, dtype):
    net = network("RNN", skip=3, dtype=dtype)
    rng = np.random.default_rng(0)
    x, h0 = rng.standard_normal((4, 6, 3)), rng.standard_normal((4, 3, 5)).astype(dtype)
    only = np.concatenate([h0[:, :1], np.zeros((4, 2, 5), dtype)], axis=1)
    for given in (h0[:, :1], h0[:, 0]):
        assert same(net(x, h0=given).y, net(x, h0=only).y)
        _, _, dh0 = net.vjp(x, np.ones((4, 2)), h0=given)
        _, _, expected = net.vjp(x, np.ones((4, 2)), h0=only)
        assert dh0.shape == given.shape
        assert same(dh0.reshape(4, 5), np.ascontiguousarray(expected[:, 0]))


def test_a_skip_connection_is_a_shortcut(build):
    """With s = 5 and nothing else, the gradient reaches 50 steps back in ten leaps."""
    net = rc.RNN(1, 1, 1, nonlinearity="identity", skip=5, bias=False, dtype="float64")
    for name, value in (("ih", 1.0), ("hh", 0.0), ("skip", 0.9)):
        net.parameters()[f"weight_{name}_l0"][:] = value
    net.parameters()["head.weight"][:] = 1.0
    _, dx, _ = net.vjp(np.zeros((1, 51, 1)), np.ones((1, 1)))
    expected = np.zeros(51)
    expected[::-5] = 0.9 ** np.arange(11)
    assert np.abs(dx[0, :, 0] - expected).max() < 1e-15


def test_trained_first_states(build):
    """Sequences that only differ from zero in their first output."""
    x, y = np.zeros((16, 3, 1)), np.tile([[0.8, 0.0, 0.0]], (16, 1))
    net = rc.LSTM(1, 3, 1, readout="all", loss="mse", trainable_h0=True, seed=0)
    assert (net.parameters()["h0"] == 0).all()
    assert (net.parameters()["c0"] == 0).all()
    net.fit(x, y, epochs=400, lr=0.03, rng=0)
    assert np.abs(net(x[:1]).y[0, :, 0] - y[0]).max() < 0.05
    assert np.abs(net.parameters()["h0"]).max() > 0.1
    h0 = np.zeros((16, 1, 3))
    _, grads = net.loss_and_grad(x, y, h0=(h0, h0))
    assert (grads["h0"] == 0).all()  # a given state takes its place
