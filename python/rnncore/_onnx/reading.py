"""A network from an ONNX graph.

The recurrent nodes become layers, and the constants of a product after the last of them the
read-out. Whatever else there is (transposes, reshapes, slices) is not interpreted but run, on
random numbers: the network has to come to the values of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

from rnncore._checks import arguments as check
from rnncore._networks.network import Network
from rnncore._onnx.graph import RECURRENT, Graph, told
from rnncore._onnx.layers import suffixes
from rnncore._onnx.nodes import CLASSES, Layer, layer_of, refusal
from rnncore._types import Array

#: Sequences and steps of the random numbers, where a graph leaves them open.
PROBES = ((2, 3), (3, 5))
#: By how much values may differ that are formed in another order, relative to the largest.
CLOSE = {"float32": 1e-4, "float64": 1e-10}


class Head(NamedTuple):
    weight: Array  # (K, directions H)
    bias: Array | None  # (K,)


class Probe(NamedTuple):
    """What the graph makes of random numbers."""

    x: Array  # (B, T, D)
    y: Array  # in the graph's own layout
    firsts: list[list[Array | None]]  # of every layer h and c, (B, directions, H); None: an input


def taken(model: Any) -> Any:
    """The ModelProto."""
    path = None if isinstance(model, onnx.ModelProto | bytes) else check.path(model, "model")
    try:
        if path is not None:
            model = onnx.load_model(path)
        elif isinstance(model, bytes):
            model = onnx.load_model_from_string(model)
        onnx.checker.check_model(model)
    except OSError:
        raise
    except Exception as error:  # of the package's own kinds
        raise ValueError(f"model: expected an ONNX model, got {error}") from error
    return model


def network_of(model: Any, output: str | None, loss: str | None) -> Network:
    names = [value.name for value in model.graph.output]
    if not names:
        raise ValueError("model: expected a graph with an output, got one without")
    graph = Graph(model, check.choice("output", names[0] if output is None else output, names))
    layers = [layer_of(graph, node) for node in graph.nodes if node.op_type in RECURRENT]
    check_alike(layers)
    check_chain(graph, layers)
    head = head_of(graph, layers[-1])
    probes = [probe(graph, layers, *size) for size in sizes_of(graph, layers[0])]
    start = start_of(layers, probes)
    for readout in ("all", "last"):
        net = assembled(layers, head, start, readout, loss)
        if agrees(net, probes):
            return net
    hint = ""
    if net.config["bidirectional"]:
        hint = " (at the last step, the reverse direction has only begun: take its final state)"
    raise ValueError(
        f"model: expected the output {graph.output!r} to be the states of the last layer, or a "
        "linear read-out of them, after every step or of each direction after its last one, got "
        f"another function of them{hint}"
    )


# ---- layers --------------------------------------------------------------------------


def check_alike(layers: list[Layer]) -> None:
    """All must be layers of one network."""
    first = layers[0]
    for layer in layers[1:]:
        if layer.node.op_type != first.node.op_type:
            expected = f"{first.node.op_type} as the first recurrent node"
            raise refusal(layer.node, expected, layer.node.op_type)
        for name, value in layer.net.config.items():
            if name not in ("input_size", "bias") and value != first.net.config[name]:
                expected = f"{name} {first.net.config[name]!r} as of the first recurrent node"
                raise refusal(layer.node, expected, repr(value))


def check_chain(graph: Graph, layers: list[Layer]) -> None:
    """Each layer must read the one before, the first one an input."""
    below = {layer.y for layer in layers[:-1]}
    before = ""
    for layer in layers:
        sources = graph.sources.get(layer.x, set())
        expected = sources <= set(graph.inputs) if layer is layers[0] else sources == {before}
        if len(sources) != 1 or not expected:
            what = "an input of the graph" if layer is layers[0] else f"{before!r}, the layer below"
            raise refusal(layer.node, f"X from {what}", ", ".join(sorted(sources)) or "a constant")
        before = layer.y or layer.node.name
        for name in [*layer.states, layer.lengths]:
            if graph.sources.get(name, set()) & (below | {layer.y}):
                raise refusal(layer.node, "states and lengths from inputs", repr(name))
    lengths = set().union(*(graph.sources.get(layer.lengths, set()) for layer in layers))
    read = graph.sources[graph.output]
    if before not in read or not read <= below | {before} | lengths:
        raise ValueError(
            f"model: expected the output {graph.output!r} to be made of the last recurrent node, "
            f"{told(layers[-1].node)}, alone"
        )


# ---- read-out ------------------------------------------------------------------------


def head_of(graph: Graph, last: Layer) -> Head | None:
    """The product after the last recurrent node, if there is one."""
    weight, bias = None, None
    name = last.y or last.node.name
    for node in graph.nodes:
        if name not in graph.sources.get(node.output[0], set()) or node.op_type in RECURRENT:
            continue
        if node.op_type in ("MatMul", "Gemm"):
            if weight is not None:
                raise refusal(node, "one product after the last layer", "another")
            weight, bias = product(graph, node)
        elif node.op_type == "Add":
            if bias is not None:
                raise refusal(node, "one bias of the read-out", "another")
            bias = next((graph.constants[n] for n in node.input if n in graph.constants), None)
            if bias is None or weight is None:
                raise refusal(node, "a constant, after the product of the read-out", "other values")
    if weight is None:
        return None
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), len(weight))
    return Head(weight, bias)


def product(graph: Graph, node: Any) -> tuple[Array, Array | None]:
    """W_y and b_y of a MatMul or Gemm."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    weight = graph.constants.get(node.input[1])
    if weight is None or weight.ndim != 2 or given.get("transA", 0):
        raise refusal(node, "states times a constant matrix", "another product")
    if node.op_type == "MatMul":
        return weight.T, None
    weight = weight * np.asarray(given.get("alpha", 1.0), weight.dtype)
    bias = graph.constants.get(node.input[2]) if len(node.input) > 2 else None
    if bias is None and len(node.input) > 2 and node.input[2]:
        raise refusal(node, "a constant bias", repr(node.input[2]))
    if bias is not None:
        bias = bias * np.asarray(given.get("beta", 1.0), bias.dtype)
    return weight if given.get("transB", 0) else weight.T, bias


