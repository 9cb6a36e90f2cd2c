"""Jacobians of the state with respect to the state before, and their products."""

from __future__ import annotations

import numpy as np

from rnncore._data.inputs import Inputs
from rnncore._model.model import Model
from rnncore._types import Array

#: The number of sequences whose Jacobians are formed, unless they have more numbers than
#: MOST_NUMBERS (128 MB), and how many of them the core takes at a time.
SAMPLE, MOST_NUMBERS, TOGETHER = 4, 1 << 24, 2


def jacobians_of(model: Model, inputs: Inputs, lengths: Array) -> Array:
    """Those of the first of the longest sequences; see `GradientFlow.jacobians`."""
    spec, T = model.spec, int(lengths.max())
    s, n = spec.history, spec.hidden_size * spec.states
    count = min(SAMPLE, max(1, MOST_NUMBERS // (T * (s * n) ** 2)))
    chosen = np.flatnonzero(lengths == T)[:count].astype(np.int64)
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
