"""States of networks: an array, or of an LSTM a pair of them."""

import numpy as np


def carried(counts, halves):
    """The last layer's states after every step, (T, width): carried on where a step does not
    count, zeros after the last one that does. ``halves``: of each direction the states before
    its first counted step and after each of them, on its way."""
    width = len(halves[0][0])
    kind = np.result_type(float, np.array(halves).dtype)
    result = np.zeros((len(counts), len(halves) * width), kind)
    end = counts.nonzero()[0][-1] + 1 if counts.any() else 0
    for d, states in enumerate(halves):
        done = counts[::-1].cumsum()[::-1] if d else counts.cumsum()
        for t in range(end):
            result[t, d * width : (d + 1) * width] = states[done[t]]
    return result


def parts(state):
    """The arrays of a state."""
    return state if isinstance(state, tuple) else (state,)


def row(state, s):
    """The state of one sequence, as a stream takes it."""
    return tuple(part[s] for part in state) if isinstance(state, tuple) else state[s]


def same(a, b):
    """Whether two arrays or states have the same types, shapes and bits."""
    return all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(parts(a), parts(b), strict=True)
    )
