"""Dropout between layers: units are dropped by the promised share, independently of each other and
of the batch, and gradients are those of what was kept."""

import numpy as np
import pytest
from fits import KINDS
from stacks import network
from states import same

import rnncore as rc


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
