"""Jacobians of the state with respect to the state before, and their products."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._data.inputs import Inputs
from rnncore._diagnostics.step_map import StepMap
from rnncore._model.model import HasModel, Model
from rnncore._types import Array

#: The number of sequences whose Jacobians are formed, unless they have more numbers than
#: MOST_NUMBERS (128 MB), and how many of them the core takes at a time.
SAMPLE, MOST_NUMBERS, TOGETHER = 4, 1 << 24, 2


def jacobians_of(model: Model, inputs: Inputs, lengths: Array) -> Array:
    """Those of the first of the longest sequences; see `GradientFlow.jacobians`."""
    spec, T = model.spec, int(lengths.max())
    n = spec.history * spec.hidden_size * spec.states
    count = min(SAMPLE, max(1, MOST_NUMBERS // (T * n**2)))
    chosen = np.flatnonzero(lengths == T)[:count].astype(np.int64)
    return jacobians_along(model, inputs, chosen, T)


def jacobians_of_one(model: Model, inputs: Inputs, chosen: Array, steps: int) -> Array:
    """Those of a single sequence, (T, n, n)."""
    result: Array = jacobians_along(model, inputs, chosen, steps)[:, 0]
    return result


def jacobians_along(model: Model, inputs: Inputs, chosen: Array, T: int) -> Array:
    """Those of chosen sequences of T steps, (T, sequences, n, n)."""
    spec = model.spec
    s, n = spec.history, spec.hidden_size * spec.states
    last_forward = spec.passes - spec.directions
    result = np.zeros((T, len(chosen), s * n, s * n))
    for first in range(0, len(chosen), TOGETHER):
        some = slice(first, first + TOGETHER)
        step = np.empty((T, len(chosen[some]), n, n))
        skip = np.zeros_like(step) if model.config.get("skip") else None
        spec.core.jacobians(model.engine, inputs.batch, chosen[some], last_forward, step, skip)
        result[:, some, :n, :n] = step
        if skip is not None:
            result[:, some, :n, (s - 1) * n :] += skip
            result[:, some, n:, : (s - 1) * n] += np.eye((s - 1) * n)
            result[:, some][~inputs.counted[chosen[some], :T].T] = np.eye(s * n)
    return result


def products_of(jacobians: Array) -> Array:
    """J_T ... J_t for every t."""
    result = np.empty_like(jacobians)
    running = np.broadcast_to(np.eye(result.shape[-1]), result.shape[1:])
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(len(jacobians) - 1, -1, -1):
            running = running @ jacobians[t]
            result[t] = running
    return result


def jacobian(self: HasModel, h: Any, x: npt.ArrayLike) -> Array:
    """The Jacobian of one step: how the state after it depends on the state before it.

    It is exact, by a backward pass for each number of the state, and computed in float64, whatever
    the network's precision.

    Parameters
    ----------
    h : array_like, or pair of array_like
        The states before the step, (..., H), with any leading axes or none. Of several layers, or
        with a skip connection, (..., rows, H), where the rows are those of ``Output.final``. Of an
        LSTM a pair (h, c) of such arrays.
    x : array_like
        The input: (D,), the same for all states, or (..., D), one for each; or integer tokens: one,
        or one for each, (...).

    Returns
    -------
    ndarray
        (..., n, n), float64: entry [i, j] is the derivative of the i-th number of the new state by
        the j-th of the old one. A state's n numbers are its rows one after another (H of one
        layer), of an LSTM first those of h, then those of c.

    Raises
    ------
    TypeError, ValueError
        If h or x has the wrong shape or type, is not finite, or has tokens out of range; if a
        parameter is not finite; if the network is bidirectional.

    See Also
    --------
    fixed_points : where such a step leads nowhere.
    lyapunov : what the Jacobians along a trajectory come to.
    rnncore.GradientFlow.jacobians : those of the steps of a batch.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 2, dtype="float64", nonlinearity="identity", seed=0)
    >>> J = net.jacobian([0.5, -0.5], [0.0])
    >>> bool(np.allclose(J, net.parameters()["weight_hh_l0"]))  # a linear map is its Jacobian
    True
    >>> net.jacobian(np.zeros((5, 3, 2)), np.zeros(1)).shape
    (5, 3, 2, 2)
    """
    step = StepMap(self._model, "jacobian")
    states = step.checked_state("h", h)
    inputs = step.checked_inputs("x", x, states.shape[:-1])
    result = step.linearized(states.reshape(-1, step.n), inputs)[1]
    return result.reshape(*states.shape, step.n)
