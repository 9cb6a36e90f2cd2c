"""Fixed and slow points of a network under an input that does not change."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._diagnostics import state_plots, summaries
from rnncore._diagnostics.least_speed import least_speed
from rnncore._diagnostics.step_map import StepMap, repeated
from rnncore._model.model import HasModel
from rnncore._types import Array, State

KINDS = ("stable", "saddle", "unstable", "neutral", "slow")
#: A speed, relative to 1 and the state's largest number, that is rounding error.
FIXED = 1e-13
#: An eigenvalue whose size differs from 1 by less is taken for 1.
NEUTRAL = 1e-7
#: The standard deviation of random states along axes without a bound.
SPREAD = 2.0


class FixedPoints:
    """Fixed points of the map from a state to the next one, and points where it moves slowly.

    Attributes
    ----------
    points : ndarray
        (P, n): fixed points first, then slow ones, each sorted. A state's n numbers are its rows
        one after another (H of one layer), of an LSTM first those of h, then those of c.
    state : ndarray or pair of ndarray
        The same as ``h0=`` takes them, (P, rows, H).
    speed : ndarray
        The Euclidean distance to the state after one step, (P,).
    jacobians : ndarray
        Of a step, at each point, (P, n, n).
    eigenvalues : ndarray of complex
        Theirs, (P, n), the largest in size first.
    stability : ndarray of str
        (P,): "stable" where all eigenvalues are smaller than 1 in size, "unstable" where all are
        larger, "saddle" where some are; "neutral" where the largest is of size 1, to 1e-7, so that
        the Jacobian alone does not tell; "slow" of points that are not fixed.
    is_fixed : ndarray of bool
        (P,).
    x : ndarray
        The input.

    See Also
    --------
    rnncore.RNN.fixed_points : returns it; with an example.
    """

    def __init__(self, step: StepMap, x: Array, points: Array, is_fixed: Array) -> None:
        self._step, self.x, self.points, self.is_fixed = step, x, points, is_fixed
        self.state: State = step.state_of(points)
        after, self.jacobians = step.linearized(points, repeated(x, len(points)))
        self.speed = np.linalg.norm(after - points, axis=1)
        values = np.linalg.eigvals(self.jacobians).astype(complex)
        order = np.argsort(-np.abs(values), axis=1, kind="stable")
        self.eigenvalues = np.take_along_axis(values, order, axis=1)
        self.stability = stability_of(self.eigenvalues, is_fixed)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        lines = [f"FixedPoints({self._counts()})"]
        if len(self):
            lines.append("  kind      speed    largest eigenvalue   state")
        lines += [f"  {a:<9} {b:<8} {c:<20} {d}" for a, b, c, d in self._rows(20)]
        if len(self) > 20:
            lines.append(f"  and {len(self) - 20} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return summaries.fixed_points(self, self._counts(), self._rows(20))

    def _counts(self) -> str:
        counts = [(kind, int((self.stability == kind).sum())) for kind in KINDS]
        return ", ".join(f"{count} {kind}" for kind, count in counts if count) or "none found"

    def _rows(self, most: int) -> list[tuple[str, str, str, str]]:
        """Stability, speed, eigenvalue and state of the first points, as text."""
        rows = []
        for k in range(min(len(self), most)):
            state = " ".join(f"{v:7.4f}" for v in self.points[k, :6].round(4) + 0.0)
            more = " ..." if self.points.shape[1] > 6 else ""
            value = self.eigenvalues[k, 0]
            size = f"{abs(value):.4g}" + (
                "" if value.imag == 0 else f" at {degrees(value):.3g} deg"
            )
            size = "-" + size if value.imag == 0 and value.real < 0 else size
            rows.append((str(self.stability[k]), f"{self.speed[k]:.2g}", size, state + more))
        return rows

    def plot(self, ax: Any = None) -> Any:
        """Draw the points, with their stability: for a state of one number on the curve of how it
        changes, for two on the plane with arrows, else on the plane of the points' first two
        principal components.

        Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return state_plots.fixed_points(self, self._step, ax)


