"""Which targets count, what becomes of their losses, and how data are held out by their targets."""

import numpy as np
import pytest
from cases import difference
from fits import flat, network, one_step

import rnncore as rc


def recurrent(loss="mse", K=2, readout="all", dtype="float64", **options):
    return rc.GRU(2, 3, K, loss=loss, readout=readout, dtype=dtype, seed=0, **options)


def problem(loss="mse", K=2, readout="all", B=5, T=6):
    rng = np.random.default_rng(1)
    x, leading = rng.standard_normal((B, T, 2)), (B, T) if readout == "all" else (B,)
    if loss == "cross_entropy":
        return x, rng.integers(0, K, leading)
    y = rng.random((*leading, K))
    return x, y


def losses_by_hand(loss, z, y):
    if loss == "mse":
        return (z - y) ** 2
    if loss == "bce":
        return np.logaddexp(0, z) - y * z
    sums = np.exp(z - np.take_along_axis(z, np.maximum(y, 0)[..., None], -1)).sum(axis=-1)
    return np.log(sums)


LOSSES = ["mse", "bce", "cross_entropy"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize("K", [1, 2, 3])
def test_reductions(build, dtype, loss, readout, K):
    net = recurrent(loss, K, readout, dtype)
    x, y = problem(loss, K, readout, B=21)
    each = net.loss(x, y, reduction="none")
    expected = losses_by_hand(loss, net(x).y.astype(float), y)
    if loss != "cross_entropy" and K == 1:
        expected = expected[..., 0]
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert each.dtype == dtype
    assert difference(each, expected) < tolerance
    assert difference(net.loss(x, y), expected.mean()) < tolerance
    assert difference(net.loss(x, y, reduction="sum"), expected.sum()) < tolerance
    mean, grads = net.loss_and_grad(x, y)
    total, sums = net.loss_and_grad(x, y, reduction="sum")
    assert difference(total, mean * expected.size) < tolerance
    assert difference(flat(sums), flat(grads) * expected.size) < tolerance


def test_losses_of_steps_that_do_not_count_are_zero(build):
    net = recurrent()
    x, y = problem()
    mask = np.random.default_rng(0).random((5, 6)) < 0.5
    mask[0, 0] = True
    each = net.loss(x, y, mask=mask, reduction="none")
    assert each.shape == (5, 6, 2)
    assert (each[~mask] == 0).all()
    assert (each[mask] != 0).all()
    assert difference(each[mask].mean(), net.loss(x, y, mask=mask)) < 1e-14
    lengths = [6, 2, 3, 6, 1]
    rows = [row[:n] for row, n in zip(x, lengths, strict=True)]
    listed = net.loss(rows, [row[:n] for row, n in zip(y, lengths, strict=True)], reduction="none")
    padded = net.loss(x, y, lengths=lengths, reduction="none")
    assert listed.tobytes() == padded.tobytes()


def test_one_long_sequence_of_one_unit(build, dtype):
    """In chunks of time, every loss goes where it belongs."""
    net = rc.RNN(1, 1, 1, loss="mse", readout="all", dtype=dtype, seed=0)
    x = np.random.default_rng(0).standard_normal((2, 700, 1))
    each = net.loss(x, x, reduction="none")
    assert difference(each, ((net(x).y - x) ** 2)[..., 0]) < 1e-6
    where = np.random.default_rng(1).random((2, 700)) < 0.5
    assert difference(net.loss(x, x, target_mask=where), each[where].mean()) < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_masked_targets_are_out_of_the_mean_and_the_gradient(build, dtype, loss):
    """But their steps are run like any other."""
    net = recurrent(loss, 3, dtype=dtype)
    x, y = problem(loss, 3)
    where = np.random.default_rng(0).random((5, 6)) < 0.5
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    each = net.loss(x, y, reduction="none")
    assert difference(net.loss(x, y, target_mask=where), each[where].mean()) < tolerance
    assert (net.loss(x, y, target_mask=where, reduction="none")[~where] == 0).all()
    z = net(x).y.astype(float)
    if loss == "mse":
        dy = 2 * (z - y)
    elif loss == "bce":
        dy = 1 / (1 + np.exp(-z)) - y
    else:
        dy = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True) - np.eye(3)[y]
    dy = np.where(where[..., None], dy, 0) / (where.sum() * (1 if loss == "cross_entropy" else 3))
    expected = flat(net.vjp(x, dy)[0])
    _, grads = net.loss_and_grad(x, y, target_mask=where)
    assert difference(flat(grads), expected) < tolerance
    update = one_step(net, x, y, target_mask=where, shuffle=False)
    assert difference(update, expected) < max(tolerance, 1e-4 * (dtype == "float32"))


