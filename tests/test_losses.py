"""Losses by their formulas, beside PyTorch's, and with weights of samples."""

import numpy as np
import pytest
from cases import difference
from fits import flat, one_step
from rnncore._model.losses import LOSSES

import rnncore as rc

NEW = ["huber", "poisson", "gaussian_nll"]


def problem(loss, readout="all", B=7, T=5, K=4):
    rng = np.random.default_rng(0)
    x, leading = rng.standard_normal((B, T, 2)), (B, T) if readout == "all" else (B,)
    if loss == "cross_entropy":
        return x, rng.integers(0, K, leading)
    y = 3 * rng.standard_normal((*leading, K // LOSSES[loss].outputs))
    return x, np.abs(y).round() if loss == "poisson" else 1 / (
        1 + np.exp(-y)
    ) if loss == "bce" else y


def network(loss, readout="all", dtype="float64", K=4):
    net = rc.GRU(2, 3, K, loss=loss, readout=readout, dtype=dtype, seed=0)
    net.flat[:] *= 2
    return net


def by_hand(loss, z, d):
    if loss == "huber":
        e = z - d
        return np.where(np.abs(e) <= 1, e**2 / 2, np.abs(e) - 0.5)
    if loss == "poisson":
        return np.exp(z) - d * z
    m, s = np.split(z, 2, axis=-1)
    return (s + (d - m) ** 2 * np.exp(-s)) / 2


@pytest.mark.parametrize("loss", NEW)
@pytest.mark.parametrize("readout", ["last", "all"])
def test_losses_are_their_formulas_and_gradients_their_differences(build, dtype, loss, readout):
    net, (x, y) = network(loss, readout, dtype), problem(loss, readout)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    expected = by_hand(loss, net(x).y.astype(float), y)
    assert difference(net.loss(x, y, reduction="none"), expected) < tolerance
    assert difference(net.loss(x, y), expected.mean()) < tolerance
    _, grads = net.loss_and_grad(x, y)
    if dtype == "float64":
        numbers = np.zeros(net.flat.size)
        start = net.flat.copy()
        for i in range(len(start)):
            for step, share in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
                net.flat[:] = start
                net.flat[i] += step * 1e-3
                numbers[i] += share * net.loss(x, y) / 12e-3
        net.flat[:] = start
        assert difference(flat(grads), numbers) < 1e-9


@pytest.mark.parametrize("loss", list(LOSSES))
def test_losses_and_slopes_are_those_of_pytorch(build, loss):
    torch = pytest.importorskip("torch")
    net, (x, y) = network(loss), problem(loss)
    z = torch.tensor(net(x).y.reshape(-1, 4), requires_grad=True)
    d = torch.tensor(y.reshape(len(z), -1)) if loss != "cross_entropy" else torch.tensor(y.ravel())
    f = torch.nn.functional
    value = {
        "bce": lambda: f.binary_cross_entropy_with_logits(z, d),
        "mse": lambda: f.mse_loss(z, d),
        "cross_entropy": lambda: f.cross_entropy(z, d),
        "huber": lambda: f.huber_loss(z, d),
        "poisson": lambda: f.poisson_nll_loss(z, d),
        "gaussian_nll": lambda: f.gaussian_nll_loss(z[:, :2], d, z[:, 2:].exp()),
    }[loss]()
    value.backward()
    assert difference(net.loss(x, y), value.item()) < 1e-12
    expected = net.vjp(x, z.grad.numpy().reshape(7, 5, 4))[0]
    assert difference(flat(net.loss_and_grad(x, y)[1]), flat(expected)) < 1e-12


@pytest.mark.parametrize("loss", NEW)
def test_fits_reduce_them(build, dtype, loss):
    net, (x, y) = network(loss, dtype=dtype), problem(loss)
    history = net.fit(x, y, epochs=200, lr=0.02, rng=0, validation=(x, y))
    assert history.validation[-1] < history.validation[0] - 0.1


def test_predictions_are_in_the_form_of_targets(build):
    x = problem("huber")[0]
    for loss, predicted in (
        ("huber", lambda z: z), ("poisson", np.exp), ("gaussian_nll", lambda z: z[..., :2]),
    ):  # fmt: skip
        net = network(loss)
        assert difference(net.predict(x), predicted(net(x).y)) < 1e-15
    one = rc.GRU(2, 3, 2, loss="gaussian_nll", seed=0)
    assert one.predict(x).shape == (7,)
    assert np.asarray(one.loss(x, np.zeros(7))).shape == ()
    mask = np.arange(5) < 3
    masked = network("poisson").predict(x, mask=np.tile(mask, (7, 1)))
    assert (masked[:, 3:] == 0).all()
    with pytest.raises(ValueError, match="predict_proba: expected a network with loss"):
        network("poisson").predict_proba(x)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: rc.RNN(2, 3, 3, loss="gaussian_nll"),
     "output_size: expected a multiple of 2 for loss='gaussian_nll', which takes 2 outputs for each"
     " target, got 3"),
    (lambda: rc.RNN(2, 3, loss="gaussian_nll"), "output_size: expected a multiple of 2"),
    (lambda: network("poisson").loss(problem("poisson")[0], -problem("poisson")[1]),
     r"y: expected counts from 0 up, got -\d"),
    (lambda: network("bce").loss(problem("bce")[0], 2 + problem("bce")[1]),
     "y: expected probabilities from 0 to 1, got "),
    (lambda: network("gaussian_nll").loss(problem("huber")[0], problem("huber")[1]),
     r"y: expected \(7, 5, 2\), got \(7, 5, 4\)"),
])  # fmt: skip
def test_what_does_not_go_together(make, text):
    with pytest.raises(ValueError, match=text):
        make()


