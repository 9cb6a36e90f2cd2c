"""Spectral norms of many matrices: iterated where they are wide, against their decomposition."""

import numpy as np
import pytest
from rnncore._diagnostics import norms as _norms

import rnncore as rc

N = 80  # wide enough to be iterated
rng = np.random.default_rng(0)


def turned(values):
    """A matrix with these singular values."""
    left, right = np.linalg.qr(rng.standard_normal((2, len(values), len(values))))[0]
    return left * values @ right


MATRICES = {
    "random": rng.standard_normal((N, N)),
    "of rank one": np.outer(rng.standard_normal(N), rng.standard_normal(N)),
    "zero": np.zeros((N, N)),
    "identity": np.eye(N),
    "idle units": np.diag(rng.random(N) < 0.5),
    "orthogonal": turned(np.ones(N)),
    "close together": turned(1 - 1e-4 * np.arange(N) / N),
    "two at the top": turned(np.r_[1, 1 - 1e-5, np.full(N - 2, 0.5)]),
    "far apart": turned(10.0 ** -np.arange(N)),
    "a shift": np.eye(N, k=-5),
    "in blocks": np.kron(np.eye(4), rng.standard_normal((N // 4, N // 4))),
}


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e-310, 1e300])
def test_norms_equal_the_largest_singular_values(name, scale):
    matrix = MATRICES[name].astype(float)
    expected = np.linalg.svd(matrix, compute_uv=False)[0] * scale
    got = _norms.norms_of((matrix * scale)[None, None])
    assert got == pytest.approx([expected], rel=1e-6 if scale > 1e-308 else 1e-3, abs=0)


def test_the_mean_over_the_sequences_at_each_step():
    """Whatever stands beside a matrix, and however many there are."""
    together = rng.permutation([m.astype(float) for m in MATRICES.values()] * 12)
    matrices = together.reshape(66, 2, N, N)
    expected = np.linalg.norm(matrices, 2, axis=(2, 3)).mean(axis=1)
    assert np.allclose(_norms.norms_of(matrices), expected, rtol=1e-6, atol=0)


def test_what_is_not_finite_is_infinite():
    matrices = np.ones((3, 2, N, N))
    matrices[0, 1, 5, 6] = np.nan
    matrices[2, 0, 7, 8] = -np.inf
    assert _norms.norms_of(matrices) == pytest.approx([np.inf, N, np.inf])
    small = matrices[:, :, 3:9, 3:9]
    assert _norms.norms_of(small) == pytest.approx([np.inf, 6, np.inf])
    assert _norms.radii_of(small) == pytest.approx([np.inf, 6, np.inf])
    with np.errstate(over="ignore"):
        assert _norms.norms_of(np.full((1, 1, N, N), 1e308)).tolist() == [np.inf]


@pytest.mark.parametrize(("kind", "options"), [
    ("LSTM", {}), ("GRU", {"update_bias": 4.0}), ("RNN", {"nonlinearity": "relu"}),
    ("RNN", {"init": "orthogonal"}), ("RNN", {"skip": 2}),
])  # fmt: skip
def test_norms_of_wide_networks(kind, options):
    x = rng.standard_normal((5, 12, 3))
    net = getattr(rc, kind)(3, 70, 1, loss="mse", seed=0, **options)
    flow = net.gradient_flow(x, np.ones(5))
    for got, matrices in (
        (flow.jacobian_norms, flow.jacobians), (flow.product_norms, flow.products),
    ):  # fmt: skip
        expected = np.linalg.norm(matrices, 2, axis=(2, 3)).mean(axis=1)
        assert np.allclose(got, expected, rtol=1e-6, atol=0)


def test_wide_matrices_are_hardly_ever_decomposed(monkeypatch):
    decompose, decomposed = np.linalg.svd, 0

    def counting(matrices, *args, **options):
        nonlocal decomposed
        decomposed += len(matrices.reshape(-1, *matrices.shape[-2:]))
        return decompose(matrices, *args, **options)

    monkeypatch.setattr("numpy.linalg.svd", counting)
    monkeypatch.setattr("numpy.linalg._linalg.svd", counting)
    x = rng.standard_normal((4, 25, 3))
    flow = rc.LSTM(3, 70, 1, loss="mse", seed=0).gradient_flow(x, np.ones(4))
    assert len(flow.jacobian_norms) == len(flow.product_norms) == 25
    assert decomposed < 20  # of 200


@pytest.mark.parametrize(("most", "sequences"), [(1 << 24, 4), (8 * 9 * 3, 3), (8 * 9, 1), (1, 1)])
def test_jacobians_of_as_many_sequences_as_there_is_room_for(monkeypatch, most, sequences):
    net = rc.RNN(2, 3, 1, loss="mse", seed=0)
    x = rng.standard_normal((6, 8, 2))
    whole = net.gradient_flow(x, np.ones(6)).jacobians
    monkeypatch.setattr("rnncore._diagnostics.jacobians.MOST_NUMBERS", most)
    jacobians = net.gradient_flow(x, np.ones(6)).jacobians
    assert jacobians.tobytes() == whole[:, :sequences].tobytes()
