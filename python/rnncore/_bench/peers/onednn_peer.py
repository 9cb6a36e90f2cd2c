"""oneDNN: its primitives of recurrent layers, called from C++ without a framework.

The best practice of oneDNN: primitives and memory are made beforehand, and weights are given in the
format that a primitive chooses.  While training weights are new in every call, so putting them in
that format is part of the call.  Of two contestants the one (`plain`) has weights and gradients in
PyTorch's layout; the other (`own`) has both in formats of oneDNN's, as a program would whose
optimiser works in these, so that only the backward pass needs the weights reordered.  For inference
weights are reordered beforehand.  Gates are in oneDNN's order.  The primitives of training know
float32 only, so it takes no part in float64.

Head, loss and their gradients are loops in ``onednn.cpp``, which the machine's C++ compiler
compiles when the first peer is made, for oneDNN 2 or 3.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from ctypes import (
    CDLL,
    POINTER,
    Structure,
    byref,
    c_char_p,
    c_float,
    c_int,
    c_void_p,
    create_string_buffer,
)
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from weakref import finalize

import numpy as np

from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array

#: Sums of the head in vectors too; `-ffast-math` would change subnormals for the whole process.
RELAXED = ("-fno-math-errno", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math")
FLAGS = ("-std=c++14", "-O3", *RELAXED, "-fPIC", "-shared")
FLOATS = POINTER(c_float)
TASKS = ("forward", "train", "step")  # by their numbers in ``onednn.cpp``


class Gates(NamedTuple):
    """A cell's number in ``onednn.cpp``, and where its gates are in oneDNN's order: of weights, and
    of oneDNN's rows of biases. Either way round: no order moves a gate twice."""

    number: int
    weights: tuple[int, ...]
    bias_ih: tuple[int, ...]
    bias_hh: tuple[int, ...]


#: oneDNN adds one bias to both products. Its GRU has the gates z, r, n, and of n two biases.
CELLS = {
    "RNN": Gates(0, (0,), (0,), (0,)),
    "LSTM": Gates(1, (0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3)),
    "GRU": Gates(2, (1, 0, 2), (1, 0, 2), (1, 0, 3)),
}


class Sizes(Structure):
    """As in ``onednn.cpp``."""

    _fields_ = [(name, c_int) for name in ("cell", "task", "own_formats", "D", "H", "B", "T")]


class Arrays(Structure):
    """As in ``onednn.cpp``."""

    _fields_ = [
        (name, FLOATS)
        for name in (
            "x", "y", "w_ih", "w_hh", "bias", "w_y", "b_y",
            "z", "g_ih", "g_hh", "g_bias", "g_y", "g_by",
        )
    ]  # fmt: skip


class OneDnn(Peer):
    """The primitives of the processor's engine."""

    name = "onednn"
    cells = ("rnn", "lstm", "gru")

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.library = library()
        numbers = (c_int * 3)()
        self.library.onednn_version(numbers)
        self.version = ".".join(str(number) for number in numbers)
        # Of the OpenMP runtime that oneDNN is linked with; there are builds with another one.
        set_threads = getattr(self.library, "omp_set_num_threads", None)
        if set_threads is not None:
            set_threads(threads)

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        if x.dtype != np.float32:
            return []
        return [self.trainer(net, x, y, own_formats) for own_formats in (False, True)]

    def trainer(self, net: Network, x: Array, y: Array, own_formats: bool) -> Contestant:
        model = Model(self.library, net, x, y, "train", own_formats)
        call = model.caller(self.library.onednn_train)
        return Contestant("own" if own_formats else "plain", call, model.gradients)

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        if x.dtype != np.float32:
            return []
        y = np.zeros(len(x), x.dtype)
        model = Model(self.library, net, x, y, "forward")
        call = model.caller(self.library.onednn_forward)
        return [Contestant("inference", call, lambda _: {"y": model.arrays["z"]})]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        if x.dtype != np.float32:
            return []
        model = Model(self.library, net, x[None, :1], np.zeros(1, x.dtype), "step")
        step = self.library.onednn_step
        model.arrays["steps"] = np.ascontiguousarray(x)
        steps = [x_t.ctypes.data for x_t in model.arrays["steps"]]

        def run() -> list[float]:
            first = [step(model.handle, steps[0], True)]
            return first + [step(model.handle, x_t, False) for x_t in steps[1:]]

        return [Contestant("inference", run, lambda outputs: {"y": np.array(outputs, x.dtype)})]


