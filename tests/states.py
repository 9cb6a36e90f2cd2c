"""What `hidden` has at steps that do not count."""

import numpy as np


def carried(counts, halves):
    """The last layer's states after every step, (T, width): carried on where a step does not
    count, zeros after the last one that does. ``halves``: of each direction the states before
    its first counted step and after each of them, on its way."""
    width = len(halves[0][0])
    result = np.zeros((len(counts), len(halves) * width))
    end = counts.nonzero()[0][-1] + 1 if counts.any() else 0
    for d, states in enumerate(halves):
        done = counts[::-1].cumsum()[::-1] if d else counts.cumsum()
        for t in range(end):
            result[t, d * width : (d + 1) * width] = states[done[t]]
    return result