# ---- what the graph does -------------------------------------------------------------


def sizes_of(graph: Graph, first: Layer) -> Iterator[tuple[int, ...]]:
    """Shapes of the input for the probes, without the last axis: declared, or any."""
    (name,) = graph.sources[first.x]
    declared = [d.dim_value for d in graph.inputs[name].type.tensor_type.shape.dim][:2]
    declared = [*declared, 0, 0][:2]
    seen = []
    for size in PROBES:
        given = tuple(fixed or free for fixed, free in zip(declared, size, strict=True))
        if given not in seen:
            seen.append(given)
            yield given


def probe(graph: Graph, layers: list[Layer], *size: int) -> Probe:
    """Run the graph on random numbers."""
    rng, first = np.random.default_rng(0), layers[0]
    (name,) = graph.sources[first.x]
    spec = first.net._model.spec
    kind = helper.tensor_dtype_to_np_dtype(graph.inputs[name].type.tensor_type.elem_type)
    tokens = kind.kind in "iu"
    rows = rng.standard_normal((*size, spec.input_size)).astype(spec.dtype)
    given = rng.integers(0, spec.input_size, size).astype(kind) if tokens else rows.astype(kind)
    if tokens:
        rows = np.eye(spec.input_size, dtype=spec.dtype)[given]
    by_node = {id(layer.node): layer for layer in layers}

    def run(node: Any, inputs: list[Array | None]) -> list[Array]:
        try:
            return by_node[id(node)].run(inputs)
        except (TypeError, ValueError) as error:
            raise refusal(node, "inputs that fit it", str(error)) from error

    x = graph.values(first.x, {name: given}, run)[first.x]
    x = x if first.batch_first else x.swapaxes(0, 1)
    if not any(same(x, form) for form in (rows, rows.swapaxes(0, 1))):
        raise refusal(
            first.node, f"X to be the input {name!r}, or its one-hot rows", "other values"
        )
    inputs = {name: given}
    for other, value in graph.inputs.items():
        if other != name:
            kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            dims = [d.dim_value or len(x) for d in value.type.tensor_type.shape.dim]
            is_lengths = any(other in graph.sources.get(r.lengths, set()) for r in layers)
            inputs[other] = np.full(dims, x.shape[1] if is_lengths else 0, kind)
    values = graph.values(graph.output, inputs, run)
    firsts = [[given_state(graph, r, values, n, len(x)) for n in r.states] for r in layers]
    check_lengths(layers, values, x.shape[1])
    return Probe(x, values[graph.output], firsts)


