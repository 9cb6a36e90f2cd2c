"""Spectral norms and radii of many matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnncore._types import Array

#: Numbers in the matrices that are iterated on together: as many as fit a cache.
AT_ONCE = 1 << 18
#: Up to this width, decomposing a matrix takes no longer than iterating.
NARROW = 64
#: Relative accuracy of a norm that is found by iteration.
ACCURACY = 1e-6
#: Vectors of a basis, how many of them the next round begins with, and the number of rounds.
BASIS, KEPT, ROUNDS = 12, 4, 6


def norms_of(matrices: Array) -> Array:
    """Mean spectral norm of the sequences' matrices (T, S, n, n) at each step."""
    return mean_of(spectral_norms, matrices)


def radii_of(matrices: Array) -> Array:
    """Mean spectral radius of the sequences' matrices at each step."""
    return mean_of(lambda part: np.abs(np.linalg.eigvals(part)).max(axis=-1), matrices)


def mean_of(function: Callable[[Array], Array], matrices: Array) -> Array:
    """The mean over the sequences of a homogeneous function (N, n, n) -> (N,); infinite where a
    matrix is not finite."""
    n = matrices.shape[-1]
    flat = matrices.reshape(-1, n, n)
    result = np.full(len(flat), np.inf)
    together = max(1, AT_ONCE // n**2)
    for first in range(0, len(flat), together):
        part = flat[first : first + together]
        scale = np.abs(part).max(axis=(-2, -1))
        ok = np.isfinite(scale)
        # Scaled to entries of at most 1: a decomposition of very small numbers would lose them.
        scale[scale == 0] = 1
        found = function(part[ok] / scale[ok, None, None])
        with np.errstate(over="ignore"):
            result[first : first + together][ok] = found * scale[ok]
    mean: Array = result.reshape(matrices.shape[:2]).mean(axis=1)
    return mean


def spectral_norms(matrices: Array) -> Array:
    """Largest singular values of the matrices A in (N, n, n).

    Of wide matrices they are the roots of the largest eigenvalues theta of G = A^T A in the space
    of v, G v, G^2 v, ... (Lanczos, restarted from the best vectors so far [1]_), once the residual
    |G y - theta y| shows that they are accurate. Where that would take too many rounds, A is
    decomposed.

    References
    ----------
    .. [1] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue
       problems", SIAM J. Matrix Anal. Appl. 22, 2000.
    """
    count, n, _ = matrices.shape
    if n <= NARROW:
        return decomposed(matrices)
    basis, images = np.zeros((2, count, BASIS, n))  # orthonormal rows v, and G v
    within = np.zeros((count, BASIS, BASIS))  # G in their space, as a lower triangle
    v = np.broadcast_to(np.random.default_rng(0).standard_normal(n), (count, n))
    v, kept, rest = orthonormal(v, basis[:, :0]), 0, np.full(count, np.inf)
    for left in reversed(range(ROUNDS)):
        for k in range(kept, BASIS):
            basis[:, k] = v
            images[:, k] = image = combined(applied(matrices, v), matrices)
            within[:, k, : k + 1] = applied(basis[:, : k + 1], image)
            v = orthonormal(image, basis[:, : k + 1])
        values, vectors = np.linalg.eigh(within)
        best, kept = vectors[:, :, -KEPT:].transpose(0, 2, 1), KEPT
        basis[:, :kept], images[:, :kept] = best @ basis, best @ images
        within[:, :kept, :kept] = values[:, -kept:, None] * np.eye(kept)
        theta, before = values[:, -1], rest
        rest = np.linalg.norm(images[:, kept - 1] - theta[:, None] * basis[:, kept - 1], axis=-1)
        near = 2 * ACCURACY * theta
        found = rest <= near
        pace = np.minimum(rest / np.where(before > 0, before, 1), 1)
        if (found | (rest * pace**left > near)).all():  # the others would need too many rounds
            break
    norms: Array = np.sqrt(theta)
    if not found.all():
        norms[~found] = decomposed(matrices[~found])
    return norms


def decomposed(matrices: Array) -> Array:
    norms: Array = np.linalg.norm(matrices, 2, axis=(-2, -1))
    return norms


def applied(matrices: Array, vectors: Array) -> Array:
    """A v of every A (N, m, n) and v (N, n)."""
    result: Array = (matrices @ vectors[:, :, None])[:, :, 0]
    return result


def combined(vectors: Array, matrices: Array) -> Array:
    """v^T A of every v (N, m) and A (N, m, n)."""
    result: Array = (vectors[:, None, :] @ matrices)[:, 0]
    return result


def orthonormal(vectors: Array, basis: Array) -> Array:
    """The parts of the vectors (N, n) that are orthogonal to the bases (N, k, n), scaled to length
    1; zero where such a part is only rounding error."""
    rest = vectors
    for _ in range(2):  # the second time removes what rounding left
        rest = rest - combined(applied(basis, rest), basis)
    length = np.linalg.norm(rest, axis=-1, keepdims=True)
    is_new = length > 1e-10 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Array = np.divide(rest, length, out=np.zeros_like(rest), where=is_new)
    return result
