"""Where a step moves a state least."""

from __future__ import annotations

import numpy as np

from rnncore._diagnostics.step_map import StepMap, repeated
from rnncore._types import Array

#: Steps at most; most starts need ten.
MOST = 300
#: A damping beyond which no step makes the speed smaller.
MOST_DAMPING = 1e12


def least_speed(step: StepMap, x: Array, starts: Array) -> tuple[Array, Array, Array]:
    """Local minima of the speed |F(h) - h| within the cell's range, one from each start (N, n), by
    the method of Levenberg and Marquardt.

    With r = F(h) - h and its Jacobian A, a step d solves (A^T A + m |r| I) d = -A^T r, and is cut
    at the range. Where r goes to zero so does the damping, and the step is Newton's.

    Returns
    -------
    points, speed, settled : ndarray
        (N, n), (N,), and (N,) whether it came to rest within `MOST` steps.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a step too far is not taken
        return search(step, x, starts.copy())


def search(step: StepMap, x: Array, points: Array) -> tuple[Array, Array, Array]:
    lower, upper = step.range()
    N = len(points)
    r, A = moved(step, x, points)
    speed, damping = np.linalg.norm(r, axis=1), np.ones(N)
    settled = speed == 0
    for _ in range(MOST):
        (now,) = np.nonzero(~settled)
        if not len(now):
            break
        tried = points[now] + newton(r[now], A[now], damping[now] * speed[now])
        tried = np.clip(tried, lower, upper)
        length = np.abs(tried - points[now]).max(axis=1)
        new = step(tried, repeated(x, len(now))) - tried
        new_speed = np.linalg.norm(new, axis=1)
        better = new_speed < speed[now]
        damping[now] = np.where(better, damping[now] / 8, damping[now] * 4)
        at_rest = length <= 1e-15 * (1 + np.abs(tried).max(axis=1))
        at_rest |= better & (speed[now] - new_speed <= 1e-13 * new_speed)
        settled[now] = at_rest | (damping[now] > MOST_DAMPING) | (new_speed == 0)
        took = now[better]
        points[took], speed[took] = tried[better], new_speed[better]
        going = took[~settled[took]]
        if len(going):
            r[going], A[going] = moved(step, x, points[going])
    return points, speed, settled


def moved(step: StepMap, x: Array, points: Array) -> tuple[Array, Array]:
    """F(h) - h, and its Jacobian."""
    after, jacobians = step.linearized(points, repeated(x, len(points)))
    return after - points, jacobians - np.eye(step.n)


def newton(r: Array, A: Array, damping: Array) -> Array:
    """The damped steps (N, n)."""
    square = A.transpose(0, 2, 1) @ A
    size = np.trace(square, axis1=1, axis2=2)
    least = damping + 1e-15 * size + np.finfo(float).tiny
    square += least[:, None, None] * np.eye(r.shape[1])
    slope = (r[:, None, :] @ A)[:, 0]
    result: Array = -np.linalg.solve(square, slope[:, :, None])[:, :, 0]
    return result
