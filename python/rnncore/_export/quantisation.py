"""Weights as 8-bit integers, and what that costs."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from rnncore._calls.running import outputs_of
from rnncore._export.report import Accuracy
from rnncore._networks.network import Network
from rnncore._types import Array

#: The largest integer that stands for a weight; -128 is not used.
MOST = 127

#: Losses whose predictions are classes, which two networks share or not.
CLASSIFYING = ("bce", "cross_entropy")


def quantised(matrix: Array) -> tuple[Array, Array]:
    """Integers (rows, columns) and a scale (rows,) of each row, whose product is close to the
    matrix: the largest weight of a row becomes 127 or -127, a row of zeros has the scale 0."""
    values = matrix.astype(np.float64)
    scales = np.abs(values).max(axis=1) / MOST
    integers = np.rint(values / np.where(scales > 0, scales, 1)[:, None])
    return np.clip(integers, -MOST, MOST).astype(np.int8), scales.astype(np.float32)


def is_matrix(name: str) -> bool:
    """Whether a parameter is one of the matrices, which are quantised; biases and h0 are not."""
    return "weight" in name


def rounded(net: Network) -> Network:
    """A copy of the network with the weights that the integers stand for."""
    twin = deepcopy(net)
    values = twin.state_dict()
    for name, matrix in values.items():
        if is_matrix(name):
            integers, scales = quantised(matrix)
            matrix[...] = integers * scales[:, None].astype(np.float64)
    twin.load_state_dict(values)
    return twin


def accuracy(net: Network, x: Any, y: Any) -> Accuracy:
    """How outputs, predictions and loss of the network change with its weights rounded."""
    twin, loss = rounded(net), net._model.spec.loss
    before, counted = outputs_of(net._model, x, None, None, None, None)
    after, _ = outputs_of(twin._model, x, None, None, None, None)
    if counted is not None:
        before, after = before[counted], after[counted]
    difference = np.abs(after.astype(np.float64) - before)
    equal = None
    if loss is not None and loss.name in CLASSIFYING:
        prediction = loss.reading.prediction
        equal = float((prediction(before) == prediction(after)).mean())
    return Accuracy(
        largest=float(difference.max()),
        mean=float(difference.mean()),
        equal=equal,
        loss=None if y is None else float(net.loss(x, y)),
        loss_after=None if y is None else float(twin.loss(x, y)),
    )
