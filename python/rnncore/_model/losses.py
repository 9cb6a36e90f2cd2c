"""What Python knows of a loss: what the compiled core says of it, and how outputs are read."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from rnncore._runtime.builds import core
from rnncore._types import Array


def themselves(y: Array) -> Array:
    return y


def means(y: Array) -> Array:
    """The first half of the outputs."""
    return y[..., : y.shape[-1] // 2]


def logistic(of: ModuleType, y: Array) -> Array:
    p = np.empty_like(y)
    of.evaluate("logistic", y, p)
    return p


def softmax(of: ModuleType, y: Array) -> Array:
    p, most = np.empty_like(y), np.finfo(y.dtype).max / 2  # logits that overflowed count as that
    np.clip(y, -most, most, out=y)
    of.evaluate("exp", y - y.max(axis=-1, keepdims=True), p)
    p /= p.sum(axis=-1, keepdims=True)
    return p


class Reading(NamedTuple):
    """What a network's outputs (.., K) say, in the form of targets, and as probabilities."""

    prediction: Callable[[Array], Array] = themselves
    probabilities: Callable[[ModuleType, Array], Array] | None = None
    targets: str = "numbers"  # what they are called in an error


#: Of losses whose outputs are not what the targets are.
READINGS = {
    "bce": Reading(lambda y: (y >= 0).astype(int), logistic, "probabilities"),
    "cross_entropy": Reading(lambda y: y.argmax(axis=-1), softmax, "classes"),
    "poisson": Reading(np.exp, targets="counts"),
    "gaussian_nll": Reading(means),
}


class Loss(NamedTuple):
    """A loss of the core."""

    name: str
    number: int
    classes: bool  # a target is the number of a class
    outputs: int  # that belong to one target, unless that is a class
    low: float  # what a target may be, at least and at most
    high: float
    reading: Reading

    def targets(self, outputs: int) -> int:
        """How many targets belong to so many outputs."""
        return 1 if self.classes else outputs // self.outputs


LOSSES: dict[str, Loss] = {
    name: Loss(name, number, classes, outputs, low, high, READINGS.get(name, Reading()))
    for name, (number, classes, outputs, low, high) in core("float32").LOSSES.items()
}
