"""Lyapunov exponents along a trajectory that an input drives."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data.inputs import as_index
from rnncore._diagnostics import state_plots, summaries
from rnncore._diagnostics.step_map import MOST_NUMBERS, StepMap
from rnncore._model.model import HasModel
from rnncore._types import Array


class Lyapunov:
    """How fast small differences of the state grow or shrink; returned by ``net.lyapunov``.

    Attributes
    ----------
    exponents : ndarray
        (n,), or (B, n) of several sequences: natural logarithms per step, the largest first.
        Negative: two trajectories under the same input come together; positive: they part.
        ``-inf`` where a direction vanishes within a step.
    running : ndarray
        (T, n), or (T, B, n): the exponents from the steps so far, in the order of `exponents`.
    states : ndarray
        The trajectory, (T + 1, n) or (T + 1, B, n), from the state before the first step on.
    """

    def __init__(self, logarithms: Array, states: Array) -> None:
        """logarithms: of the stretching of every step, (T, ..., n)."""
        steps = np.arange(1, len(logarithms) + 1).reshape(-1, *[1] * (logarithms.ndim - 1))
        running = logarithms.cumsum(axis=0) / steps
        order = np.argsort(-running[-1], axis=-1, kind="stable")
        self.running = np.take_along_axis(running, order[None], axis=-1)
        self.exponents: Array = self.running[-1].copy()
        self.states = states

    def __repr__(self) -> str:
        shown = np.array2string(
            self.exponents, precision=4, threshold=8, edgeitems=3, prefix="Lyapunov("
        )
        return f"Lyapunov({shown} per step, from {len(self.running)} steps)"

    def _repr_html_(self) -> str:
        return summaries.lyapunov(self)

    def plot(self, ax: Any = None) -> Any:
        """Draw the exponents from the steps so far, by which to see whether there were enough; of
        several sequences, those of the first; of many, the ten largest.

        Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, optional
            Where to draw. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure
        """
        return state_plots.lyapunov(self, ax)


def lyapunov(self: HasModel, x: npt.ArrayLike, h0: Any = None, *, discard: int = 0) -> Lyapunov:
    """The Lyapunov exponents of the states under an input. [1]_ [2]_

    The exact Jacobians of the steps are applied one after another to a set of orthogonal
    directions, which a QR decomposition makes orthogonal again after every step; the exponents are
    the mean logarithms of how these directions were stretched. Computed in float64, whatever the
    network's precision.

    Parameters
    ----------
    x : array_like
        The input: (T, D) or (T,) tokens; or several sequences of one length, (B, T, D) or (B, T)
        tokens. For a network on its own, zeros.
    h0 : array_like, or pair of array_like, optional
        The state before the first step, as for `jacobian`: (H,), (rows, H), or with an axis of
        sequences. If not given, the state with which a sequence begins.
    discard : int
        So many first steps, in which a trajectory comes to where it stays, do not count in the
        exponents. The directions are turned in them already.

    Returns
    -------
    Lyapunov
        With n exponents, as many as the state has numbers.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong shape or type, is not finite, or leaves no step to count; if
        the network is bidirectional.

    References
    ----------
    .. [1] G. Benettin, L. Galgani, A. Giorgilli and J.-M. Strelcyn, "Lyapunov characteristic
       exponents for smooth dynamical systems and for Hamiltonian systems", Meccanica 15 (1980)
       9-30.
    .. [2] R. Engelken, F. Wolf and L. F. Abbott, "Lyapunov spectra of chaotic recurrent neural
       networks", Physical Review Research 5 (2023) 043044.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 2, nonlinearity="identity", bias=False, dtype="float64")
    >>> net.parameters()["weight_hh_l0"] = [[0.5, 1.0], [0.0, 0.25]]  # eigenvalues 0.5 and 0.25
    >>> net.lyapunov(np.zeros((500, 1)), discard=100).exponents.round(6)
    array([-0.693147, -1.386294])
    """
    step = StepMap(self._model, "lyapunov")
    rows, single = inputs_by_step(step, x)
    T, B = rows.shape[:2]
    discard = check.whole("discard", discard, 0)
    if discard >= T:
        raise ValueError(f"discard: expected less than the {T} steps of x, got {discard}")
    states = trajectory(step, rows, first_states(step, h0, B))
    logarithms = np.empty((T, B, step.n))
    directions = np.broadcast_to(np.eye(step.n), (B, step.n, step.n))
    size = max(1, MOST_NUMBERS // (B * step.n**2))
    for first in range(0, T, size):
        some = slice(first, min(T, first + size))
        before, given = states[:-1][some], rows[some]
        jacobians = step.linearized(
            before.reshape(-1, step.n), given.reshape(-1, *given.shape[2:])
        )[1].reshape(*before.shape, step.n)
        for t, J in enumerate(jacobians, first):
            directions, stretched = np.linalg.qr(J @ directions)
            with np.errstate(divide="ignore"):
                logarithms[t] = np.log(np.abs(np.diagonal(stretched, axis1=1, axis2=2)))
    if single:
        logarithms, states = logarithms[:, 0], states[:, 0]
    return Lyapunov(logarithms[discard:], states)


def inputs_by_step(step: StepMap, x: Any) -> tuple[Array, bool]:
    """Inputs (T, B, D), or tokens (T, B); and whether x is a single sequence."""
    given = check.array("x", x)
    D = step.spec.input_size
    tokens = given.dtype.kind in "iu" and given.ndim in (1, 2) and given.shape[1:] != (D,)
    single = given.ndim == (1 if tokens else 2)
    if not tokens and (given.ndim not in (2, 3) or given.shape[-1] != D):
        raise ValueError(
            f"x: expected {check.shapes(('time', D), ('batch', 'time', D))}, or integer tokens "
            f"(time,) or (batch, time), got {given.shape} of {given.dtype}"
        )
    if not given.size:
        raise ValueError(f"x: expected at least 1 sequence of 1 time step, got {given.shape}")
    if tokens:
        check.within("x", "tokens", given, 0, D - 1)
    else:
        check.all_finite("x", given)
    values = as_index(given) if tokens else given.astype(float)
    return np.ascontiguousarray(values[:, None] if single else np.swapaxes(values, 0, 1)), single


def first_states(step: StepMap, h0: Any, count: int) -> Array:
    """The states before the first step, (B, n)."""
    if h0 is not None:
        states = step.checked_state("h0", h0)
        shapes = [(step.n,), (count, step.n)]
        if states.shape not in shapes:
            raise ValueError(
                f"h0: expected the state of one sequence or of {count}, got {len(states)}"
            )
        return np.array(np.broadcast_to(states, (count, step.n)))
    parameters, spec = step.model.parameters, step.spec
    parts = []
    for name in ("h0", "c0")[: spec.states]:
        rows = np.zeros(step.rows)
        if name in parameters:
            rows[:: spec.history] = parameters[name]
        parts.append(rows.reshape(-1))
    return np.tile(np.concatenate(parts), (count, 1))


def trajectory(step: StepMap, rows: Array, first: Array) -> Array:
    """The states (T + 1, B, n) before the first step and after every one."""
    states = np.empty((len(rows) + 1, *first.shape))
    states[0] = first
    for t, row in enumerate(rows):
        states[t + 1] = step(states[t], row)
    return states
