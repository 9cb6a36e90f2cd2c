"""Networks exported to C, compiled and called from Python; and programs of them for other
processors."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

FLOATS = ctypes.POINTER(ctypes.c_float)
STRICT = [
    "-std=c99",
    "-pedantic",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wconversion",
    "-Wshadow",
    "-Wdouble-promotion",
    "-Wstrict-prototypes",
    "-Wmissing-prototypes",
]


def tool(name):
    """The name, or the test is skipped where there is no such program."""
    return name if shutil.which(name) else pytest.skip(f"needs {name}")


def run(*command, **options):
    """What a command prints; what it complains of is shown where it fails."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def library(folder, reports, compiler="gcc", *flags):
    """A shared library of the exported networks."""
    path = Path(folder) / "networks.so"
    sources = [report.source for report in reports]
    run(tool(compiler), *STRICT, "-O1", "-fPIC", "-shared", *flags, "-o", path, *sources, "-lm")
    return ctypes.CDLL(str(path))


class Stream:
    """One state of an exported network."""

    def __init__(self, library, report, outputs):
        self.name, self.outputs, self.library = report.name, outputs, library
        self.memory = ctypes.create_string_buffer(b"\xff" * report.state + b"guarded!")
        self.call("init")

    def call(self, function, *arguments):
        return getattr(self.library, f"{self.name}_{function}")(self.memory, *arguments)

    def step(self, x_t):
        x_t, y = np.array(x_t, np.float32), np.full(self.outputs, np.nan, np.float32)
        self.call("step", x_t.ctypes.data_as(FLOATS), y.ctypes.data_as(FLOATS))
        assert self.memory.raw[-9:-1] == b"guarded!"
        return y

    def step_token(self, token):
        y = np.full(self.outputs, np.nan, np.float32)
        return self.call("step_token", int(token), y.ctypes.data_as(FLOATS)), y

    def run(self, x):
        return np.array([self.step(x_t) for x_t in x])


def steps(net, x):
    """The outputs of ``net.step`` for (T, D) numbers or (T,) tokens."""
    state, y = None, []
    for x_t in x:
        y_t, state = net.step(x_t, state)
        y.append(y_t)
    return np.array(y)
