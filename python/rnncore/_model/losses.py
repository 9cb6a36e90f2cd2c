"""Losses: what the compiled core says of them, and what outputs mean under each."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from rnncore._runtime.builds import core
from rnncore._types import Array


def unchanged(y: Array) -> Array:
    return y


def means(y: Array) -> Array:
    """The first half of the outputs."""
    return y[..., : y.shape[-1] // 2]


def logistic(core: ModuleType, y: Array) -> Array:
    p = np.empty_like(y)
    core.evaluate("logistic", y, p)
    return p


def softmax(core: ModuleType, y: Array) -> Array:
    p, most = np.empty_like(y), np.finfo(y.dtype).max / 2  # infinite logits are taken as this
    np.clip(y, -most, most, out=y)
    core.evaluate("exp", y - y.max(axis=-1, keepdims=True), p)
    p /= p.sum(axis=-1, keepdims=True)
    return p


class Reading(NamedTuple):
    """How the outputs (..., K) of a network are read: as predictions and as probabilities."""

    prediction: Callable[[Array], Array] = unchanged  # in the form of targets
    probabilities: Callable[[ModuleType, Array], Array] | None = None
    targets: str = "numbers"  # what the targets are called in an error


#: numpy takes 2 us to make an array of Python's 0.
ZERO = np.zeros((), np.float32)

#: Of the losses whose predictions are not the outputs themselves.
READINGS = {
    "bce": Reading(lambda y: (y >= ZERO).astype(int), logistic, "probabilities"),
    "cross_entropy": Reading(lambda y: y.argmax(axis=-1), softmax, "classes"),
    "poisson": Reading(np.exp, targets="counts"),
    "gaussian_nll": Reading(means),
}


class Loss(NamedTuple):
    """A loss of the core."""

    name: str
    number: int  # by which the core knows it
    classes: bool  # whether a target is the number of a class
    outputs: int  # that belong to one target, unless that is a class
    low: float  # the least and the largest value of a target
    high: float
    reading: Reading

    def targets(self, outputs: int) -> int:
        """How many targets belong to so many outputs."""
        return 1 if self.classes else outputs // self.outputs


LOSSES: dict[str, Loss] = {
    name: Loss(name, number, classes, outputs, low, high, READINGS.get(name, Reading()))
    for name, (number, classes, outputs, low, high) in core("float32").LOSSES.items()
}