def fixed_points(
    self: HasModel,
    x: npt.ArrayLike,
    starts: Any = 256,
    *,
    slow: float | None = None,
    merge: float = 1e-6,
    rng: int | np.random.Generator | None = 0,
) -> FixedPoints:
    """States that an input does not change, and their stability. [1]_

    From many starts, the distance to the state after one step is made least by damped Newton steps
    (Levenberg-Marquardt, with exact Jacobians), within the range of the cell: the states of tanh
    cells lie between -1 and 1, and beyond these bounds gates that saturate in rounding would
    feign more fixed points. Points to which several starts come are given once. There may be more
    than are found. Where there is a continuum of fixed points, every start finds another one of
    them. Computed in float64, whatever the network's precision.

    Parameters
    ----------
    x : array_like
        The input of every step: (D,), or an integer token.
    starts : int or array_like, optional
        So many random states, uniform in the range of the cell; where that has no bound (relu,
        identity, the c of an LSTM), normal with a standard deviation of 2, relu's without sign.
        Or the states themselves, (N, H), (N, rows, H), of an LSTM a pair, as from ``net(x)``; those
        outside the range are moved into it.
    slow : float, optional
        Also give the points where the speed, the distance that a step covers, has a local minimum
        below this.
    merge : float, optional
        Points that differ by less in every coordinate count as one.
    rng : int or numpy.random.Generator, optional
        For the starts.

    Returns
    -------
    FixedPoints

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or type or is not finite; if the network is
        bidirectional.

    References
    ----------
    .. [1] D. Sussillo and O. Barak, "Opening the black box: low-dimensional dynamics in
       high-dimensional recurrent neural networks", Neural Computation 25 (2013) 626-649.

    Examples
    --------
    One unit with h' = tanh(2 h) is a switch: two stable states, and one between them that is not.

    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, bias=False, dtype="float64")
    >>> net.parameters()["weight_hh_l0"] = [[2.0]]
    >>> found = net.fixed_points([0.0])
    >>> np.abs(found.points).ravel().round(4).tolist(), found.stability.tolist()
    ([0.9575, 0.0, 0.9575], ['stable', 'unstable', 'stable'])
    >>> found.eigenvalues.real.round(4).ravel().tolist()
    [0.1664, 2.0, 0.1664]
    """
    step = StepMap(self._model, "fixed_points")
    row = step.checked_input("x", x)
    lower, upper = step.range()
    begun = np.clip(starts_of(step, starts, rng), lower, upper)
    least = None if slow is None else check.number("slow", slow, 0, above=True)
    merge = check.number("merge", merge, 0, above=False)
    points, speed, settled = least_speed(step, row, begun)
    scale = 1 + np.abs(points).max(axis=1, initial=0)
    is_fixed = speed <= FIXED * scale
    wanted = is_fixed | (settled & (speed < (least or 0)))
    order = np.flatnonzero(wanted)[np.argsort(speed[wanted], kind="stable")]
    kept = apart(points[order], merge)
    chosen = order[kept]
    ranks = (*points[chosen].T.round(9)[::-1], ~is_fixed[chosen])
    chosen = chosen[np.lexsort(ranks)]
    return FixedPoints(step, row, points[chosen], is_fixed[chosen])


def starts_of(step: StepMap, starts: Any, rng: Any) -> Array:
    """States (N, n) to start from."""
    generator = check.generator("rng", rng)
    if check.is_number(starts):
        count, (lower, upper) = check.whole("starts", starts, 1), step.range()
        bounded = np.isfinite(lower) & np.isfinite(upper)
        drawn = generator.normal(0, SPREAD, (count, step.n))
        drawn = np.where(np.isfinite(lower), np.abs(drawn), drawn)
        low, high = np.where(bounded, lower, 0), np.where(bounded, upper, 1)
        result: Array = np.where(bounded, generator.uniform(low, high, (count, step.n)), drawn)
        return result
    states = step.checked_state("starts", starts)
    if not states.size:
        raise ValueError(f"starts: expected at least 1 state, got shape {states.shape}")
    return states.reshape(-1, step.n)


def apart(points: Array, merge: float) -> list[int]:
    """Which points (N, n) are further than `merge` from all that come before."""
    kept: list[int] = []
    for k, point in enumerate(points):
        if not kept or np.abs(points[kept] - point).max(axis=1).min() > merge:
            kept.append(k)
    return kept


def stability_of(eigenvalues: Array, is_fixed: Array) -> Array:
    sizes = np.abs(eigenvalues)
    largest, least = sizes[:, 0], sizes[:, -1]
    kinds = np.full(len(sizes), "saddle", dtype="<U8")
    kinds[largest < 1] = "stable"
    kinds[least > 1] = "unstable"
    kinds[np.abs(largest - 1) <= NEUTRAL] = "neutral"
    kinds[~is_fixed] = "slow"
    return kinds


def degrees(value: complex) -> float:
    return float(abs(np.angle(value, deg=True)))
