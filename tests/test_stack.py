"""Layers on layers, both directions, skip connections and first states: what is theirs alone; their
gradients are in test_gradients.py."""

import copy

import numpy as np
import oracle
import pytest
from cases import Problem, difference
from stacks import STACKED
from states import carried
from test_cells import parts, row, same

import rnncore as rc

KINDS = ["RNN", "LSTM", "GRU"]
FORWARDS = [
    {"num_layers": 2}, {"num_layers": 3, "trainable_h0": True}, {"skip": 1}, {"skip": 4},
    {"skip": 3, "num_layers": 2},
]  # fmt: skip
BOTH = [{"bidirectional": True}, {"bidirectional": True, "num_layers": 2}]


def combinations(options):
    return [(k, o) for k in KINDS for o in options if k == "RNN" or "skip" not in o]


def network(kind, D=3, H=5, K=2, seed=0, **options):
    net = getattr(rc, kind)(D, H, K, seed=seed, **options)
    if options.get("trainable_h0"):
        for name in ("h0", "c0"):
            if name in net.parameters():
                net.parameters()[name][:] = 0.3
    return net


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


# ---- dropout ------------------------------------------------------------------------


def passing(dropout, H=64, **options):
    """A network whose second layer puts out what reaches it from the first."""
    net = rc.RNN(
        1, H, num_layers=2, dropout=dropout, bias=False, readout="all", nonlinearity="identity",
        dtype="float64", **options,
    )  # fmt: skip
    for name, values in net.parameters().items():
        values[:] = 0
        if name.startswith("weight_ih_l0"):
            values[:] = 1
        if name.startswith("weight_ih_l1"):
            values[:] = np.eye(*values.shape)
    return net


def seen(net, x, rng):
    """What of each step's unit reaches the second layer: dL/dx of ones, unit by unit."""
    width = net(x).hidden.shape[2]
    hits = []
    for k in range(width):
        dy = np.zeros((*x.shape[:2], width))
        dy[:, :, k] = 1
        hits.append(net.vjp(x, dy, rng=rng)[1][:, :, 0])
    return np.stack(hits, axis=2)


def test_dropout_drops_its_share_and_scales_the_rest(build):
    net, x = passing(0.3), np.ones((40, 20, 1))
    kept = seen(net, x, 5)
    values = np.unique(kept.round(9))
    assert len(values) == 2
    assert values[0] == 0
    assert values[1] == pytest.approx(1 / 0.7, rel=1e-4)
    share = (kept == 0).mean()
    assert abs(share - 0.3) < 4 * np.sqrt(0.21 / kept.size)
    dropped = kept == 0
    for axis in ((1, 2), (0, 2), (0, 1)):  # neither sequences, nor steps, nor units are alike
        n = kept.size / len(dropped.mean(axis=axis))
        assert np.abs(dropped.mean(axis=axis) - 0.3).max() < 6 * np.sqrt(0.21 / n)
    flat = dropped.reshape(-1, 64).astype(float) - 0.3
    for a, b in ((flat[:, :-1], flat[:, 1:]), (flat[:-1], flat[1:]), (flat[:, :-4], flat[:, 4:])):
        assert abs((a * b).mean() / 0.21) < 5 / np.sqrt(a.size)


def test_dropout_depends_on_the_sequence_not_on_its_place(build):
    net, x = passing(0.5, H=3), np.ones((50, 6, 1))
    together = seen(net, x, 1)
    assert not same(together[0], together[1])
    assert same(together, seen(net, x, 1))
    assert not same(together, seen(net, x, 2))
    lengths = np.full(50, 6)
    lengths[30:] = 2  # these come first inside
    ragged = []
    for k in range(3):
        dy = np.zeros((50, 6, 3))
        dy[:, :, k] = 1
        ragged.append(net.vjp(x, dy, lengths=lengths, rng=1)[1][:, :, 0])
    assert same(np.stack(ragged, axis=2)[:30], together[:30])


