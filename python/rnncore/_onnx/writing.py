"""A network as an ONNX graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rnncore._networks.network import Network
from rnncore._onnx.layers import FUNCTIONS, node_weights, suffixes
from rnncore._types import Array
from rnncore._version import __version__


class Writer:
    """The nodes and tensors of a graph, put together from its input on.

    Values are known by their names. The recurrent nodes work time first, (T, B, D), whatever the
    graph's input is: onnxruntime takes no other layout.
    """

    def __init__(self, net: Network, dtype: np.dtype[Any]) -> None:
        self.net, self.dtype = net, dtype
        self.kind: str = net._cell.name
        self.spec = net._model.spec
        self.parameters = {k: v.astype(dtype) for k, v in net._model.parameters.items()}
        self.nodes: list[Any] = []
        self.tensors: dict[str, Array] = {}

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """A node with one output, and the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def tensor(self, name: str, values: Any) -> str:
        self.tensors[name] = np.asarray(values)
        return name

    def numbers(self, *values: int) -> str:
        """A vector of integers."""
        return self.tensor("ints_" + "_".join(map(str, values)).replace("-", "m"), values)

    # ---- from x to the states ---------------------------------------------------------

    def recurrent(self, tokens: bool, states: bool, lengths: bool) -> None:
        """ "hidden" (B, T, directions H), and "final" and "final_c" (B, R, H)."""
        x = self.add("Transpose", ["one_hot" if tokens else "x"], "x_by_time", perm=[1, 0, 2])
        if tokens:
            depth = self.tensor("depth", np.int64(self.spec.input_size))
            values = self.tensor("off_on", np.array([0, 1], self.dtype))
            self.nodes.insert(0, helper.make_node("OneHot", ["x", depth, values], ["one_hot"]))
        layers, ends = self.net._model.config["num_layers"], []
        for k in range(layers):
            ends.append(self.layer(k, x, states, "lengths" if lengths else ""))
            if k < layers - 1:
                y = self.add("Transpose", [f"y_l{k}"], f"y_l{k}_by_unit", perm=[0, 2, 1, 3])
                x = self.add("Reshape", [y, self.numbers(0, 0, -1)], f"x_l{k + 1}")
        y = self.add("Transpose", [f"y_l{layers - 1}"], "y_by_sequence", perm=[2, 0, 1, 3])
        self.add("Reshape", [y, self.numbers(0, 0, -1)], "hidden")
        for name, parts in zip(("final", "final_c"), zip(*ends, strict=True), strict=False):
            if layers == 1:
                self.add("Identity", list(parts), name)
            else:
                self.add("Concat", list(parts), name, axis=1)

    def layer(self, k: int, x: str, states: bool, lengths: str) -> list[str]:
        """A node; the names of its last states, (B, directions, H)."""
        directions, kind = self.spec.directions, self.kind
        w, r, b = node_weights(kind, self.parameters, suffixes(k, directions))
        inputs = [x, self.tensor(f"W_l{k}", w), self.tensor(f"R_l{k}", r)]
        inputs += ["" if b is None else self.tensor(f"B_l{k}", b), lengths]
        names = ("h", "c")[: self.spec.states]
        inputs += [self.first(k, name, states) for name in names]
        while not inputs[-1]:
            inputs.pop()
        outputs = [f"y_l{k}", *(f"{name}_l{k}" for name in names)]
        self.nodes.append(
            helper.make_node(
                kind, inputs, outputs, f"layer_{k}", hidden_size=self.spec.hidden_size,
                direction="bidirectional" if directions == 2 else "forward", **self.attributes(),
            )
        )  # fmt: skip
        return [
            self.add("Transpose", [name], f"{name}_by_sequence", perm=[1, 0, 2])
            for name in outputs[1:]
        ]

    def attributes(self) -> dict[str, Any]:
        config, directions = self.net._model.config, self.spec.directions
        if self.kind == "LSTM":
            return {}
        own = FUNCTIONS[config["nonlinearity"]]
        if self.kind == "GRU":
            after = int(config["reset"] == "after")
            return {"activations": ["Sigmoid", own] * directions, "linear_before_reset": after}
        given: dict[str, Any] = {"activations": [own] * directions}
        if own == "Affine":
            given |= {"activation_alpha": [1.0] * directions, "activation_beta": [0.0] * directions}
        return given

    def first(self, k: int, name: str, states: bool) -> str:
        """The states before a node's first step, (directions, B, H); "" where they are zero."""
        n, at = self.spec.directions, k * self.spec.directions
        if states:
            bounds = [self.numbers(at), self.numbers(at + n), self.numbers(1)]
            rows = self.add("Slice", [f"{name}0", *bounds], f"{name}0_rows_l{k}")
            return self.add("Transpose", [rows], f"{name}0_l{k}", perm=[1, 0, 2])
        if not self.net._model.config["trainable_h0"]:
            return ""
        values = self.parameters[f"{name}0"][at : at + n]
        rows = self.tensor(f"{name}0_rows_l{k}", values[:, None])
        return self.add("Expand", [rows, self.state_shape()], f"{name}0_l{k}")

    def state_shape(self) -> str:
        """That of a node's states, (directions, B, H)."""
        if "state_shape" not in [node.output[0] for node in self.nodes]:
            n, H = self.spec.directions, self.spec.hidden_size
            sizes = [self.numbers(n), self.batch(), self.numbers(H)]
            self.add("Concat", sizes, "state_shape", axis=0)
        return "state_shape"

    def batch(self) -> str:
        shape = self.add("Shape", ["x"], "shape_of_x")
        return self.add("Gather", [shape, self.numbers(0)], "batch")

    # ---- from the states to y ---------------------------------------------------------

    def read_out(self, lengths: bool) -> None:
        p, every = self.parameters, self.spec.every_step
        read = "hidden" if every else self.last_states()
        if "head.weight" not in p:
            self.add("Identity", [read], "y")
            return
        weight = self.tensor("head.weight_T", p["head.weight"].T.copy())
        masked = every and lengths and "head.bias" in p
        steps = [("MatMul", weight)]
        steps += [("Add", self.tensor("head.bias", p["head.bias"]))] if "head.bias" in p else []
        for i, (op, tensor) in enumerate(steps):
            end = i == len(steps) - 1
            read = self.add(op, [read, tensor], "y" if end and not masked else f"y_{op.lower()}")
        if masked:
            self.add("Where", [self.counted(), read, self.tensor("zero", self.dtype.type(0))], "y")

    def last_states(self) -> str:
        """Those of the last layer, (B, directions H)."""
        k = self.net._model.config["num_layers"] - 1
        return self.add("Reshape", [f"h_l{k}_by_sequence", self.numbers(0, -1)], "last_states")

    def counted(self) -> str:
        """(B, T, 1): whether a step counts, before whose end the output is zero."""
        shape = self.add("Shape", ["x"], "steps_shape")
        one = self.tensor("index_1", np.int64(1))
        steps = self.add("Gather", [shape, one], "steps")
        of = [self.tensor("from_0", np.int64(0)), steps, self.tensor("by_1", np.int64(1))]
        numbers = self.add("Range", of, "step_numbers")
        column = self.add("Unsqueeze", [numbers, self.numbers(1)], "step_column")
        ends = self.add("Cast", ["lengths"], "ends", to=onnx.TensorProto.INT64)
        rows = self.add("Unsqueeze", [ends, self.numbers(1, 2)], "end_rows")
        return self.add("Less", [column, rows], "counted")


