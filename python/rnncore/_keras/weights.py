"""The layers of a file of weights."""

from __future__ import annotations

import re
from typing import Any

import h5py

from rnncore._keras.layers import Head, Layer, network_of
from rnncore._networks.network import Network
from rnncore._types import Array


def network_of_weights(path: str, loss: str | None, given: dict[str, Any]) -> Network:
    try:
        with h5py.File(path) as file:
            layers, head = parts_of_weights(file["layers"], given)
    except (OSError, KeyError) as error:
        raise ValueError(f"model: expected weights of Keras, got {path!r}: {error}") from error
    return network_of(layers, head, given.get("readout", "last"), loss)


def parts_of_weights(groups: Any, given: dict[str, Any]) -> tuple[list[Layer], Head | None]:
    """What the groups of a file have: cells under their layers' names, which are numbered."""
    layers, head = [], None
    for name in sorted(groups, key=number_of):
        group = groups[name]
        cells = [group[at]["cell"] for at in ("forward_layer", "backward_layer") if at in group]
        cells = cells or ([group["cell"]] if "cell" in group else [])
        arrays = [[cell["vars"][key][()] for key in sorted(cell["vars"])] for cell in cells]
        if arrays:
            layers.append(layer_of_arrays(name, arrays, given))
        elif list(group["vars"]):
            if head is not None:
                raise ValueError(f"model: expected one layer with other weights, got also {name!r}")
            kernel, *bias = (group["vars"][key][()] for key in sorted(group["vars"]))
            head = Head(kernel.T, bias[0] if bias else None)
    if not layers:
        raise ValueError("model: expected weights of SimpleRNN, LSTM or GRU, got none")
    return layers, head


def number_of(name: str) -> int:
    """At its end: Keras counts layers of a kind, the first without a number."""
    return int((re.findall(r"_(\d+)$", name) or [0])[0])


def layer_of_arrays(name: str, arrays: list[list[Array]], given: dict[str, Any]) -> Layer:
    """A layer from kernel, recurrent kernel and, if there is one, bias of each direction."""
    _, recurrent, *bias = arrays[0]
    blocks = recurrent.shape[1] / recurrent.shape[0]
    kinds = {1: "SimpleRNN", 4: "LSTM", 3: "GRU"}
    if blocks not in kinds:
        raise ValueError(f"model: the layer {name!r}: got a recurrent kernel {recurrent.shape}")
    kind = kinds[int(blocks)]
    options = {} if kind == "LSTM" else {"nonlinearity": given.get("nonlinearity", "tanh")}
    if kind == "GRU":
        options["reset"] = given.get("reset", "after")
        if bias:
            options["reset"] = "after" if bias[0].ndim == 2 else "before"
    return Layer(name, kind, [(k, r, b[0] if b else None) for k, r, *b in arrays], options)
