"""The loss as a function of the parameters."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._calls.running import Function


class Objective:
    """``objective(flat) -> (loss, gradient)``; see `rnncore.RNN.objective`."""

    def __init__(self, net: Function, x: Any, y: Any, options: dict[str, Any]) -> None:
        self._net = copy.deepcopy(net)
        self._x, self._y, self._options = x, y, options
        self(self._net.flat)  # errors now, not within somebody else's loop

    def __call__(self, flat: Array) -> tuple[float, Array]:
        values = check.array("flat", flat)
        check.same_shape("flat", values, self._net.flat.shape)
        with np.errstate(over="ignore"):
            self._net.flat[:] = values
        loss, grads = self._net.loss_and_grad(self._x, self._y, **self._options)
        return loss, np.concatenate([g.ravel() for g in grads.values()]).astype(np.float64)
