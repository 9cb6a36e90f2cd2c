"""Spectral norms and radii of many matrices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnncore._types import Array

#: Numbers looked at together: what a cache keeps while they are iterated on.
AT_ONCE = 1 << 18
#: Up to this width, decomposing a matrix takes no longer than iterating.
NARROW = 64
#: Of a norm found by iteration, relative.
ACCURACY = 1e-6
#: Vectors iterated on, how many of them a new round begins with, and how many rounds there are.
ROOM, KEPT, ROUNDS = 12, 4, 6


def norms_of(matrices: Array) -> Array:
    """Mean spectral norm of the sequences' matrices (T, S, n, n) at each step."""
    return mean_of(spectral_norms, matrices)


def radii_of(matrices: Array) -> Array:
    """Mean spectral radius of the sequences' matrices at each step."""
    return mean_of(lambda part: np.abs(np.linalg.eigvals(part)).max(axis=-1), matrices)


def mean_of(function: Callable[[Array], Array], matrices: Array) -> Array:
    """The mean over the sequences of a function (N, n, n) -> (N,) that is homogeneous; infinite
    where a matrix is not finite."""
    n = matrices.shape[-1]
    flat = matrices.reshape(-1, n, n)
    result = np.full(len(flat), np.inf)
    together = max(1, AT_ONCE // n**2)
    for first in range(0, len(flat), together):
        part = flat[first : first + together]
        scale = np.abs(part).max(axis=(-2, -1))
        ok = np.isfinite(scale)
        # Decompositions lose what is below 1e-16 of nothing: scaled, down to the last exponent.
        scale[scale == 0] = 1
        found = function(part[ok] / scale[ok, None, None])
        with np.errstate(over="ignore"):
            result[first : first + together][ok] = found * scale[ok]
    mean: Array = result.reshape(matrices.shape[:2]).mean(axis=1)
    return mean


def spectral_norms(matrices: Array) -> Array:
    """Largest singular values of the A in (N, n, n): of wide ones the roots of the largest
    eigenvalues theta of G = A^T A in the space of v, G v, G^2 v, ... (Lanczos, begun anew from the
    best vectors so far), once |G y - theta y| says that these are near enough to one of G itself.
    Where that would take too long, A is decomposed. [1]_

    References
    ----------
    .. [1] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue
       problems", SIAM J. Matrix Anal. Appl. 22, 2000.
    """
    count, n, _ = matrices.shape
    if n <= NARROW:
        return decomposed(matrices)
    basis, images = np.zeros((2, count, ROOM, n))  # orthonormal rows v, and G v
    within = np.zeros((count, ROOM, ROOM))  # G in the space of these: the lower triangle
    v = np.broadcast_to(np.random.default_rng(0).standard_normal(n), (count, n))
    v, kept, rest = orthonormal(v, basis[:, :0]), 0, np.full(count, np.inf)
    for left in reversed(range(ROUNDS)):
        for k in range(kept, ROOM):
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
        if (found | (rest * pace**left > near)).all():  # the others would not be in time
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
    """What of the vectors (N, n) is orthogonal to the bases (N, k, n), of length one; zero where
    that is nothing but rounding."""
    rest = vectors
    for _ in range(2):  # the second time for what rounding has left
        rest = rest - combined(applied(basis, rest), basis)
    length = np.linalg.norm(rest, axis=-1, keepdims=True)
    is_new = length > 1e-10 * np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Array = np.divide(rest, length, out=np.zeros_like(rest), where=is_new)
    return result