class Model:
    """Primitives of a network and the arrays that they read and write."""

    def __init__(
        self, library: CDLL, net: Network, x: Array, y: Array, task: str, own_formats: bool = True
    ) -> None:
        self.gates = CELLS[type(net).__name__]
        self.library, self.H = library, net.hidden_size
        p = net.state_dict()
        arrays = {
            "x": x.swapaxes(0, 1),
            "y": y,
            "w_ih": self.ordered(p["weight_ih_l0"]),
            "w_hh": self.ordered(p["weight_hh_l0"]),
            "bias": self.bias(p["bias_ih_l0"], p["bias_hh_l0"]),
            "w_y": p["head.weight"],
            "b_y": p["head.bias"],
            "z": y,
        }
        pairs = ("ih", "w_ih"), ("hh", "w_hh"), ("bias", "bias"), ("y", "w_y"), ("by", "b_y")
        arrays |= {f"g_{name}": arrays[of] for name, of in pairs}
        self.arrays = {name: np.array(values, order="C") for name, values in arrays.items()}
        pointers = {name: values.ctypes.data_as(FLOATS) for name, values in self.arrays.items()}
        B, T, D = x.shape
        number = TASKS.index(task)
        sizes = Sizes(self.gates.number, number, own_formats, D, self.H, B, T)
        why = create_string_buffer(200)
        self.handle = library.onednn_make(byref(sizes), byref(Arrays(**pointers)), why, len(why))
        if self.handle is None:
            raise RuntimeError(f"oneDNN: {why.value.decode()}")
        finalize(self, library.onednn_free, self.handle)

    def caller(self, function: Any) -> Callable[[], Any]:
        """A call of the function that keeps the model alive."""
        return lambda: function(self.handle)

    def ordered(self, weights: Array) -> Array:
        """From rnncore's order of gates to oneDNN's, or back."""
        blocks = weights.reshape(-1, self.H, weights.shape[1])
        return blocks[list(self.gates.weights)].reshape(weights.shape)

    def bias(self, b_ih: Array, b_hh: Array) -> Array:
        """The rows that oneDNN knows: both biases of a gate, but for the GRU's candidate."""
        _, _, ih, hh = self.gates
        rows = np.zeros((max(ih + hh) + 1, self.H), b_ih.dtype)
        rows[list(ih)] += b_ih.reshape(-1, self.H)
        rows[list(hh)] += b_hh.reshape(-1, self.H)
        return rows

    def gradients(self, loss: float) -> Answer:
        """By rnncore's names."""
        self.library.onednn_read(self.handle)
        got, gates = self.arrays, self.gates
        return {
            "loss": np.array(loss, np.float32),
            "weight_ih_l0": self.ordered(got["g_ih"]),
            "weight_hh_l0": self.ordered(got["g_hh"]),
            "bias_ih_l0": got["g_bias"][list(gates.bias_ih)].reshape(-1),
            "bias_hh_l0": got["g_bias"][list(gates.bias_hh)].reshape(-1),
            "head.weight": got["g_y"],
            "head.bias": got["g_by"],
        }


@cache
def library() -> CDLL:
    """``onednn.cpp``, compiled and loaded; ImportError where that cannot be done."""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    if shutil.which(compiler[0]) is None:
        raise ImportError(f"oneDNN: expected a C++ compiler, found no {compiler[0]}")
    source = Path(__file__).with_name("onednn.cpp")
    prefix = Path(sys.prefix)  # where pip and conda put headers and libraries
    places = [f"-I{prefix / 'include'}", f"-L{prefix / 'lib'}", f"-Wl,-rpath,{prefix / 'lib'}"]
    with TemporaryDirectory() as folder:
        file = Path(folder, "onednn_peer.so")
        command = [*compiler, *FLAGS, str(source), *places, "-ldnnl", "-o", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if "error" in line]
            raise ImportError(
                "oneDNN: expected its headers and library (in Debian the package libdnnl-dev), "
                f"{compiler[0]} says: {(errors or [done.stderr])[0]}"
            )
        try:
            loaded = CDLL(str(file))
        except OSError as error:
            raise ImportError(f"oneDNN: {error}") from None
    loaded.onednn_make.argtypes = [c_void_p, c_void_p, c_char_p, c_int]
    loaded.onednn_make.restype = c_void_p
    loaded.onednn_step.argtypes = [c_void_p, c_void_p, c_int]
    loaded.onednn_step.restype = c_float
    results = {"train": c_float, "forward": None, "read": None, "free": None}
    for name, result in results.items():
        function = getattr(loaded, f"onednn_{name}")
        function.argtypes, function.restype = [c_void_p], result
    return loaded
