"""Networks from ONNX graphs that others wrote: by torch.onnx.export, and by hand."""

import io
import logging
import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import rnncore.onnx  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402


def exported(module, x, dynamo, **options):
    torch = pytest.importorskip("torch")
    if dynamo:
        pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            if dynamo:
                program = torch.onnx.export(module, (x,), dynamo=True, verbose=False, **options)
                return program.model_proto
            file = io.BytesIO()
            torch.onnx.export(module, (x,), file, dynamo=False, input_names=["x"], **options)
        finally:
            logging.disable(logging.NOTSET)
    return file.getvalue()


def module_of(kind, batch_first=True, head=True, read="all", **options):
    """A recurrent layer of torch.nn, with a linear layer after it."""
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(torch.nn, kind)(3, 4, batch_first=batch_first, **options)
            wide = 4 * (2 if self.rnn.bidirectional else 1)
            self.out = torch.nn.Linear(wide, 2) if head else torch.nn.Identity()

        def forward(self, x):
            y, h = self.rnn(x)
            if read == "row":
                y = y[:, -1] if batch_first else y[-1]
            elif read == "state":
                h = h[0] if isinstance(h, tuple) else h
                y = torch.cat([h[-2], h[-1]], 1) if self.rnn.bidirectional else h[-1]
            return self.out(y)

    torch.manual_seed(0)
    return Module().eval()


MODULES = [
    {}, {"read": "row"}, {"read": "state"}, {"head": False}, {"head": False, "read": "row"},
    {"bidirectional": True, "num_layers": 2}, {"bidirectional": True, "read": "state"},
    {"num_layers": 3, "bias": False}, {"num_layers": 2, "bidirectional": True, "read": "state"},
    {"batch_first": False}, {"batch_first": False, "read": "row", "num_layers": 2},
]  # fmt: skip


WRITTEN = [
    (kind, options, way)
    for kind in ("RNN", "LSTM", "GRU")
    for options in MODULES
    for way in ("dynamic", "fixed")
]
WRITTEN += [  # nn.RNN is taken apart by this exporter, see below
    (kind, options, "dynamo") for kind in ("LSTM", "GRU") for options in (MODULES[1], MODULES[5])
]


@pytest.mark.parametrize(("kind", "options", "way"), WRITTEN, ids=str)
def test_what_pytorch_writes(kind, options, way):
    torch = pytest.importorskip("torch")
    module = module_of(kind, **options)
    axes = {"dynamic_axes": {"x": {0: "a", 1: "b"}}} if way == "dynamic" else {}
    net = rnncore.onnx.load(exported(module, torch.zeros(2, 5, 3), way == "dynamo", **axes))
    x = torch.randn(4, 6, 3)
    y = net((x if options.get("batch_first", True) else x.swapaxes(0, 1)).numpy()).y
    expected = module(x).detach().numpy()
    if y.ndim == 3 and not options.get("batch_first", True):
        y = y.swapaxes(0, 1)
    assert type(net).__name__ == kind
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() < 1e-5
    names = dict(module.rnn.named_parameters())
    for name, values in net.parameters().items():
        if name in names and "bias" not in name:
            assert (values == names[name].detach().numpy()).all()


def test_a_relu_network_of_pytorch():
    torch = pytest.importorskip("torch")
    module = module_of("RNN", nonlinearity="relu")
    net = rnncore.onnx.load(exported(module, torch.zeros(2, 5, 3), False))
    assert net.nonlinearity == "relu"
    x = torch.randn(2, 5, 3)
    assert np.abs(net(x.numpy()).y - module(x).detach().numpy()).max() < 1e-5


def test_states_as_inputs_of_a_module_of_pytorch():
    torch = pytest.importorskip("torch")
    module = torch.nn.GRU(3, 4, num_layers=2, batch_first=True)
    file, x, h0 = io.BytesIO(), torch.randn(2, 5, 3), torch.randn(2, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x, h0), file, dynamo=False)
    net = rnncore.onnx.load(file.getvalue())
    got = net(x.numpy(), h0=h0.numpy().swapaxes(0, 1)).y
    assert np.abs(got - module(x, h0)[0].detach().numpy()).max() < 1e-5


def test_what_the_other_exporter_makes_of_an_elman_network_is_refused():
    torch = pytest.importorskip("torch")
    model = exported(module_of("RNN"), torch.zeros(2, 5, 3), True)
    with pytest.raises(ValueError, match=r"expected RNN, LSTM or GRU nodes .* with dynamo=False"):
        rnncore.onnx.load(model)


def test_the_last_row_of_both_directions_is_refused():
    torch = pytest.importorskip("torch")
    model = exported(module_of("GRU", bidirectional=True, read="row"), torch.zeros(2, 5, 3), False)
    with pytest.raises(ValueError, match=r"got another function of them .*take its final state"):
        rnncore.onnx.load(model)


# ---- by hand ---------------------------------------------------------------------------