def test_each_direction_is_dropped_on_its_own(build):
    net, x = passing(0.5, H=3, bidirectional=True), np.ones((50, 6, 1))
    reverse = net.parameters()["weight_ih_l1_reverse"]
    reverse[:] = np.roll(reverse, 3, axis=1)  # what it gets from the reverse direction below
    kept = seen(net, x, 1)
    forwards, backwards = kept[:, :, :3] > 0, kept[:, :, 3:] > 0
    assert 0.4 < (forwards == backwards).mean() < 0.6


def test_without_rng_nothing_is_dropped(build):
    net, x = passing(0.9, H=3), np.ones((5, 6, 1))
    assert same(net(x).y, np.ones((5, 6, 3)))
    assert same(seen(net, x, None), np.ones((5, 6, 3)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_with_dropout_equal_central_differences(build, kind, bidirectional):
    rng = np.random.default_rng(0)
    net = network(
        kind, num_layers=3, H=3, bidirectional=bidirectional, dropout=0.4, loss="mse",
        dtype="float64",
    )  # fmt: skip
    x, y = rng.standard_normal((4, 5, 3)), rng.standard_normal((4, 2))
    lengths = np.array([5, 2, 4, 1])
    loss, grads = net.loss_and_grad(x, y, lengths=lengths, rng=3)
    assert loss != net.loss(x, y, lengths=lengths)
    exact = np.concatenate([g.ravel() for g in grads.values()])
    kept = net.flat.copy()
    for direction in rng.standard_normal((5, net.flat.size)):
        ends = []
        for step in (1e-5, -1e-5):
            net.flat[:] = kept + step * direction
            ends.append(net.loss_and_grad(x, y, lengths=lengths, rng=3)[0])
        assert exact @ direction == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_a_fit_with_dropout_is_reproducible(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 7, 3)), rng.standard_normal((60, 2))
    ends = []
    for dropout, seed in ((0.5, 1), (0.5, 1), (0.5, 2), (0.0, 1)):
        net = network("GRU", num_layers=2, dropout=dropout, loss="mse")
        net.fit(x, y, epochs=3, batch_size=60, shuffle=False, rng=seed)
        ends.append(net.flat.tobytes())
    assert ends[0] == ends[1]
    assert len(set(ends)) == 3


# ---- first values -------------------------------------------------------------------


def test_first_values_of_every_layer():
    net = rc.RNN(3, 4, num_layers=2, bidirectional=True, skip=2, init="identity", init_scale=0.9)
    for name, values in net.parameters().items():
        if name.startswith("weight_hh"):
            assert same(values, (0.9 * np.eye(4)).astype("f4"))
        elif name.startswith("bias"):
            assert (values == 0).all()
        else:
            assert (values != 0).all()
    net = rc.LSTM(3, 4, num_layers=2, bidirectional=True, forget_bias=1.0)
    biases = {n: v for n, v in net.parameters().items() if n.startswith("bias_ih")}
    assert len(biases) == 4
    for name, values in biases.items():
        other = net.parameters()[name.replace("_ih", "_hh")]
        assert (values[4:8] + other[4:8] == 1).all()
        assert (values[:4] != 1).all()
    gru = rc.GRU(3, 4, num_layers=2, update_bias=2.0)
    for name in ("bias_ih_l0", "bias_ih_l1"):
        assert (gru.parameters()[name][4:8] == 2).all()


def test_names_and_shapes():
    shapes = {k: v.shape for k, v in rc.LSTM(3, 4, 2, num_layers=2, bidirectional=True,
                                             trainable_h0=True).parameters().items()}  # fmt: skip
    assert shapes["weight_ih_l1_reverse"] == (16, 8)
    assert shapes["head.weight"] == (2, 8)
    assert shapes["h0"] == shapes["c0"] == (4, 4)
    assert list(rc.RNN(3, 4, skip=2).parameters()) == [
        "weight_ih_l0", "weight_hh_l0", "weight_skip_l0", "bias_ih_l0", "bias_hh_l0",
    ]  # fmt: skip


# ---- bad input ----------------------------------------------------------------------

X = np.zeros((2, 4, 3))
BAD = [
    (
        lambda: rc.GRU(3, 5, bias=False, update_bias=1),
        ValueError,
        "update_bias: expected None with bias=False",
    ),
    (lambda: rc.RNN(3, 5, skip=0), ValueError, "skip: expected at least 1, got 0"),
    (lambda: rc.RNN(3, 5, skip=1.5), TypeError, "skip: expected an integer, got 1.5"),
    (lambda: rc.LSTM(3, 5, skip=2), TypeError, "skip"),
    (lambda: rc.GRU(3, 5, num_layers=0), ValueError, "num_layers: expected at least 1, got 0"),
    (
        lambda: rc.GRU(3, 5, num_layers=33, bidirectional=True),
        ValueError,
        "num_layers: expected at most 32, got 33",
    ),
    (
        lambda: rc.GRU(3, 5, bidirectional=1),
        TypeError,
        "bidirectional: expected True or False, got 1",
    ),
    (
        lambda: rc.GRU(3, 5, num_layers=2, dropout=1),
        ValueError,
        "dropout: expected at least 0 and less than 1, got 1",
    ),
    (
        lambda: rc.GRU(3, 5, dropout=0.5),
        ValueError,
        "dropout: expected 0 with num_layers=1, got 0.5: it acts between layers",
    ),
    (lambda: rc.GRU(3, 5, trainable_h0="yes"), TypeError, "trainable_h0: expected True or False"),
    (
        lambda: network("GRU", num_layers=2)(X, h0=np.zeros((2, 1, 5))),
        ValueError,
        r"h0: expected \(2, 2, 5\), got \(2, 1, 5\)",
    ),
    (
        lambda: network("RNN", skip=3)(X, h0=np.zeros((2, 2, 5))),
        ValueError,
        r"h0: expected \(2, 3, 5\) or \(2, 1, 5\) or \(2, 5\), got \(2, 2, 5\)",
    ),
    (
        lambda: network("LSTM", bidirectional=True)(X, h0=(np.zeros((2, 2, 5)),)),
        TypeError,
        r"h0: expected a pair \(h0, c0\) for an LSTM, got a tuple",
    ),
    (
        lambda: network("GRU", bidirectional=True).step(X[0, 0]),
        ValueError,
        "step: expected a network with bidirectional=False; with True, a step would have to know",
    ),
    (
        lambda: network("GRU", bidirectional=True).run_stream(X[0]),
        ValueError,
        "run_stream: expected a network with bidirectional=False",
    ),
    (
        lambda: network("GRU", num_layers=2).step(X[0, 0], np.zeros((1, 5))),
        ValueError,
        r"state: expected \(2, 5\), got \(1, 5\)",
    ),
    (
        lambda: network("GRU", num_layers=2, dropout=0.5, loss="mse").loss_and_grad(
            X, np.zeros((2, 2)), rng="seed"
        ),
        TypeError,
        "rng: expected None, an integer",
    ),
    (
        lambda: network("GRU", num_layers=2).load_state_dict(network("GRU").state_dict()),
        ValueError,
        "missing weight_ih_l1",
    ),
    (lambda: network("GRU")(X, lengths=[4, 5]), ValueError, "lengths: expected 1 to 4"),
    (lambda: network("GRU")(X, lengths=[4, 0]), ValueError, "lengths: expected 1 to 4"),
    (
        lambda: network("GRU")(X, mask=np.ones((2, 5))),
        ValueError,
        r"mask: expected \(2, 4\), got \(2, 5\)",
    ),
    (
        lambda: network("GRU")([np.zeros((4, 3)), [1, 2]]),
        ValueError,
        r"x\[1\]: expected \(time, 3\), got \(2,\)",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_file_from_before_there_were_stacks(tmp_path):
    """Its configuration says nothing of them."""
    from rnncore._storage import files as _files

    net = rc.GRU(3, 5, 2, seed=0)
    net.save(tmp_path / "net.npz")
    header, arrays = _files.read(tmp_path / "net.npz")
    for name in ("num_layers", "bidirectional", "dropout", "trainable_h0"):
        del header["config"][name]
    _files.write(tmp_path / "old.npz", header, arrays)
    assert same(rc.load(tmp_path / "old.npz")(X).y, net(X).y)