def given_state(
    graph: Graph, layer: Layer, values: dict[str, Array], name: str, count: int
) -> Array | None:
    """h or c before the first step, where it is none of the inputs."""
    if graph.sources.get(name):
        return None
    H, directions = layer.net.hidden_size, layer.net._model.spec.directions
    if not name:
        return np.zeros((count, directions, H))
    return values[name] if layer.batch_first else values[name].swapaxes(0, 1)


def check_lengths(layers: list[Layer], values: dict[str, Array], steps: int) -> None:
    for layer in layers:
        if layer.lengths and (values[layer.lengths] != steps).any():
            raise refusal(layer.node, "lengths from an input", f"{values[layer.lengths].tolist()}")


def same(a: Array, b: Array) -> bool:
    return a.shape == b.shape and bool((a == b).all())


# ---- the network ---------------------------------------------------------------------


def start_of(layers: list[Layer], probes: list[Probe]) -> list[Array] | None:
    """h0, or h0 and c0, where constant states other than zero come before the first step."""
    given = [part for p in probes for states in p.firsts for part in states if part is not None]
    if not any(part.any() for part in given):
        return None
    for p in probes:
        for layer, states in zip(layers, p.firsts, strict=True):
            if any(part is None or (part != part[:1]).any() for part in states):
                raise refusal(layer.node, "the same first states for all sequences", "others")
    firsts = probes[0].firsts
    return [
        np.concatenate([states[k][0] for states in firsts])  # type: ignore[index]
        for k in range(len(firsts[0]))
    ]


def assembled(
    layers: list[Layer], head: Head | None, start: list[Array] | None, readout: str,
    loss: str | None,
) -> Network:  # fmt: skip
    """The network of all layers."""
    config = layers[0].net.config
    biased = any(layer.biased for layer in layers)
    own = None if head is None or (head.bias is not None) == biased else head.bias is not None
    config |= {
        "num_layers": len(layers), "output_size": None if head is None else len(head.weight),
        "readout": readout, "bias": biased, "readout_bias": own, "loss": loss,
        "trainable_h0": start is not None,
    }  # fmt: skip
    net = CLASSES[layers[0].node.op_type](**config, seed=0)
    directions = net._model.spec.directions
    values = {name: np.zeros(shape) for name, shape in net._model.shapes.items()}
    for k, layer in enumerate(layers):
        for mine, its in zip(suffixes(k, directions), suffixes(0, directions), strict=True):
            for name, array in layer.net.parameters().items():
                if name.endswith(its):
                    values[name.removesuffix(its) + mine] = array
    if head is not None:
        values["head.weight"] = head.weight
        if head.bias is not None:
            values["head.bias"] = head.bias
    if start is not None:
        values |= dict(zip(("h0", "c0"), start, strict=False))
    net.load_state_dict(values)
    return net


def agrees(net: Network, probes: list[Probe]) -> bool:
    """Whether the network gives the values of the graph."""
    for p in probes:
        y = net(p.x, h0=zeros_for(net, p)).y
        forms = [y, y.swapaxes(0, 1)] if net.readout == "all" else [y, y[None], y[:, None]]
        limit = CLOSE[net.dtype.name] * (1 + np.abs(y).max())
        if not any(form.shape == p.y.shape and np.abs(form - p.y).max() < limit for form in forms):
            return False
    return True


def zeros_for(net: Network, p: Probe) -> Any:
    """The states that the graph was given as inputs."""
    if all(part is not None for states in p.firsts for part in states):
        return None
    spec = net._model.spec
    zeros = np.zeros((len(p.x), spec.state_rows, spec.hidden_size))
    return (zeros, zeros) if spec.states == 2 else zeros