def test_each_output_may_have_a_mask_of_its_own(build):
    net = recurrent()
    x, y = problem()
    where = np.random.default_rng(0).random(y.shape) < 0.5
    each = net.loss(x, y, reduction="none")
    assert difference(net.loss(x, y, target_mask=where), each[where].mean()) < 1e-14
    missing = np.where(where, y, np.nan)
    assert net.loss(x, missing, target_mask="nan") == net.loss(x, y, target_mask=where)
    assert net.loss(x, missing, target_mask=where) == net.loss(x, y, target_mask=where)


def test_masks_in_every_form(build):
    net, last = recurrent(), recurrent(readout="last")
    x, y = problem()
    lengths = np.array([6, 2, 3, 6, 1])
    where = np.random.default_rng(0).random((5, 6)) < 0.6
    where[:, 0] = True
    cut = [[row[:n] for row, n in zip(a, lengths, strict=True)] for a in (x, y, where)]
    padded = net.loss(x, y, lengths=lengths, target_mask=where)
    assert net.loss(cut[0], cut[1], target_mask=cut[2]) == padded
    assert net.loss(cut[0], y, target_mask=where) == padded
    assert net.loss(x, y, lengths=lengths, target_mask=where.astype(int)) == padded
    both = np.repeat(where[..., None], 2, axis=2)
    assert net.loss(x, y, lengths=lengths, target_mask=both) == padded
    assert net.loss(x, y.tolist(), lengths=lengths, target_mask=where.tolist()) == padded
    some = np.array([True, False, True, True, False])
    expected = last.loss(x[some], y[some, 0])
    assert difference(last.loss(x, y[:, 0], target_mask=some), expected) < 1e-14
    assert (
        difference(last.loss(x, y[:, 0], target_mask=some[:, None] & [[True, True]]), expected)
        < 1e-14
    )


def test_missing_classes(build):
    """A negative one, one that is masked and one that is NaN are the same."""
    net = recurrent("cross_entropy", 3)
    x, y = problem("cross_entropy", 3)
    where = np.random.default_rng(0).random(y.shape) < 0.5
    expected = net.loss(x, np.where(where, y, -1))
    assert net.loss(x, y, target_mask=where) == expected
    assert net.loss(x, np.where(where, y, np.nan), target_mask="nan") == expected
    with pytest.raises(TypeError, match="y: expected integer class numbers, got dtype float64"):
        net.loss(x, y + 0.5, target_mask="nan")


@pytest.mark.parametrize(("given", "text"), [
    ({"target_mask": np.ones((5, 5))}, r"target_mask: expected \(5, 6\) or \(5, 6, 2\), got"),
    ({"target_mask": np.full((5, 6), 2)}, "target_mask: expected booleans"),
    ({"target_mask": "missing"}, "target_mask: expected 'nan', got 'missing'"),
    ({"target_mask": np.zeros((5, 6))}, "y: expected at least one target that counts, got none"),
    ({"reduction": "average"}, "reduction: expected one of 'mean', 'sum', 'none', got 'average'"),
])  # fmt: skip
def test_bad_masks(given, text):
    net = recurrent()
    x, y = problem()
    with pytest.raises(ValueError, match=text):
        net.loss(x, y, **given)
    if "reduction" not in given:
        before = net.flat.copy()
        with pytest.raises(ValueError, match=text):
            net.fit(x, y, **given, epochs=1)
        assert (net.flat == before).all()
    else:
        with pytest.raises(
            ValueError, match="reduction: expected one of 'mean', 'sum', got 'none'"
        ):
            net.loss_and_grad(x, y, reduction="none")


def test_a_nan_target_is_refused_with_a_hint():
    net = recurrent()
    x, y = problem()
    y[2, 3, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"got nan at \[2, 3, 1\]; with target_mask='nan' such tar"
    ):
        net.loss(x, y)
    y[0, 0, 0] = np.inf
    with pytest.raises(ValueError, match=r"y: expected finite numbers, got inf at \[0, 0, 0\]"):
        net.loss(x, y, target_mask="nan")