def graph(kind="GRU", after=(), dtype=np.float32, rank=3, **attributes):
    """A model of one node with D = 2, H = 3, and further nodes; its output is of that rank."""
    rng = np.random.default_rng(0)
    G = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    shapes = {"W": (directions, G * 3, 2), "R": (directions, G * 3, 3), "B": (directions, G * 6)}
    tensors = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    tensors["P"], tensors["V"] = np.ones((1, 9), dtype), rng.standard_normal((3, 2)).astype(dtype)
    tensors["c"], tensors["axis"] = np.full((1, 1, 3), 0.5, dtype), np.array([1])
    tensors["row"], tensors["sizes"] = np.array(1), np.array([0, 0, -1])
    inputs = attributes.pop("inputs", ["X", "W", "R", "B"])
    nodes = [helper.make_node(kind, inputs, ["Y", "Y_h"], "node", hidden_size=3, **attributes)]
    nodes += [helper.make_node(op, given, [out], op, **more) for op, given, out, more in after]
    real = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    last = after[-1][2]
    made = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("X", real, ["T", "B", 2])],
        [helper.make_tensor_value_info(last, real, [None] * rank)],
        [numpy_helper.from_array(values, name) for name, values in tensors.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


STATES = [("Squeeze", ["Y", "axis"], "states", {})]
BOTH = [
    ("Transpose", ["Y"], "by_unit", {"perm": [0, 2, 1, 3]}),
    ("Reshape", ["by_unit", "sizes"], "states", {}),
]


@pytest.mark.parametrize("reset", [0, 1, None])
@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_a_node_by_hand_in_onnxruntime(reset, direction):
    ort = pytest.importorskip("onnxruntime")
    more = {} if reset is None else {"linear_before_reset": reset}
    after = STATES if direction == "forward" else BOTH
    model = graph(after=after, direction=direction, **more)
    net = rnncore.onnx.load(model)
    assert net.config["reset"] == ("after" if reset else "before")
    x = np.random.default_rng(1).standard_normal((4, 6, 2)).astype(np.float32)
    session = ort.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"X": x.swapaxes(0, 1).copy()})
    assert np.abs(net(x).y - y.swapaxes(0, 1)).max() < 1e-6


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_layout_1_is_layout_0_with_batches_first(kind):
    squeeze = [("Squeeze", ["Y", "axes"], "states", {})]
    time_first = rnncore.onnx.load(graph(kind, after=STATES))
    model = graph(kind, after=squeeze, layout=1)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2]), "axes"))
    batch_first = rnncore.onnx.load(model)
    assert (time_first.flat == batch_first.flat).all()
    assert time_first.readout == batch_first.readout == "all"


def test_final_states_constant_first_states_and_a_read_out():
    after = [("Squeeze", ["Y_h", "zero"], "h", {}), ("MatMul", ["h", "V"], "y", {})]
    model = graph(
        "RNN", after, rank=2, inputs=["X", "W", "R", "", "", "first"], activations=["Sigmoid"]
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "zero"))
    model.graph.node.insert(0, helper.make_node("Shape", ["X"], ["shape"], start=1, end=2))
    model.graph.node.insert(1, helper.make_node("Concat", ["one", "shape", "h_"], ["s"], axis=0))
    model.graph.node.insert(2, helper.make_node("Expand", ["c", "s"], ["first"]))
    for name, value in (("one", 1), ("h_", 3)):
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    net = rnncore.onnx.load(model)
    assert net.config["trainable_h0"]
    assert (net.parameters()["h0"] == 0.5).all()
    assert (net.readout, net.bias, net.output_size, net.nonlinearity) == (
        "last",
        False,
        2,
        "sigmoid",
    )


BAD = [
    ({"clip": 3.0}, r"the node 'node' of type GRU: expected no clip, got clip=3"),
    ({"kind": "LSTM", "input_forget": 1}, "expected no input_forget, got input_forget=1"),
    (
        {"kind": "LSTM", "inputs": ["X", "W", "R", "B", "", "", "", "P"]},
        "type LSTM: expected no peepholes, got the input P",
    ),
    ({"direction": "reverse"}, "expected direction forward or bidirectional, got reverse"),
    (
        {"activations": ["HardSigmoid", "Tanh"]},
        r"expected activations Sigmoid Tanh\|Relu, got Hardsigmoid Tanh",
    ),
    ({"kind": "LSTM", "activations": ["Sigmoid", "Relu", "Tanh"]}, "expected activations Sigmoid"),
    ({"kind": "RNN", "activations": ["Elu"]}, r"expected activations Tanh\|Relu\|Sigmoid\|Affine"),
    (
        {"kind": "RNN", "activations": ["Affine"], "activation_alpha": [2.0]},
        "expected alpha 1 and beta 0 of Affine",
    ),
    ({"inputs": ["X", "W", "V", "B"]}, r"expected W of shape|expected R of shape"),
    ({"inputs": ["X", "X", "R", "B"]}, "expected a constant W, got 'X', which depends on inputs"),
    ({"dtype": np.float16}, "expected float32 or float64, got float16"),
    (
        {"after": [*STATES, ("Softmax", ["states"], "y", {})]},
        "expected recurrent nodes and a linear read-out, got the node 'Softmax' of type Softmax",
    ),
    ({"after": [*STATES, ("Add", ["states", "c"], "y", {})]}, "after the product of the read-out"),
    ({"after": [("Gather", ["Y", "row"], "y", {"axis": 0})]}, "got another function of them"),
    (
        {"direction": "bidirectional", "after": [("Reshape", ["Y", "sizes"], "y", {})]},
        "got another function of them",
    ),
    (
        {"inputs": ["X", "W", "R", "B", "row"]},
        "expected lengths from an input|expected an ONNX model|expected inputs that fit it",
    ),
]


@pytest.mark.parametrize(("options", "text"), BAD)
def test_what_a_network_does_not_have_is_refused_by_name(options, text):
    with pytest.raises(ValueError, match=f"model: .*({text})"):
        rnncore.onnx.load(graph(**{"after": STATES} | options))
