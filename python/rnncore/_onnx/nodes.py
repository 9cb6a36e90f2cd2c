"""Recurrent nodes that are read: each as a network of one layer, or an error that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import helper

from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN
from rnncore._onnx.graph import Graph, told
from rnncore._onnx.layers import FUNCTIONS, ORDERS, layer_parameters, suffixes
from rnncore._types import Array

CLASSES: dict[str, type[Network]] = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}

#: The activations of one direction where a node names none, and what may stand in their places.
USUAL = {
    "RNN": [["Tanh", "Relu", "Sigmoid", "Affine"]],
    "LSTM": [["Sigmoid"], ["Tanh"], ["Tanh"]],
    "GRU": [["Sigmoid"], ["Tanh", "Relu"]],
}


@dataclass
class Layer:
    """A recurrent node.

    Attributes
    ----------
    net : Network
        Of one layer, without a read-out.
    batch_first : bool
        Its layout.
    biased : bool
        Whether it has biases.
    x, y, lengths : str
        Names of values; "" where it has none.
    states : list of str
        Of the values before the first step, h and c.
    """

    node: Any
    net: Network
    batch_first: bool
    biased: bool
    x: str
    y: str
    lengths: str
    states: list[str]

    def run(self, inputs: list[Array | None]) -> list[Array]:
        """Y, Y_h and, of an LSTM, Y_c."""
        x, lengths, h0 = inputs[0], (inputs[4:5] or [None])[0], [*inputs[5:7], None, None]
        assert x is not None
        axes = (0, 1, 2) if self.batch_first else (1, 0, 2)
        pair = [h0[k] for k in range(self.net._model.spec.states)]
        first = None
        if any(part is not None for part in pair):
            shape = (x.shape[axes[0]], self.net._model.spec.passes, self.net.hidden_size)
            full = [np.zeros(shape) if h is None else h.transpose(axes) for h in pair]
            first = tuple(full) if len(full) == 2 else full[0]
        out = self.net(x.transpose(axes), h0=first, lengths=lengths)
        hidden = out.hidden.reshape(*out.hidden.shape[:2], -1, self.net.hidden_size)
        final = out.final if isinstance(out.final, tuple) else (out.final,)
        y = hidden if self.batch_first else hidden.transpose(1, 2, 0, 3)
        return [y, *(part.transpose(axes) for part in final)]


def layer_of(graph: Graph, node: Any) -> Layer:
    """A recurrent node as a layer.

    Raises
    ------
    ValueError
        Naming the node and what it has that a network does not have.
    """
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    names = [*node.input, *[""] * 8][:8]
    x, w_name, r_name, b_name, lengths, h0, c0, peepholes = names
    for name in ("clip", "input_forget"):
        if given.get(name):
            raise refusal(node, f"no {name}", f"{name}={given[name]:g}")
    if peepholes:
        raise refusal(node, "no peepholes", "the input P")
    direction = given.get("direction", b"forward").decode()
    if direction == "reverse":
        raise refusal(node, "direction forward or bidirectional", "reverse")
    weights = [constant(graph, node, name, name_of) for name, name_of in
               ((w_name, "W"), (r_name, "R"))]  # fmt: skip
    bias = constant(graph, node, b_name, "B") if b_name else None
    w, r = weights
    if w.dtype not in (np.float32, np.float64):
        raise refusal(node, "float32 or float64", str(w.dtype))
    kind, directions = node.op_type, 2 if direction == "bidirectional" else 1
    D, H = (values.shape[-1] if values.ndim else 0 for values in weights)
    rows = len(ORDERS[kind]) * H
    check_shape(node, "W", w, (directions, rows, D))
    check_shape(node, "R", r, (directions, rows, H))
    if bias is not None:
        check_shape(node, "B", bias, (directions, 2 * rows))
    options: dict[str, Any] = own_options(node, kind, given, directions)
    net = CLASSES[kind](
        D, H, None, bias=bias is not None, readout="all", dtype=w.dtype,
        bidirectional=directions == 2, seed=0, **options,
    )  # fmt: skip
    found = dict(layer_parameters(kind, suffixes(0, directions), (w, r, bias)))
    net.load_state_dict({name: found[name] for name in net._model.shapes})
    return Layer(
        node, net, bool(given.get("layout", 0)), bias is not None, x, (*node.output, "")[0],
        lengths, [h0, c0][: net._model.spec.states],
    )  # fmt: skip


def check_shape(node: Any, name: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise refusal(node, f"{name} of shape {shape}", str(values.shape))


def constant(graph: Graph, node: Any, name: str, what: str) -> Array:
    if name not in graph.constants:
        raise refusal(node, f"a constant {what}", f"{name!r}, which depends on inputs")
    values: Array = graph.constants[name]
    return values


def own_options(node: Any, kind: str, given: dict[str, Any], directions: int) -> dict[str, Any]:
    """The arguments that the class of network has for a node's attributes."""
    places = USUAL[kind] * directions
    default = [place[0] for place in places]
    names = [name.decode().capitalize() for name in given.get("activations", [])] or default
    for at, name in enumerate(names):
        if len(names) != len(places) or name not in places[at]:
            usual = " ".join("|".join(place) for place in places)
            raise refusal(node, f"activations {usual}", " ".join(names))
    if names[: len(names) // directions] * directions != names:
        raise refusal(node, "the same activations in both directions", " ".join(names))
    alphas = [*given.get("activation_alpha", [])], [*given.get("activation_beta", [])]
    if "Affine" in names and alphas != ([1.0] * directions, [0.0] * directions):
        raise refusal(node, "alpha 1 and beta 0 of Affine", f"{alphas[0]} and {alphas[1]}")
    if kind == "LSTM":
        return {}
    own = {other: name for name, other in FUNCTIONS.items()}[names[-1]]
    if kind == "RNN":
        return {"nonlinearity": own}
    reset = "after" if given.get("linear_before_reset", 0) else "before"
    return {"nonlinearity": own, "reset": reset}


def refusal(node: Any, expected: str, got: str) -> ValueError:
    return ValueError(f"model: {told(node)}: expected {expected}, got {got}")