# ---- weights of samples -------------------------------------------------------------


@pytest.mark.parametrize("loss", list(LOSSES))
@pytest.mark.parametrize("readout", ["last", "all"])
def test_the_mean_is_weighted(build, dtype, loss, readout):
    net, (x, y) = network(loss, readout, dtype), problem(loss, readout)
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    each = net.loss(x, y, reduction="none").astype(float)
    rng = np.random.default_rng(1)
    shapes = [(7,)] + [(7, 5)] * (readout == "all") + [each.shape]
    for shape in shapes:
        w = rng.random(shape)
        w[0] = 0
        full = np.broadcast_to(w.reshape(*w.shape, *[1] * (each.ndim - w.ndim)), each.shape)
        expected = (full * each).sum() / full.sum()
        assert difference(net.loss(x, y, sample_weight=w), expected) < tolerance
        total = net.loss(x, y, sample_weight=w, reduction="sum")
        assert difference(total, (full * each).sum()) < tolerance
        assert (
            difference(net.loss(x, y, sample_weight=w, reduction="none"), full * each) < tolerance
        )
    value, grads = net.loss_and_grad(x, y, sample_weight=w)
    assert difference(value, expected) < tolerance
    if dtype == "float64":
        assert difference(one_step(net, x, y, sample_weight=w, shuffle=False), flat(grads)) < 1e-12
        flow = net.gradient_flow(x, y, sample_weight=w)
        for name, values in grads.items():
            assert difference(flow.terms[name].sum(axis=0), values) < 1e-11


def test_a_whole_weight_is_a_copy(build):
    """Weights of 2 and 0 are what the same sequences twice, or not at all, come to."""
    net, (x, y) = network("mse", "last"), problem("mse", "last")
    w = np.array([2, 1, 0, 1, 0, 3, 1])
    again = np.repeat(np.arange(7), w)
    value, grads = net.loss_and_grad(x, y, sample_weight=w)
    expected, others = net.loss_and_grad(x[again], y[again])
    assert difference(value, expected) < 1e-13
    assert difference(flat(grads), flat(others)) < 1e-12


def test_weights_in_every_form(build):
    net, (x, y) = network("mse"), problem("mse")
    lengths = np.array([5, 3, 1, 2, 5, 4, 5])
    w = np.random.default_rng(1).random((7, 5))
    cut = [[row[:n] for row, n in zip(a, lengths, strict=True)] for a in (x, y, w)]
    padded = net.loss(x, y, lengths=lengths, sample_weight=w)
    assert net.loss(cut[0], cut[1], sample_weight=cut[2]) == padded
    assert net.loss(cut[0], y, sample_weight=w) == padded
    by_sequence = net.loss(x, y, lengths=lengths, sample_weight=w[:, 0])
    assert net.loss(cut[0], cut[1], sample_weight=w[:, 0]) == by_sequence
    assert net.loss(cut[0], cut[1], sample_weight=list(w[:, 0])) == by_sequence
    where = np.random.default_rng(2).random((7, 5)) < 0.5
    both = net.loss(x, y, target_mask=where, sample_weight=w)
    assert difference(both, net.loss(x, y, sample_weight=w * where)) < 1e-15


def test_validation_is_weighted(build):
    net, (x, y) = network("mse", "last"), problem("mse", "last")
    w = np.arange(7.0)
    given = {"x": x, "y": y, "sample_weight": w}
    history = net.fit(x, y, epochs=3, rng=0, sample_weight=w, validation=given)
    assert difference(history.validation[-1], net.loss(x, y, sample_weight=w)) < 1e-14


@pytest.mark.parametrize(("given", "error", "text"), [
    (-np.ones(7), ValueError, r"sample_weight: expected numbers of at least 0, got -1.0 at \[0"),
    (np.full(7, np.nan), ValueError, "sample_weight: expected finite numbers, got nan"),
    (np.zeros(7), ValueError, "y: expected at least one target that counts, got none"),
    (np.ones(6), ValueError, r"sample_weight: expected \(7,\), got \(6,\)"),
    (np.ones((7, 4)), ValueError, r"sample_weight: expected \(7, 5\) or \(7, 5, 4\), got \(7, 4\)"),
    ("balanced", TypeError, "sample_weight: expected real numbers, got dtype"),
])  # fmt: skip
def test_bad_weights(given, error, text):
    net, (x, y) = network("mse"), problem("mse")
    with pytest.raises(error, match=text):
        net.loss(x, y, sample_weight=given)
    before = net.flat.copy()
    with pytest.raises(error, match=text):
        net.fit(x, y, sample_weight=given, epochs=1)
    assert (net.flat == before).all()
