"""The layers of a model that is read, and whether it is their chain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import keras
import numpy as np

from rnncore._checks import arguments as check
from rnncore._keras.layers import ACTIVATIONS, CLASSES, Head, Layer
from rnncore._model.cells import logistic
from rnncore._model.parameters import detached
from rnncore._networks.network import Network
from rnncore._types import Array

#: What the activation of a read-out makes of logits, and the loss that goes with it.
LOSSES = {"linear": None, "sigmoid": "bce", "softmax": "cross_entropy"}
#: Layers that do nothing but in training, or tell which steps count.
SILENT = ("InputLayer", "Dropout", "Masking", "SpatialDropout1D", "ActivityRegularization")


def refuse(layer: Any, expected: str, got: str) -> NoReturn:
    kind = type(layer).__name__
    raise ValueError(
        f"model: the layer {layer.name!r} of type {kind}: expected {expected}, got {got}"
    )


def numbers(variable: Any) -> Array:
    values: Array = np.asarray(detached("model", keras.ops.convert_to_tensor(variable)))
    return values


def parts_of(model: Any) -> tuple[list[Layer], Head | None]:
    """Its recurrent layers and its read-out."""
    if not model.built:
        raise ValueError("model: expected a built model, got one without weights")
    layers: list[Layer] = []
    head = None
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in SILENT:
            continue
        if head is not None:
            refuse(layer, "nothing after the read-out", "another layer")
        if kind == "TimeDistributed":
            layer, kind = layer.layer, type(layer.layer).__name__
        if kind == "Dense" and layers:
            head = head_of(layer)
        elif kind in (*CLASSES, "Bidirectional"):
            if layers and not layers[-1].every_step:
                refuse(layer, "return_sequences=True in the layer below", "False")
            layers.append(layer_of(layer))
        else:
            refuse(layer, "SimpleRNN, LSTM, GRU, Bidirectional, Masking or a last Dense", kind)
    if not layers:
        raise ValueError("model: expected SimpleRNN, LSTM or GRU layers, got none")
    return layers, head


def layer_of(layer: Any) -> Layer:
    """A recurrent layer, or two in a Bidirectional."""
    if type(layer).__name__ != "Bidirectional":
        if layer.go_backwards:
            refuse(layer, "go_backwards=False", "True")
        return Layer(
            layer.name, type(layer).__name__, [weights_of(layer)], options_of(layer),
            layer.return_sequences, share_of(layer),
        )  # fmt: skip
    if layer.merge_mode != "concat":
        refuse(layer, "merge_mode='concat'", repr(layer.merge_mode))
    both = (layer.forward_layer, layer.backward_layer)
    kinds, options = [type(one).__name__ for one in both], [options_of(one) for one in both]
    if kinds[0] not in CLASSES or kinds[0] != kinds[1] or options[0] != options[1]:
        refuse(layer, "SimpleRNN, LSTM or GRU, alike in both directions", " and ".join(kinds))
    if [one.go_backwards for one in both] != [False, True]:
        refuse(layer, "a forward and a backward layer", "other directions")
    weights = [weights_of(one) for one in both]
    every_step, shares = both[0].return_sequences, {share_of(one) for one in both}
    share = shares.pop() if len(shares) == 1 else 0.0
    return Layer(layer.name, kinds[0], weights, options[0], every_step, share)


def share_of(layer: Any) -> float:
    """Its recurrent dropout: of 1, Keras drops nothing."""
    share = float(layer.cell.recurrent_dropout)
    return share if share < 1 else 0.0


def weights_of(layer: Any) -> tuple[Array, Array, Array | None]:
    bias = None if layer.cell.bias is None else numbers(layer.cell.bias)
    return numbers(layer.cell.kernel), numbers(layer.cell.recurrent_kernel), bias


def options_of(layer: Any) -> dict[str, Any]:
    """The arguments of the network's class."""
    kind, name = type(layer).__name__, function_of(layer, "activation")
    allowed = {"LSTM": ["tanh"], "GRU": ["tanh", "relu"]}.get(kind, list(ACTIVATIONS))
    if name not in allowed:
        refuse(layer, f"activation {' or '.join(allowed)}", name)
    if kind == "SimpleRNN":
        return {"nonlinearity": ACTIVATIONS[name]}
    gate = function_of(layer, "recurrent_activation")
    if gate != "sigmoid":
        refuse(layer, "recurrent_activation sigmoid", gate)
    if kind == "LSTM":
        return {}
    return {"nonlinearity": name, "reset": "after" if layer.reset_after else "before"}


def function_of(layer: Any, which: str) -> str:
    """The name of an activation."""
    name = keras.activations.serialize(getattr(layer, which))
    return name if isinstance(name, str) else check.shown(name)


def head_of(layer: Any) -> Head:
    name = function_of(layer, "activation")
    if name not in LOSSES:
        refuse(layer, "activation linear, sigmoid or softmax", name)
    return Head(numbers(layer.kernel).T, None if layer.bias is None else numbers(layer.bias), name)


def check_outputs(net: Network, model: Any, head: Head | None) -> None:
    """Raise an error where the model does not give the outputs of the network."""
    shape = [size or free for size, free in zip(model.input_shape, (2, 5, 0), strict=True)]
    x = np.random.default_rng(0).standard_normal(shape).astype(net.dtype)
    with at_rest(model):
        expected = numbers(model(x, training=False))
    y = net(x).y
    if head is not None and head.activation == "sigmoid":
        y = logistic(y)
    elif head is not None and head.activation == "softmax":
        y = np.exp(y - y.max(axis=-1, keepdims=True))
        y /= y.sum(axis=-1, keepdims=True)
    limit = 1e-4 * (1 + np.abs(y).max())  # some backends work in float32 whatever they are told
    if y.shape != expected.shape or not np.abs(y - expected).max() < limit:
        raise ValueError("model: expected a chain of its layers, got another function of its input")


@contextmanager
def at_rest(model: Any) -> Iterator[None]:
    """With the states of stateful layers zero; then they are what they were."""
    layers = [layer for layer in model.layers if getattr(layer, "stateful", False)]
    every = [
        one
        for layer in layers
        for one in (getattr(layer, "forward_layer", layer), getattr(layer, "backward_layer", layer))
    ]
    states = {id(state): state for layer in every for state in layer.states or ()}.values()
    kept = [numbers(state).copy() for state in states]
    for state, values in zip(states, kept, strict=True):
        state.assign(np.zeros_like(values))
    try:
        yield
    finally:
        for state, values in zip(states, kept, strict=True):
            state.assign(values)
