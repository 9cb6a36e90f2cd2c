"""Sequences whose tape is not kept whole: segments are worked forward a second time."""

import numpy as np
import pytest

import rnncore as rc

STEPS, PIECE = 16_000, 3_200  # more than a kept tape in every build, and less


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
@pytest.mark.parametrize("tokens", [False, True])
def test_the_whole_has_the_bits_of_its_pieces(build, dtype, kind, tokens):
    """Without a read-out y is the last state, so dL/dh goes on from piece to piece as dy."""
    rng = np.random.default_rng(0)
    net = getattr(rc, kind)(3, 16, dtype=dtype, seed=0)
    net.flat[:] *= 2  # so that the gradient of the first steps is not zero
    x = rng.standard_normal((1, STEPS, 3)).astype(dtype)
    if tokens:
        x = rng.integers(0, 3, (1, STEPS))
    dy = rng.standard_normal((1, 16)).astype(dtype)
    grads, dx, dh0 = net.vjp(x, dy)
    starts = list(range(0, STEPS, PIECE))
    states = [net(x[:, :start]).final if start else None for start in starts]
    sums, pieces, slope = dict.fromkeys(grads, 0), [], dy
    for start, h0 in zip(reversed(starts), reversed(states), strict=True):
        part, dx_part, slope = net.vjp(x[:, start : start + PIECE], slope.reshape(1, 16), h0=h0)
        pieces.append(dx_part)
        sums = {name: sums[name] + part[name].astype(float) for name in sums}
    assert slope.tobytes() == dh0.tobytes()
    if not tokens:
        assert np.concatenate(pieces[::-1], axis=1).tobytes() == dx.tobytes()
    for name, values in grads.items():
        allowed = 1e-12 if dtype == "float64" else 1e-5
        assert np.abs(values - sums[name]).max() <= allowed * np.abs(sums[name]).max(), name


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("ragged", [False, True])
def test_the_gradient_is_the_slope_of_the_loss(build, kind, ragged):
    rng = np.random.default_rng(1)
    net = getattr(rc, kind)(2, 8, 2, loss="mse", readout="all", dtype="float64", seed=0)
    x, y = rng.standard_normal((2, 2, STEPS, 2))
    options = {"lengths": np.array([STEPS, STEPS // 2])} if ragged else {}
    _, grads = net.loss_and_grad(x, y, **options)
    kept, direction = net.flat.copy(), rng.standard_normal(net.flat.size)
    exact = np.concatenate([g.ravel() for g in grads.values()]) @ direction
    losses = []
    for step in (1e-4, -1e-4):
        net.flat[:] = kept + step * direction
        losses.append(net.loss(x, y, **options))
    assert (losses[0] - losses[1]) / 2e-4 == pytest.approx(exact, rel=1e-6)
