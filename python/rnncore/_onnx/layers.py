"""Layers as ONNX has them: gates in other orders, both biases in one tensor, names of functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from rnncore._types import Array

#: Which of our blocks comes at each place of a node's weights: i o f c, and z r h.
ORDERS: dict[str, tuple[int, ...]] = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}

#: Nonlinearities by the names of ONNX; "Affine" with alpha 1 and beta 0 is the identity.
FUNCTIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid", "identity": "Affine"}

#: The parameters of a layer in one direction, without the ends of their names.
PARTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def suffixes(layer: int, directions: int) -> tuple[str, ...]:
    return (f"_l{layer}", f"_l{layer}_reverse")[:directions]


def to_node(kind: str, values: Array) -> Array:
    """Rows (G H, ...) in a node's order."""
    blocks = np.split(values, len(ORDERS[kind]))
    return np.concatenate([blocks[k] for k in ORDERS[kind]])


def from_node(kind: str, values: Array) -> Array:
    """And back."""
    blocks = np.split(values, len(ORDERS[kind]))
    return np.concatenate([blocks[k] for k in np.argsort(ORDERS[kind])])


def node_weights(
    kind: str, parameters: Mapping[str, Array], ends: Sequence[str]
) -> tuple[Array, Array, Array | None]:
    """W (directions, G H, D), R (directions, G H, H) and B (directions, 2 G H) of a layer whose
    parameters' names have these ends."""

    def both(part: str) -> Array:
        return np.stack([to_node(kind, parameters[part + end]) for end in ends])

    if "bias_ih" + ends[0] not in parameters:
        return both("weight_ih"), both("weight_hh"), None
    bias = np.concatenate([both("bias_ih"), both("bias_hh")], axis=1)
    return both("weight_ih"), both("weight_hh"), bias


def layer_parameters(
    kind: str, ends: Sequence[str], weights: tuple[Array, Array, Array | None]
) -> Iterator[tuple[str, Array]]:
    """From W, R and B to our parameters by name. Without B, biases are zero."""
    w, r, b = weights
    halves = np.zeros((2, *w.shape[:2]), w.dtype) if b is None else np.split(b, 2, axis=1)
    for d, end in enumerate(ends):
        for part, values in zip(PARTS, (w, r, *halves), strict=True):
            yield part + end, from_node(kind, values[d])