def test_objective_and_gradient_flow_take_the_same_options(build):
    net = recurrent()
    x, y = problem()
    where = np.random.default_rng(0).random((5, 6)) < 0.5
    objective = net.objective(x, y, target_mask=where, reduction="sum")
    value, gradient = objective(net.flat)
    expected, grads = net.loss_and_grad(x, y, target_mask=where, reduction="sum")
    assert value == expected
    assert difference(gradient, flat(grads)) < 1e-14
    flow = net.gradient_flow(x, y, target_mask=where)
    loss, grads = net.loss_and_grad(x, y, target_mask=where)
    assert difference(flow.loss, loss) < 1e-13
    for name, values in grads.items():
        assert difference(flow.terms[name].sum(axis=0), values) < 1e-12


# ---- logits that overflow -----------------------------------------------------------


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_an_infinite_logit_of_the_right_class_costs_nothing(build, dtype, loss):
    """And one of the wrong class everything."""
    K = 1 if loss == "bce" else 3
    net = rc.RNN(1, 1, K, loss=loss, nonlinearity="relu", dtype=dtype, seed=0)
    net.flat[:] = 0
    p, most = net.parameters(), float(np.finfo(dtype).max)
    p["weight_ih_l0"][:] = most
    p["head.weight"][0] = 2
    x = np.ones((2, 1, 1))
    assert np.isinf(net(x).y[:, 0]).all()
    right, wrong = (1, 0) if loss == "bce" else (0, 2)
    assert net.loss(x, [right, right]) == 0
    assert net.loss(x, [wrong, wrong]) > 1e38
    each = net.loss(x, [right, wrong], reduction="none")
    assert each[0] == 0
    assert each[1] > 1e38
    p["head.weight"][0] = -2
    if loss == "bce":
        assert net.loss(x, [0, 0]) == 0
        assert net.loss(x, [1, 1]) == np.inf


# ---- first states, and data that are held out ---------------------------------------


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_fit_may_begin_from_given_states(build, kind):
    net = network(kind, trainable_h0=True)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((30, 9, 2)), rng.standard_normal((30, 1))
    h0 = rng.standard_normal((30, 1, 4))
    h0 = (h0, h0[::-1].copy()) if kind == "LSTM" else h0
    expected = flat(net.loss_and_grad(x, y, h0=h0)[1])
    assert difference(one_step(net, x, y, h0=h0), expected) < 1e-12
    assert difference(one_step(net, x, y), expected) > 1e-3
    history = net.fit(x, y, h0=h0, epochs=2, validation={"x": x, "y": y, "h0": h0}, rng=0)
    assert difference(history.validation[-1], net.loss(x, y, h0=h0)) < 1e-12
    with pytest.raises(ValueError, match="validation: h0: expected"):
        net.fit(x, y, epochs=1, validation={"x": x[:3], "y": y[:3], "h0": h0})


def test_the_last_sequences_may_be_held_out(build):
    net, other = network(), network()
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 9, 2)), rng.standard_normal((20, 1))
    history = net.fit(x, y, epochs=3, validation=0.2, validation_split="last", rng=0)
    again = other.fit(x[:16], y[:16], epochs=3, validation=(x[16:], y[16:]), rng=0)
    assert (net.flat == other.flat).all()
    assert (history.validation == again.validation).all()


