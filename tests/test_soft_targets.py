"""Probabilities as targets of cross-entropy: the formula, options, digits, and what is refused."""

from decimal import Decimal, getcontext

import numpy as np
import oracle
import pytest
from cases import difference
from fits import flat

import rnncore as rc

KINDS = [rc.RNN, rc.LSTM, rc.GRU, rc.MGU]


def network(kind=rc.GRU, K=3, readout="all", dtype="float64", H=4, **options):
    return kind(2, H, K, loss="cross_entropy", readout=readout, dtype=dtype, seed=0, **options)


def problem(K=3, readout="all", B=5, T=6, seed=0):
    rng = np.random.default_rng(seed)
    leading = (B, T) if readout == "all" else (B,)
    return rng.standard_normal((B, T, 2)), rng.dirichlet(np.ones(K), leading)


def by_hand(z, p):
    z = z.astype(float)
    top = z.max(axis=-1, keepdims=True)
    log_sum = top + np.log(np.exp(z - top).sum(axis=-1, keepdims=True))
    return (p * (log_sum - z)).sum(axis=-1), np.exp(z - log_sum) * p.sum(-1, keepdims=True) - p


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize(("B", "K", "H"), [(1, 1, 1), (1, 3, 9), (5, 2, 1), (37, 3, 4), (3, 19, 5)])
def test_losses_and_gradients_are_the_formula(build, dtype, readout, B, K, H):
    x, p = problem(K, readout, B)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    for kind in KINDS:
        net = network(kind, K, readout, dtype, H)
        losses, slopes = by_hand(net(x).y, p)
        assert difference(net.loss(x, p, reduction="none"), losses) < max(tolerance, 1e-12)
        assert difference(net.loss(x, p), losses.mean()) < tolerance
        loss, grads = net.loss_and_grad(x, p)
        assert difference(loss, losses.mean()) < tolerance
        expected = flat(net.vjp(x, slopes / losses.size)[0])
        np.testing.assert_allclose(flat(grads), expected, rtol=100 * tolerance, atol=tolerance)


def test_a_step_by_the_oracle(build, dtype):
    """BPTT with dL/dy = (sum of p) softmax - p, from plain Python."""
    x, p = problem(B=3, T=4)
    net = network(rc.RNN, dtype=dtype)
    parameters = {k: v.astype(float).tolist() for k, v in net.parameters().items()}
    total = {k: np.zeros(v.shape) for k, v in net.parameters().items()}
    slopes = by_hand(net(x).y, p)[1] / 12
    for b in range(3):
        targets = {t + 1: slopes[b, t].tolist() for t in range(4)}
        grads = oracle.by_recurrence(
            parameters, "tanh", x[b].tolist(), [0.0] * 4, [True] * 4, "given", targets
        )[1]
        for name in total:
            total[name] += np.array(grads[name])
    got = net.loss_and_grad(x, p)[1]
    for name, expected in total.items():
        assert difference(got[name], expected) < (1e-12 if dtype == "float64" else 1e-5)


def test_gradients_are_differences(build):
    for readout in ("last", "all"):
        x, p = problem(readout=readout)
        net = network(readout=readout)
        grads, before, eps = flat(net.loss_and_grad(x, p)[1]), net.flat.copy(), 1e-4
        for i in range(net.flat.size):
            values = []
            for step in (-2, -1, 1, 2):
                net.flat[:] = before
                net.flat[i] += step * eps
                values.append(net.loss(x, p))
            slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * eps)
            assert abs(slope - grads[i]) < 1e-9
        net.flat[:] = before


