"""Functions of a cell in numpy, for what is looked at and not trained."""

from __future__ import annotations

import numpy as np

from rnncore._types import Array


def logistic(a: Array) -> Array:
    """1 / (1 + exp(-a)), without overflow."""
    result: Array = np.exp(-np.logaddexp(0, -a))
    return result