@pytest.mark.parametrize("form", ["array", "lengths", "mask", "list", "tokens"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_last_steps_of_a_series_may_be_held_out(build, form, loss):
    rng = np.random.default_rng(0)
    B, T, K, n = 3, 50, 2, 40
    x, y = problem(loss, K, B=B, T=T)
    options, early, part = {}, {}, slice(0, n)
    if form == "tokens":
        x = rng.integers(0, 2, (B, T))
    if form == "mask":
        options["mask"] = rng.random((B, T)) < 0.7
        options["mask"][:, -1] = True
        early["mask"] = options["mask"][:, :n]
    if form in ("lengths", "list"):
        lengths = np.array([50, 30, 20])
        options["lengths"], early["lengths"] = lengths, lengths - lengths // 5
        where = np.arange(T) >= early["lengths"][:, None]
    else:
        where = np.broadcast_to(np.arange(T) >= n, (B, T))
    nets = [recurrent(loss, K) for _ in range(2)]
    given = dict(options)
    xs, ys = x, y
    if form == "list":
        del given["lengths"]
        xs, ys = ([row[:m] for row, m in zip(a, lengths, strict=True)] for a in (x, y))
    history = nets[0].fit(xs, ys, **given, epochs=3, validation=0.2, validation_split="time", rng=0)
    again = nets[1].fit(
        x[:, part], y[:, part], **early, epochs=3, rng=0,
        validation={"x": x, "y": y, "target_mask": where, **options},
    )  # fmt: skip
    assert difference(history.loss, again.loss) < 1e-13
    assert difference(history.validation, again.validation) < 1e-13
    assert difference(nets[0].flat, nets[1].flat) < 1e-12
    assert history.validation[-1] == pytest.approx(
        nets[0].loss(x, y, target_mask=where, **options), rel=1e-12
    )


@pytest.mark.parametrize(("options", "text"), [
    ({"validation": 0.2, "validation_split": "first"},
     "validation_split: expected one of 'random', 'last', 'time', got 'first'"),
    ({"validation_split": "last"},
     "validation_split: expected None unless validation= is a share of the sequences, got 'last'"),
    ({"validation": 0.99, "validation_split": "time"},
     "validation: expected to leave a step of every sequence to train on, got 0.99 of the 6 steps"),
])  # fmt: skip
def test_bad_splits(options, text):
    net = recurrent()
    x, y = problem()
    with pytest.raises(ValueError, match=text):
        net.fit(x, y, epochs=1, **options)
    with pytest.raises(ValueError, match='expected "random" or "last" for a network with readout'):
        recurrent(readout="last").fit(x, y[:, 0], epochs=1, validation=0.2, validation_split="time")


# ---- shapes that are nearly right ---------------------------------------------------


def test_hints_for_one_series():
    s = np.zeros(50)
    net = rc.GRU(1, 2, 1, readout="all", loss="mse")
    with pytest.raises(ValueError, match=r"write x\[None\] for one sequence of 50 steps"):
        net.loss(s[:, None], s)
    with pytest.raises(ValueError, match=r"write x\[None, :, None\] for one sequence of 50 steps"):
        net.loss(s, s)
    with pytest.raises(ValueError, match=r"write x\[:, :, None\] for one number per step"):
        net.loss(np.zeros((4, 50)), s)
    with pytest.raises(ValueError, match=r"write x\[i\]\[:, None\] for one number per step"):
        net.loss([s, s[:30]], [s, s[:30]])


def test_hints_for_the_other_read_out():
    x, y = problem(B=5, T=6)
    with pytest.raises(
        ValueError, match=r'got \(5, 6, 2\); with readout="all" a network has an out'
    ):
        recurrent(readout="last").loss(x, y)
    with pytest.raises(
        ValueError, match=r'got \(5,\); with readout="last" a network has one output'
    ):
        recurrent(readout="all").loss(x, y[:, 0, 0])


def test_masked_steps_carry_the_state_on(build):
    """`hidden` has it; `y`, and everything after the last step that counts, is zero."""
    x, _ = problem(B=2, T=6)
    mask = np.array([[1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 1]], bool)
    for bidirectional in (False, True):
        net = recurrent(bidirectional=bidirectional)
        out = net(x, mask=mask)
        for s in range(2):
            alone = net(x[s : s + 1, mask[s]]).hidden[0, :, :3]
            count = mask[s].cumsum()
            last = mask[s].nonzero()[0][-1]
            for t in range(6):
                state = alone[count[t] - 1] if count[t] else np.zeros(3)
                assert (out.hidden[s, t, :3] == (state if t <= last else 0)).all()
        if bidirectional:
            assert (out.hidden[0, 1, 3:] == out.hidden[0, 2, 3:]).all()
        assert (out.y[~mask] == 0).all()
        listed = net([x[0, :4], x[1]], mask=[mask[0, :4], mask[1]])
        assert listed.hidden.tobytes() == out.hidden.tobytes()
        assert net(x, lengths=[6, 6], mask=mask).hidden.tobytes() == out.hidden.tobytes()
