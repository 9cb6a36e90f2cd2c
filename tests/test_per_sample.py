"""per_sample_grad against loss_and_grad of every sequence alone."""

import numpy as np
import pytest
from crossed.draw import draw
from refusals import F32, X, put, unchanged

import rnncore as rc

#: Relative to the largest entry of a sequence's gradient.
LIMIT = {"float64": 1e-12, "float32": 2e-5}


def of_one(values, s, is_state=False):
    """What a call with sequence s alone is given of what was given for all."""
    if values is None or isinstance(values, str | int):
        return values
    if isinstance(values, tuple):
        return tuple(part[s : s + 1] for part in values)
    return values[s : s + 1]


def compare(net, x, y, dtype, reduction="mean", **options):
    """Every sequence's loss and gradient, and those of `loss_and_grad` of it alone."""
    losses, grads = net.per_sample_grad(x, y, reduction=reduction, **options)
    B = len(x)
    assert losses.shape == (B,)
    assert losses.dtype == float
    assert list(grads) == list(net.parameters())
    alone = {k: v for k, v in options.items() if k not in ("rng", "truncate")}
    fixed = {k: v for k, v in options.items() if k == "truncate"}
    for s in range(B):
        one = {k: of_one(v, s) for k, v in alone.items()}
        try:
            value, expected = net.loss_and_grad(
                of_one(x, s), of_one(y, s), reduction=reduction, **one, **fixed
            )
        except ValueError as error:  # no target of it counts
            assert "at least one target that counts" in str(error)  # noqa: PT017
            value, expected = 0.0, {name: 0 * v for name, v in net.parameters().items()}
        assert losses[s] == pytest.approx(value, rel=LIMIT[dtype], abs=1e-6 * LIMIT[dtype])
        scale = max(1e-3, max(np.abs(v).max() for v in expected.values()))
        for name, values in grads.items():
            assert values.dtype == dtype
            assert values.shape == (B, *expected[name].shape)
            assert np.abs(values[s] - expected[name]).max() <= LIMIT[dtype] * scale, (s, name)
    return losses, grads


def sums_are_those_of_all(net, x, y, dtype, **options):
    losses, grads = net.per_sample_grad(x, y, reduction="sum", **options)
    value, expected = net.loss_and_grad(x, y, reduction="sum", **options)
    assert losses.sum() == pytest.approx(value, rel=LIMIT[dtype])
    scale = max(1e-3, max(np.abs(g).max() for g in grads.values())) * len(losses)
    for name, values in grads.items():
        assert np.abs(values.sum(axis=0) - expected[name]).max() <= LIMIT[dtype] * scale, name


@pytest.mark.parametrize("number", range(200))
def test_with_all_options_crossed(build, dtype, number):
    """Lists, lengths, masks, tokens, h0, weights, targets that do not count, truncation, skips,
    stacks, both directions; dropout, which makes a sequence another one alone, in the sum."""
    example = draw(number)
    net = example.network(dtype)
    x, options = example.arguments(dtype)
    y, of_targets = example.targets()
    options = options | of_targets | {"truncate": example.truncate}
    if not example.target_weights.any():
        with pytest.raises(ValueError, match="y: expected at least one target that counts"):
            net.per_sample_grad(x, y, **options)
        return
    with np.errstate(all="ignore"):
        compare(net, x, y, dtype, example.reduction, **options)
        sums_are_those_of_all(net, x, y, dtype, rng=example.rng, **options)


SIZES = [
    (H, B) for H in (1, 2, 4, 5, 15, 16, 17, 33) for B in (1, 2, 3, 4, 7, 8, 9, 16, 17, 33, 70)
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "MGU"])
def test_of_every_cell_width_and_number(build, dtype, kind, size):
    """Lanes that are full or not, several groups of them, one after another."""
    H, B = size
    rng = np.random.default_rng(H * B)
    net = getattr(rc, kind)(2, H, 2, loss="mse", readout="all", dtype=dtype, seed=0)
    x, y = rng.standard_normal((B, 5, 2)), rng.standard_normal((B, 5, 2))
    _, grads = compare(net, x, y, dtype)
    together = net.loss_and_grad(x, y)[1]
    for name, values in grads.items():
        mean = values.mean(axis=0, dtype=float)
        assert np.abs(mean - together[name]).max() <= LIMIT[dtype] * np.abs(values).max()


@pytest.mark.parametrize("T", [1, 300])
@pytest.mark.parametrize("H", [1, 3, 40])
def test_of_long_and_short_sequences(build, dtype, H, T):
    """Segments whose tape is formed twice, and a single step."""
    rng = np.random.default_rng(0)
    net = rc.GRU(1, H, 1, loss="mse", dtype=dtype, seed=0)
    compare(net, rng.standard_normal((11, T, 1)), rng.standard_normal(11), dtype)


def test_the_network_and_the_arguments_stay(build):
    net = rc.GRU(2, 3, 1, loss="mse", seed=0)
    x, y = np.ones((5, 4, 2), F32), np.ones((5, 1), F32)
    kept = net.flat.copy(), x.copy(), y.copy()
    first = net.per_sample_grad(x, y)
    again = net.per_sample_grad(x, y)
    assert all((a == b).all() for a, b in zip(kept, (net.flat, x, y), strict=True))
    assert (first[0] == again[0]).all()
    for name, values in first[1].items():
        assert (values == again[1][name]).all()
        values[:] = 7
    assert (net.flat == kept[0]).all()


def test_dropout_is_that_of_all(build):
    net = rc.LSTM(2, 5, 1, num_layers=3, dropout=0.4, loss="mse", dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((21, 6, 2)), rng.standard_normal(21)
    sums_are_those_of_all(net, x, y, "float64", rng=5)
    with_it, without = (net.per_sample_grad(x, y, rng=seed)[0] for seed in (5, None))
    assert (with_it != without).all()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda n: n.per_sample_grad(X[0], [0] * 4), ValueError, "x: expected (batch, time, 3)"),
        (lambda n: n.per_sample_grad(X, [0] * 3), ValueError, "y: expected (4,) or (4, 1), got"),
        (lambda n: n.per_sample_grad(put(X, (2, 1, 0), np.nan), [0] * 4), ValueError,
         "x: expected finite numbers, got nan at [2, 1, 0]"),
        (lambda n: n.per_sample_grad(X, [0, 0, 0, np.inf]), ValueError, "y: expected finite"),
        (lambda n: n.per_sample_grad(X, [0] * 4, reduction="none"), ValueError,
         "reduction: expected one of 'mean', 'sum', got 'none'"),
        (lambda n: n.per_sample_grad(X, [0] * 4, truncate=0), ValueError, "truncate: expected at"),
        (lambda n: n.per_sample_grad(X, [0] * 4, rng="a"), TypeError, "rng: expected None"),
        (lambda n: n.per_sample_grad(X, [0] * 4, h0=np.zeros((3, 2))), ValueError, "h0: expected"),
        (lambda n: n.per_sample_grad(X, [0] * 4, lengths=[9] * 4), ValueError, "lengths: expected"),
        (lambda n: n.per_sample_grad(X, [0] * 4, target_mask=[False] * 4), ValueError,
         "y: expected at least one target that counts, got none"),
    ],
)  # fmt: skip
def test_bad_input(call, error, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: call(net), error, text)


def test_a_network_without_a_loss():
    net = rc.RNN(3, 2, 1, seed=0)
    unchanged(net, lambda: net.per_sample_grad(X, [0] * 4), ValueError, "loss")
