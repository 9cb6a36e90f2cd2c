"""ONNX Runtime: the network as a graph of an RNN node and a Gemm; inference only.

The best practice of ONNX Runtime: a session with all graph optimisations and the threads asked
for, fed numpy arrays, or values bound beforehand so that a call passes nothing; both are tried.
Its RNN kernel knows float32 only, so it takes no part in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from rnncore._bench.peers.peer import Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array

#: Of the model's format: old enough for every version that knows numpy 2.
OPSET, IR_VERSION = 17, 8


class OnnxRuntime(Peer):
    """The CPU provider."""

    name = "onnxruntime"
    version = ort.__version__

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        if x.dtype != np.float32:
            return []
        session = self.session(net)
        h0 = np.zeros((1, len(x), net.hidden_size), x.dtype)
        feeds = {"x": np.ascontiguousarray(x.swapaxes(0, 1)), "h0": h0}
        binding = session.io_binding()
        for name, values in feeds.items():
            binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(values))
        y = ort.OrtValue.ortvalue_from_numpy(np.empty((len(x), 1), x.dtype))
        binding.bind_ortvalue_output("y", y)
        return [
            Contestant("run", lambda: session.run(["y"], feeds), lambda out: {"y": out[0][:, 0]}),
            Contestant(
                "bound", lambda: session.run_with_iobinding(binding),
                lambda _: {"y": y.numpy()[:, 0]},
            ),
        ]  # fmt: skip

    def step(self, net: Network, x: Array) -> list[Contestant]:
        if x.dtype != np.float32:
            return []
        session = self.session(net)
        start = np.zeros((1, 1, net.hidden_size), x.dtype)
        steps = list(x[:, None, None])  # (T=1, B=1, D) each
        names = ["y", "h"]

        def run() -> list[Array]:
            h, outputs = start, []
            for x_t in steps:
                y_t, h = session.run(names, {"x": x_t, "h0": h})
                outputs.append(y_t)
            return outputs

        return [Contestant("run", run, lambda outputs: {"y": np.array(outputs).reshape(-1)})]

    def session(self, net: Network) -> Any:
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        return ort.InferenceSession(
            model(net).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )


def model(net: Network) -> Any:
    """x (T, B, D), h0 (1, B, H) -> y (B, 1), h (1, B, H)"""
    p, D, H = net.state_dict(), net.input_size, net.hidden_size
    tensors = {
        "W": p["weight_ih_l0"][None],
        "R": p["weight_hh_l0"][None],
        "b": np.concatenate([p["bias_ih_l0"], p["bias_hh_l0"]])[None],
        "W_y": p["head.weight"],
        "b_y": p["head.bias"],
        "first": np.array([0]),
    }
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        make.make_node("RNN", ["x", "W", "R", "b", "", "h0"], ["", "h"], hidden_size=H),
        make.make_node("Squeeze", ["h", "first"], ["last"]),
        make.make_node("Gemm", ["last", "W_y", "b_y"], ["y"], transB=1),
    ]
    graph = make.make_graph(
        nodes,
        "elman",
        [
            make.make_tensor_value_info("x", kind, ["T", "B", D]),
            make.make_tensor_value_info("h0", kind, [1, "B", H]),
        ],
        [
            make.make_tensor_value_info("y", kind, ["B", 1]),
            make.make_tensor_value_info("h", kind, [1, "B", H]),
        ],
        [onnx.numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )
    opset = make.make_opsetid("", OPSET)
    return make.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