def graph_of(net: Network, dtype: np.dtype[Any], tokens: bool, states: bool, lengths: bool) -> Any:
    """The GraphProto."""
    writer, spec = Writer(net, dtype), net._model.spec
    real, width = helper.np_dtype_to_tensor_dtype(dtype), spec.width

    def value(name: str, kind: int, *shape: int | str) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    x = value("x", real, "batch", "time", spec.input_size)
    inputs = [value("x", onnx.TensorProto.INT64, "batch", "time") if tokens else x]
    writer.recurrent(tokens, states, lengths)
    writer.read_out(lengths)
    pair = range(spec.states)
    rows = ("batch", spec.passes, spec.hidden_size)
    if states:
        inputs += [value(("h0", "c0")[k], real, *rows) for k in pair]
    if lengths:
        inputs.append(value("lengths", onnx.TensorProto.INT32, "batch"))
    leading = ("batch", "time") if spec.every_step else ("batch",)
    outputs = [value("y", real, *leading, spec.outputs)]
    outputs.append(value("hidden", real, "batch", "time", width))
    outputs += [value(("final", "final_c")[k], real, *rows) for k in pair]
    tensors = [numpy_helper.from_array(values, name) for name, values in writer.tensors.items()]
    return helper.make_graph(writer.nodes, "rnncore", inputs, outputs, tensors)


def model_of(graph: Any, opset: int) -> Any:
    """The ModelProto, checked."""
    imports = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        graph, opset_imports=imports, producer_name="rnncore", producer_version=__version__,
        ir_version=helper.find_min_ir_version_for(imports),
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    return model
