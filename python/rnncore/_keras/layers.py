"""Layers as Keras has them, and the network that they make."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN
from rnncore._types import Array

CLASSES: dict[str, type[Network]] = {"SimpleRNN": RNN, "LSTM": LSTM, "GRU": GRU}
ACTIVATIONS = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "linear": "identity"}
SUFFIXES = ("", "_reverse")


@dataclass
class Layer:
    """A recurrent layer: of each direction kernel (D, G H), recurrent kernel (H, G H), bias."""

    name: str
    kind: str
    weights: list[tuple[Array, Array, Array | None]]
    options: dict[str, Any] = field(default_factory=dict)
    every_step: bool = True
    recurrent_dropout: float = 0.0

    @property
    def form(self) -> dict[str, Any]:
        """What all layers of a network have in common."""
        kernel, recurrent, _ = self.weights[0]
        return {
            "type": self.kind, "units": len(recurrent), "directions": len(self.weights),
            "dtype": kernel.dtype.name, **self.options,
        }  # fmt: skip


@dataclass
class Head:
    weight: Array  # (K, directions H)
    bias: Array | None
    activation: str = "linear"


def network_of(layers: list[Layer], head: Head | None, readout: str, loss: str | None) -> Network:
    first = layers[0]
    for layer in layers[1:]:
        for name, value in layer.form.items():
            if value != first.form[name]:
                raise ValueError(
                    f"model: the layer {layer.name!r}: expected {name} {first.form[name]!r} as of "
                    f"the layer {first.name!r}, got {value!r}"
                )
    kernel, recurrent, _ = first.weights[0]
    biased = any(layer.weights[0][2] is not None for layer in layers)
    shares = {layer.recurrent_dropout for layer in layers}
    own = None if head is None or (head.bias is not None) == biased else head.bias is not None
    net = CLASSES[first.kind](
        len(kernel), len(recurrent), None if head is None else len(head.weight),
        num_layers=len(layers), bidirectional=len(first.weights) == 2, readout=readout, loss=loss,
        bias=biased, readout_bias=own,
        dtype=kernel.dtype, seed=0, recurrent_dropout=shares.pop() if len(shares) == 1 else 0.0,
        **first.options,
    )  # fmt: skip
    values = {name: np.zeros(shape) for name, shape in net._model.shapes.items()}
    for k, layer in enumerate(layers):
        for end, (kernel, recurrent, bias) in zip(SUFFIXES, layer.weights, strict=False):
            given = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
            if bias is not None:  # one bias is that of the input's product
                rows = bias.reshape(-1, kernel.shape[1])
                given |= dict(zip(("bias_ih", "bias_hh"), rows, strict=False))
            values |= {f"{name}_l{k}{end}": swapped(first.kind, v) for name, v in given.items()}
    if head is not None:
        values["head.weight"] = head.weight
        if head.bias is not None:
            values["head.bias"] = head.bias
    net.load_state_dict(values)
    return net


def swapped(kind: str, values: Array) -> Array:
    """Rows of a GRU's gates z r h in the order r z n, or back; others have the same order."""
    if kind != "GRU":
        return values
    z, r, n = np.split(values, 3)
    return np.concatenate([r, z, n])
