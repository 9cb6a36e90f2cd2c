"""The JSON that RTNeural loads: weights in the layout of Keras, which has gates in columns."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from rnncore._model.model import Model
from rnncore._types import Array

#: The gates of each cell in the order of RTNeural, by their places here.
GATES = {"GRU": (1, 0, 2), "LSTM": (0, 1, 2, 3)}


def as_json(model: Model) -> str:
    """The text of the file."""
    check_options(model)
    p, spec = model.parameters, model.spec
    layers = [recurrent_layer(model, f"_l{k}") for k in range(spec.passes)]
    if "head.weight" in p:
        bias = p.get("head.bias", np.zeros(spec.outputs, spec.dtype))
        layers.append(layer("dense", "", spec.outputs, p["head.weight"].T, bias))
    return json.dumps({"in_shape": [None, None, spec.input_size], "layers": layers})


def check_options(model: Model) -> None:
    """Raise an error for what RTNeural cannot compute."""
    kind, config = model.cell.name, model.config
    if kind not in GATES:
        raise ValueError(f"net: expected a GRU or LSTM for RTNeural, which has no {kind}")
    known = {"nonlinearity": ("tanh",), "reset": ("after",), "readout": ("last", "all")}
    for name, values in known.items():
        if config.get(name, values[0]) not in values:
            expected = " or ".join(map(repr, values))
            raise ValueError(f"{name}: expected {expected} for RTNeural, got {config[name]!r}")
    for name in ("h0", "c0"):
        if model.parameters.get(name, np.zeros(1)).any():
            raise ValueError(
                f"trainable_h0: expected zeros in parameters()[{name!r}] for RTNeural, whose "
                "states begin with zeros"
            )


def recurrent_layer(model: Model, suffix: str) -> dict[str, Any]:
    p, spec, kind = model.parameters, model.spec, model.cell.name
    order = list(GATES[kind])

    def columns(name: str) -> Array:
        """A parameter with the gates in the order of RTNeural, along its last axis."""
        rows = p.get(name + suffix, np.zeros(model.cell.blocks * spec.hidden_size, spec.dtype))
        blocks: Array = rows.reshape(model.cell.blocks, spec.hidden_size, *rows.shape[1:])
        return blocks[order].reshape(rows.shape).T

    biases = np.stack([columns("bias_ih"), columns("bias_hh")])
    bias = biases.sum(axis=0) if kind == "LSTM" else biases
    weights = columns("weight_ih"), columns("weight_hh"), bias
    return layer(kind.lower(), "tanh", spec.hidden_size, *weights)


def layer(kind: str, activation: str, size: int, *weights: Array) -> dict[str, Any]:
    return {
        "type": kind,
        "activation": activation,
        "shape": [None, None, size],
        "weights": [numbers(values) for values in weights],
    }


def numbers(values: Array) -> Any:
    """Nested lists; a float32 as the shortest decimal that is read as the same float32."""
    if values.ndim > 1:
        return [numbers(row) for row in values]
    return [float(str(value)) for value in values]
