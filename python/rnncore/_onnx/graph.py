"""A graph that is read: which values are constants, what depends on what, and its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import onnx
import onnx.inliner
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from rnncore._types import Array

RECURRENT = ("RNN", "LSTM", "GRU")

#: What may lie between recurrent nodes, before them and after them: they move and copy numbers, and
#: form a linear read-out, the states before the first step, and masks.
OTHERS = {
    "Add", "Cast", "Concat", "Constant", "ConstantOfShape", "Dropout", "Expand", "Flatten",
    "Gather", "Gemm", "Identity", "Less", "MatMul", "OneHot", "Range", "Reshape", "Shape", "Slice",
    "Split", "Squeeze", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip


class Runner(Protocol):
    """Runs a recurrent node: from its inputs, "" being None, to its outputs."""

    def __call__(self, node: Any, inputs: list[Array | None]) -> list[Array]: ...


class Graph:
    """What lies before one output of a model.

    Attributes
    ----------
    nodes : list of NodeProto
        In an order in which they can be run; only those that the output depends on.
    constants : dict of str to ndarray
        Values that depend on no input, as far as no recurrent node is needed for them.
    inputs : dict of str to ValueInfoProto
        Those without a constant value.
    """

    def __init__(self, model: Any, output: str) -> None:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        graph = model.graph
        self.opsets = {entry.domain: entry.version for entry in model.opset_import}
        self.output = output
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.inputs = {v.name: v for v in graph.input if v.name not in self.constants}
        self.nodes = self.needed(graph.node, output)
        self.check()
        self.sources: dict[str, set[str]] = {name: {name} for name in self.inputs}
        for node in self.nodes:
            self.follow(node)

    @staticmethod
    def needed(nodes: Iterable[Any], output: str) -> list[Any]:
        wanted, found = {output}, []
        for node in reversed(list(nodes)):
            if wanted & set(node.output):
                wanted |= set(node.input)
                found.append(node)
        return found[::-1]

    def check(self) -> None:
        ops = [node.op_type for node in self.nodes]
        if not set(RECURRENT) & set(ops):
            seen = ", ".join(dict.fromkeys(ops)) or "none"
            raise ValueError(
                f"model: expected RNN, LSTM or GRU nodes before the output {self.output!r}, got "
                f"{seen} (torch.onnx.export keeps nn.RNN as a node with dynamo=False)"
            )
        for node in self.nodes:
            known = node.op_type in OTHERS or node.op_type in RECURRENT
            if not known or node.domain not in ("", "ai.onnx"):
                raise ValueError(
                    f"model: expected recurrent nodes and a linear read-out, got {told(node)}"
                )

    def follow(self, node: Any) -> None:
        """Note what the outputs of a node depend on; compute those that depend on nothing."""
        if node.op_type in RECURRENT:
            sources = {node.output[0] or node.name}
        elif node.op_type == "Shape":
            sources = set()
        else:
            sources = set().union(*(self.sources.get(name, set()) for name in node.input))
        for name in node.output:
            self.sources[name] = sources
        if node.op_type not in (*RECURRENT, "Shape") and all(
            name in self.constants for name in node.input if name
        ):
            self.constants |= self.outputs(node, self.constants)

    def outputs(self, node: Any, values: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of a node that is not recurrent."""
        evaluator = ReferenceEvaluator(node, opsets=self.opsets)
        given = {name: values[name] for name in node.input if name}
        try:
            results = evaluator.run(None, given)
        except Exception as error:  # of whatever kind the evaluator or numpy raises
            raise ValueError(f"model: {told(node)} cannot be run: {error}") from error
        return dict(zip(node.output, results, strict=False))

    def values(self, name: str, inputs: Mapping[str, Array], run: Runner) -> dict[str, Array]:
        """All values on the way to one of them, from those of the inputs."""
        values = {"": np.zeros(0), **self.constants, **inputs}
        for node in self.needed(self.nodes, name):
            if all(output in values for output in node.output):
                continue
            if node.op_type in RECURRENT:
                given = [values[name] if name else None for name in node.input]
                values |= dict(zip(node.output, run(node, given), strict=False))
            else:
                values |= self.outputs(node, values)
        return values


def told(node: Any) -> str:
    """A node, for an error."""
    domain = f"{node.domain}." if node.domain not in ("", "ai.onnx") else ""
    return f"the node {node.name or node.output[0]!r} of type {domain}{node.op_type}"
