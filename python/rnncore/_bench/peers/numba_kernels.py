"""What the numba peer compiles: the passes of the network as plain loops, and with BLAS.

Three layouts of the same equations:

``lanes``      sequences innermost, a block of them at a time: loops over sequences vectorise
``units``      one sequence at a time, units innermost: loops over units vectorise
``blas``       all sequences at once, products by BLAS, the rest in loops

The compiler may reorder sums, which it must to vectorise them, and contract multiply-adds.
numba's wheels have no vector tanh; 1 - 2 / (1 + exp 2a) is faster than the C library's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import exp, log1p
from typing import Any

import numba
import numpy as np

Kernel = Callable[..., Any]

#: What fastmath=True allows, but for the promise that nothing is infinite or NaN.
RELAXED = {"nsz", "arcp", "contract", "afn", "reassoc"}


def compiled(function: Kernel) -> Kernel:
    result: Kernel = numba.njit(fastmath=RELAXED, error_model="numpy")(function)
    return result


@cache
def compiled_parallel(function: Kernel) -> Kernel:
    """A compiled function once more, its loops over blocks on all threads."""
    plain = function.py_func  # type: ignore[attr-defined]
    result: Kernel = numba.njit(fastmath=RELAXED, error_model="numpy", parallel=True)(plain)
    return result


@compiled
def tanh(a):
    one = type(a)(1)
    return one - (one + one) / (one + exp(a + a))


@compiled
def compare(z, target, count):
    """Binary cross-entropy of one logit, and its derivative divided by `count`."""
    loss = log1p(exp(-abs(z))) + max(z, 0) - target * z
    return loss, (1 / (1 + exp(-z)) - target) / count


# ---- sequences innermost: x (T, D, B); h (T + 1, H, n) and da (H, n) of one block ------------


@compiled
def forward_lanes(x, first, n, w_ih, w_hh, b, h):
    T, D, H = x.shape[0], x.shape[1], len(b)
    h[0, :, :n] = 0
    for t in range(T):
        for i in range(H):
            for s in range(n):
                h[t + 1, i, s] = b[i]
            for d in range(D):
                for s in range(n):
                    h[t + 1, i, s] += w_ih[i, d] * x[t, d, first + s]
            for j in range(H):
                for s in range(n):
                    h[t + 1, i, s] += w_hh[i, j] * h[t, j, s]
            for s in range(n):
                h[t + 1, i, s] = tanh(h[t + 1, i, s])


@compiled
def logit_lanes(h, s, w_y, b_y):
    z = b_y[0]
    for i in range(len(w_y)):
        z += w_y[i] * h[-1, i, s]
    return z


@compiled
def backward_lanes(x, y, first, n, w_hh, w_y, b_y, h, da, dh, g_ih, g_hh, g_b, g_y):
    """Gradients added to g_ih (H, D), g_hh (H, H), g_b (H), g_y (H + 1); returns the loss."""
    T, D, H = x.shape[0], x.shape[1], len(w_y)
    loss = 0.0
    for s in range(n):
        part, dz = compare(logit_lanes(h, s, w_y, b_y), y[first + s], len(y))
        loss += part
        g_y[H] += dz
        for i in range(H):
            g_y[i] += dz * h[T, i, s]
            dh[i, s] = dz * w_y[i]
    for t in range(T - 1, -1, -1):
        for i in range(H):
            for s in range(n):
                da[i, s] = (1 - h[t + 1, i, s] * h[t + 1, i, s]) * dh[i, s]
                dh[i, s] = 0
        for i in range(H):
            total = da[i, 0]
            for s in range(1, n):
                total += da[i, s]
            g_b[i] += total
            for d in range(D):
                total = da[i, 0] * x[t, d, first]
                for s in range(1, n):
                    total += da[i, s] * x[t, d, first + s]
                g_ih[i, d] += total
            for j in range(H):
                total = da[i, 0] * h[t, j, 0]
                for s in range(1, n):
                    total += da[i, s] * h[t, j, s]
                g_hh[i, j] += total
                for s in range(n):
                    dh[j, s] += w_hh[i, j] * da[i, s]
    return loss


@compiled
def train_lanes(x, y, w_ih, w_hh, b, w_y, b_y, h, da, dh, losses, g_ih, g_hh, g_b, g_y):
    """The tape and the gradients have a first axis with one entry per block, or one for all."""
    width, B = h.shape[-1], len(y)
    for k in numba.prange((B + width - 1) // width):
        at, first = k % len(h), k * width
        n = min(width, B - first)
        forward_lanes(x, first, n, w_ih, w_hh, b, h[at])
        losses[at] += backward_lanes(
            x, y, first, n, w_hh, w_y, b_y, h[at], da[at], dh[at],
            g_ih[at], g_hh[at], g_b[at], g_y[at],
        )  # fmt: skip


@compiled
def predict_lanes(x, w_ih, w_hh, b, w_y, b_y, h, z):
    width, B = h.shape[-1], len(z)
    for k in numba.prange((B + width - 1) // width):
        at, first = k % len(h), k * width
        n = min(width, B - first)
        forward_lanes(x, first, n, w_ih, w_hh, b, h[at])
        for s in range(n):
            z[first + s] = logit_lanes(h[at], s, w_y, b_y)


# ---- units innermost: x (B, T, D), weights transposed; h (T + 1, H) of one sequence ----------


@compiled
def forward_units(x, w_ih_t, w_hh_t, b, h):
    H = len(b)
    h[0] = 0
    for t in range(len(x)):
        for i in range(H):
            h[t + 1, i] = b[i]
        for d in range(x.shape[1]):
            for i in range(H):
                h[t + 1, i] += w_ih_t[d, i] * x[t, d]
        for j in range(H):
            for i in range(H):
                h[t + 1, i] += w_hh_t[j, i] * h[t, j]
        for i in range(H):
            h[t + 1, i] = tanh(h[t + 1, i])


@compiled
def logit_units(h, w_y, b_y):
    z = b_y[0]
    for i in range(len(w_y)):
        z += w_y[i] * h[-1, i]
    return z


@compiled
def train_units(x, y, w_ih_t, w_hh_t, b, w_y, b_y, h, da, dh, losses, g_ih_t, g_hh_t, g_b, g_y):
    """As `train_lanes`, a block being one sequence; gradients come out transposed, too."""
    B, T, D = x.shape
    H = len(b)
    for k in numba.prange(B):
        at = k % len(h)
        forward_units(x[k], w_ih_t, w_hh_t, b, h[at])
        loss, dz = compare(logit_units(h[at], w_y, b_y), y[k], B)
        losses[at] += loss
        g_y[at, H] += dz
        for i in range(H):
            g_y[at, i] += dz * h[at, T, i]
            dh[at, i] = dz * w_y[i]
        for t in range(T - 1, -1, -1):
            for i in range(H):
                da[at, i] = (1 - h[at, t + 1, i] * h[at, t + 1, i]) * dh[at, i]
                g_b[at, i] += da[at, i]
            for d in range(D):
                for i in range(H):
                    g_ih_t[at, d, i] += x[k, t, d] * da[at, i]
            for j in range(H):
                total = w_hh_t[j, 0] * da[at, 0]
                for i in range(1, H):
                    total += w_hh_t[j, i] * da[at, i]
                dh[at, j] = total
                for i in range(H):
                    g_hh_t[at, j, i] += h[at, t, j] * da[at, i]


@compiled
def predict_units(x, w_ih_t, w_hh_t, b, w_y, b_y, h, z):
    for k in numba.prange(len(x)):
        at = k % len(h)
        forward_units(x[k], w_ih_t, w_hh_t, b, h[at])
        z[k] = logit_units(h[at], w_y, b_y)


@compiled
def step_units(x_t, w_t, b, w_y, b_y, h, u):
    """h after x_t, in place, and the logit; w_t (D + H, H) for u (D + H) = [x_t ; h]."""
    D, H = len(x_t), len(h)
    for d in range(D):
        u[d] = x_t[d]
    for i in range(H):
        u[D + i] = h[i]
        h[i] = b[i]
    for j in range(D + H):
        for i in range(H):
            h[i] += w_t[j, i] * u[j]
    z = b_y[0]
    for i in range(H):
        h[i] = tanh(h[i])
        z += w_y[i] * h[i]
    return z


@compiled
def stream_units(x, w_t, b, w_y, b_y, h, u, y):
    """One stream after the steps x (T, D), in place, and the logits y (T)."""
    for t in range(len(x)):
        y[t] = step_units(x[t], w_t, b, w_y, b_y, h, u)


@compiled
def streams_units(x, w_t, b, w_y, b_y, h, u, y):
    """Streams h (n, H) after one step x (n, D) each, in place, and their logits y (n)."""
    for s in range(len(x)):
        y[s] = step_units(x[s], w_t, b, w_y, b_y, h[s], u)


# ---- products by BLAS: x (T * B, D); h (T + 1, B, H), a (T, B, H) ----------------------------


@compiled
def predict_blas(x, w_ih_t, w_hh_t, b, w_y, b_y, h, a, z):
    T, B, H = a.shape
    np.dot(x, w_ih_t, a.reshape(T * B, H))
    h[0] = 0
    for t in range(T):
        np.dot(h[t], w_hh_t, h[t + 1])
        for s in range(B):
            for i in range(H):
                h[t + 1, s, i] = tanh(h[t + 1, s, i] + a[t, s, i] + b[i])
    np.dot(h[T], w_y, z)
    z += b_y[0]


@compiled
def train_blas(x, y, w_ih_t, w_hh, w_hh_t, b, w_y, b_y, h, a, dh, z, g_ih, g_hh, g_b, g_y):
    """Gradients into g_ih (H, D), g_hh (H, H), g_b (H), g_y (H + 1); returns the loss."""
    T, B, H = a.shape
    predict_blas(x, w_ih_t, w_hh_t, b, w_y, b_y, h, a, z)
    loss = 0.0
    g_b[:] = 0
    g_y[:] = 0
    for s in range(B):
        part, dz = compare(z[s], y[s], B)
        loss += part
        g_y[H] += dz
        for i in range(H):
            g_y[i] += dz * h[T, s, i]
            dh[s, i] = dz * w_y[i]
    for t in range(T - 1, -1, -1):
        for s in range(B):
            for i in range(H):
                a[t, s, i] = (1 - h[t + 1, s, i] * h[t + 1, s, i]) * dh[s, i]
                g_b[i] += a[t, s, i]
        np.dot(a[t], w_hh, dh)
    da = a.reshape(T * B, H)
    np.dot(da.T, x, g_ih)
    np.dot(da.T, h[:T].reshape(T * B, H), g_hh)
    return loss / B
