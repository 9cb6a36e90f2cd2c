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


# ---- programs for other processors --------------------------------------------------

TARGETS = Path(__file__).parent / "targets"
CORTEX_M4 = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]

#: By target: the compiler with its flags, the emulator, and the source that suits the machine.
MACHINES = {
    "cortex-m4": (
        ["arm-none-eabi-gcc", *CORTEX_M4, "-nostartfiles", "-T", str(TARGETS / "cortex_m4.ld")],
        ["qemu-system-arm", "-M", "mps2-an386", "-display", "none", "-monitor", "none", "-serial",
         "none", "-semihosting-config", "enable=on,target=native", "-icount", "shift=0", "-kernel"],
        "cortex_m4.c",
    ),
    "riscv64": (["riscv64-linux-gnu-gcc", "-static"], ["qemu-riscv64-static"], "hosted.c"),
    "armhf": (["arm-linux-gnueabihf-gcc", "-static"], ["qemu-arm-static"], "hosted.c"),
    "here": (["gcc"], [], "hosted.c"),
}  # fmt: skip

PROGRAM = """\
#include "{file}"
#include "board.h"

static const float x[{T}][{D}] = {{
{rows}
}};

int main(void)
{{
    {n}_state state;
    uint32_t before;
    int t, k;
    {n}_init(&state);
    before = ticks();
    for (t = 0; t < {T}; ++t) {{
        union {{ float number; uint32_t bits; }} y[{N}_OUTPUTS];
        float out[{N}_OUTPUTS];
        {n}_step(&state, x[t], out);
        for (k = 0; k < {N}_OUTPUTS; ++k) {{
            y[k].number = out[k];
            if ({printing})
                put_bits(y[k].bits);
        }}
    }}
    put_bits(ticks() - before);
    return 0;
}}
"""


def printed(machine, report, x, flags=("-O2",), printing=True):
    """The outputs of an exported network for x (T, D), as another processor computes them; and
    the ticks that it took."""
    compiler, emulator, board = MACHINES[machine]
    folder = Path(report.source).parent
    rows = ",\n".join("{" + ", ".join(f"{v:.9e}f" for v in x_t) + "}" for x_t in x)
    main, program = folder / f"main_{report.name}.c", folder / f"{report.name}-{machine}"
    main.write_text(PROGRAM.format(
        file=Path(report.header).name, T=len(x), D=len(x[0]), rows=rows, n=report.name,
        N=report.name.upper(), printing=int(printing),
    ))  # fmt: skip
    sources = [report.source, main, TARGETS / board]
    tool(compiler[0])
    if emulator:
        tool(emulator[0])
    run(*compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", *flags, "-I", TARGETS, "-o", program,
        *sources, "-lm")  # fmt: skip
    *bits, ticks = (int(line, 16) for line in run(*emulator, program).split())
    y = np.array(bits, np.uint32).view(np.float32)
    return y.reshape(len(x), -1) if printing else y, ticks