@pytest.mark.parametrize("K", [2, 3, 5])
def test_one_hot_rows_are_classes(build, dtype, K):
    """To the last digits, where losses and slopes are near 0 as well."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, K, (9, 7))
    x = rng.standard_normal((9, 7, 2))
    for scale in (1, 30):
        net = network(K=K, dtype=dtype)
        net.parameters()["head.weight"][:] *= scale
        hard, soft = (net.loss(x, t, reduction="none") for t in (y, np.eye(K)[y]))
        assert (np.abs(soft - hard) <= (1e-14 if dtype == "float64" else 2e-6) * hard).all()
        (_, of_hard), (_, of_soft) = (net.loss_and_grad(x, t) for t in (y, np.eye(K)[y]))
        assert difference(flat(of_soft), flat(of_hard)) < (1e-13 if dtype == "float64" else 1e-5)


def test_small_losses_and_slopes_keep_their_digits(build):
    getcontext().prec = 60
    net = rc.RNN(1, 1, 3, nonlinearity="identity", loss="cross_entropy", bias=False,
                 dtype="float64")  # fmt: skip
    net.flat[:] = [1, 0, 20, -20, -25]  # outputs of x = 1
    for p in ([1, 0, 0], [1 - 2**-40, 2**-40, 0], [0.25, 0.5, 0.25], [0, 0, 1]):
        z = [Decimal(v) for v in (20, -20, -25)]
        e = [v.exp() for v in z]
        soft = [v / sum(e) for v in e]
        loss = -sum(Decimal(q) * s.ln() for q, s in zip(p, soft, strict=True))
        slopes = np.array([float(s - Decimal(q)) for q, s in zip(p, soft, strict=True)])
        got, grads = net.loss_and_grad(np.ones((1, 1, 1)), np.array([p], float))
        assert abs(got / float(loss) - 1) < 1e-14
        np.testing.assert_allclose(grads["head.weight"][:, 0], slopes, rtol=1e-11)


def test_logits_that_overflow(build, dtype):
    net = network(rc.RNN, K=2, readout="last", dtype=dtype, nonlinearity="identity")
    net.flat[:] = np.finfo(dtype).max / 8
    net.parameters()["head.weight"][1] *= -1
    x = np.zeros((1, 1, 2))
    assert np.isfinite(net.loss(x, [[1.0, 0.0]]))
    assert net.loss(x, [[1.0, 0.0]]) == 0


def test_every_way_of_passing_them(build):
    x, p = problem(B=4, T=5)
    net = network()
    lengths = [5, 2, 3, 5]
    rows, parts = ([row[:n] for row, n in zip(v, lengths, strict=True)] for v in (x, p))
    expected = net.loss(x, p, lengths=lengths)
    junk = p.copy()
    for b, n in enumerate(lengths):
        junk[b, n:] = np.nan
    for y in (parts, [part.tolist() for part in parts], p, junk):
        assert abs(net.loss(rows, y) - expected) < 1e-14
    assert net.loss(x, junk, lengths=lengths) == expected
    mask = np.random.default_rng(1).random((4, 5)) < 0.6
    junk = np.where(mask[..., None], p, -7)
    assert net.loss(x, junk, mask=mask) == net.loss(x, p, mask=mask)
    missing = np.where(mask[..., None], p, np.nan)
    each = net.loss(x, p, reduction="none")
    assert abs(net.loss(x, missing, target_mask="nan") - each[mask].mean()) < 1e-14
    assert abs(net.loss(x, missing, target_mask=mask) - each[mask].mean()) < 1e-14
    w = np.random.default_rng(2).random((4, 5))
    assert abs(net.loss(x, p, sample_weight=w) - (w * each).sum() / w.sum()) < 1e-14
    assert net.loss(x, p.astype(np.float32)) == pytest.approx(net.loss(x, p), rel=1e-6)
    last = network(readout="last")
    assert last.loss(rows, [list(row) for row in p[:, 0]]) == last.loss(rows, p[:, 0])


def test_fits_and_validation(build, dtype, tmp_path):
    x, p = problem(B=20)
    net = network(dtype=dtype)
    before = net.loss(x, p)
    history = net.fit(x, p, epochs=5, validation=0.25, checkpoint=tmp_path / "fit", rng=0)
    again = network(dtype=dtype)
    again.fit(x, p, epochs=3, validation=0.25, checkpoint=tmp_path / "other", rng=0)
    longer = again.fit(x, p, epochs=5, validation=0.25, checkpoint=tmp_path / "other", rng=0)
    assert longer.loss.tobytes() == history.loss.tobytes()
    assert net.loss(x, p) < before
    classes = p.argmax(axis=-1)
    mixed = network(dtype=dtype).fit(x, p, epochs=2, validation=(x, classes), shuffle=False)
    assert mixed.validation.shape == (2,)
    network(dtype=dtype).fit(x, p, epochs=1, validation=0.3, validation_split="time")
    with pytest.raises(ValueError, match="other data"):
        network(dtype=dtype).fit(
            x, classes, epochs=5, validation=0.25, checkpoint=tmp_path / "other", rng=0
        )


def test_flows_and_objectives():
    x, p = problem(B=4)
    net = network()
    flow, grads = net.gradient_flow(x, p), net.loss_and_grad(x, p)[1]
    for name, values in grads.items():
        np.testing.assert_allclose(flow.terms[name].sum(axis=0), values, rtol=1e-10, atol=1e-14)
    assert net.objective(x, p)(net.flat)[0] == net.loss(x, p)


def test_populations_with_data_of_each_member(build):
    data = [problem(B=B, T=T, seed=B) for B, T in ((3, 5), (6, 4), (1, 9))]
    x, y = [d[0] for d in data], [d[1] for d in data]
    seeds = [0, 1, 2]
    options = {"loss": "cross_entropy", "readout": "all", "dtype": "float64"}
    for one_by_one in (False, True):
        H = 20 if one_by_one else 2
        pop = rc.Population(rc.GRU, 3, 2, H, 3, seed=seeds, **options)
        before = pop.loss(x, y)
        pop.fit(x, y, epochs=3, batch_size=2, validation=(x, y), rng=0)
        for m in seeds:
            net = rc.GRU(2, H, 3, seed=m, **options)
            assert before[m] == net.loss(x[m], y[m])
            net.fit(x[m], y[m], epochs=3, batch_size=2, validation=(x[m], y[m]), rng=0)
            np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8)


P = np.full((2, 4, 3), 1 / 3)


def changed(at, value):
    result = P.copy()
    result[at] = value
    return result


@pytest.mark.parametrize(
    ("y", "error", "text"),
    [
        (
            P * 1.001,
            ValueError,
            r"y: expected probabilities that sum to 1, got a sum of 1.001 at \[",
        ),
        (changed((1, 2, 0), 0.5), ValueError, r"got a sum of 1.16667 at \[1, 2\]"),
        (changed((1, 2), [-0.5, 1, 0.5]), ValueError, r"from 0 up, got -0.5 at \[1, 2, 0\]"),
        (changed((0, 1, 1), np.nan), ValueError, r"finite numbers, got nan at \[0, 1, 1\]"),
        (changed((0, 1, 1), np.inf), ValueError, "y: expected finite numbers, got inf"),
        (P[..., :2], ValueError, r"y: expected \(2, 4, 3\), got \(2, 4, 2\)"),
        (P[:, :3], ValueError, r"y: expected \(2, 4, 3\), got \(2, 3, 3\)"),
        (np.zeros((2, 4)), TypeError, "y: expected integer class numbers, got dtype float64"),
        (np.ones((2, 4, 3), int), ValueError, r"y: expected \(2, 4\), got \(2, 4, 3\)"),
        (P[:, 0], ValueError, r"y: expected \(2, 4\), got \(2, 3\)"),
    ],
)
def test_what_is_refused(dtype, y, error, text):
    net, x = network(dtype=dtype), np.zeros((2, 4, 2))
    pop = rc.Population(
        rc.GRU, 2, 2, 4, 3, loss="cross_entropy", readout="all", dtype=dtype, seed=0
    )
    calls = (
        lambda: net.loss(x, y), lambda: net.loss_and_grad(x, y), lambda: net.fit(x, y, epochs=1),
        lambda: pop.fit(x, y, epochs=1), lambda: net.gradient_flow(x, y),
    )  # fmt: skip
    before = net.flat.copy()
    for call in calls:
        with pytest.raises(error, match=text):
            call()
    with pytest.raises(error, match="validation: y: "):
        net.fit(x, P, epochs=1, validation=(x, y))
    assert (net.flat == before).all()


def test_how_far_from_1_a_sum_may_be():
    x = np.zeros((2, 4, 2))
    for dtype, fine, wrong in (("float32", 5e-5, 5e-4), ("float64", 5e-7, 5e-6)):
        net = network(dtype=dtype)
        net.fit(x, P * (1 + fine), epochs=1)
        with pytest.raises(ValueError, match="sum to 1"):
            net.fit(x, P * (1 + wrong), epochs=1)


def test_none_counts():
    with pytest.raises(ValueError, match="y: expected at least one target that counts"):
        network().loss(np.zeros((2, 4, 2)), P, target_mask=np.zeros((2, 4)))
