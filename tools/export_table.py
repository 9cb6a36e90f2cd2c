"""Memory and instructions of exported networks on a Cortex-M4: the table of docs/howto/export.md.

    python tools/export_table.py

Needs arm-none-eabi-gcc with newlib, and qemu-system-arm. Code and weights are what
arm-none-eabi-size says of a program that consists of the network alone, with the functions of the
C library that it calls; the stack is the sum of the frames of all its functions. Instructions are
those that QEMU executes (-icount), the mean over 2000 steps with normally distributed inputs.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import rnncore.export
from compiled import CORTEX_M4, printed, run

import rnncore as rc

STEPS = 2000

#: Products and sums in one instruction, which strict C99 does not allow.
CONTRACT = ("-ffp-contract=fast",)

#: Instructions in one of the ticks that the board's clock counts.
PER_TICK = 40

LEVELS = (("-Os", *CONTRACT), ("-O3", "-funroll-loops", *CONTRACT))

NETS = {
    "RNN, 16 units, 3 inputs": lambda: rc.RNN(3, 16, 1, seed=0),
    "GRU, 8 units, 1 input": lambda: rc.GRU(1, 8, 1, seed=0),
    "GRU, 2 layers of 8 units, 3 inputs": lambda: rc.GRU(3, 8, 1, num_layers=2, seed=0),
    "MGU, 16 units, 3 inputs": lambda: rc.MGU(3, 16, 1, seed=0),
    "LSTM, 20 units, 1 input": lambda: rc.LSTM(1, 20, 1, seed=0),
    "GRU, 64 units, 16 inputs": lambda: rc.GRU(16, 64, 1, seed=0),
}


def measured(folder, report, x, flags):
    """Bytes of code and constants, of variables and of stack; instructions of a step."""
    compiler = ["arm-none-eabi-gcc", *CORTEX_M4, *flags]
    alone = folder / "alone"
    run(*compiler, "-ffunction-sections", "-fstack-usage", "-c", report.source, "-o", f"{alone}.o")
    run(*compiler, "-nostartfiles", "-Wl,--gc-sections,-e,net_step,-u,net_init", f"{alone}.o",
        "-lm", "-o", alone)  # fmt: skip
    text, data, bss = map(int, run("arm-none-eabi-size", alone).splitlines()[1].split()[:3])
    frames = Path(f"{alone}.su").read_text().splitlines()
    stack = sum(int(line.split("\t")[1]) for line in frames)
    _, ticks = printed("cortex-m4", report, x, flags, printing=False)
    return text, data + bss, stack, round(ticks * PER_TICK / STEPS)


def row(folder, title, net, dtype, libm):
    report = rnncore.export.c(net, folder / "net", dtype=dtype, libm=libm)
    x = np.random.default_rng(0).standard_normal((STEPS, net.input_size))
    found = [measured(folder, report, x, flags) for flags in LEVELS]
    code = " / ".join(str(text - report.weights) for text, *_ in found)
    variables = max(more for _, more, _, _ in found)
    stack = " / ".join(str(stack) for _, _, stack, _ in found)
    instructions = " / ".join(str(count) for *_, count in found)
    maths = " (libm)" if libm else ""
    return (
        f"| {title} | {dtype}{maths} | {report.weights} | {code} | {report.state + variables} | "
        f"{stack} | {instructions} |"
    )


def main():
    print(run("arm-none-eabi-gcc", "--version").splitlines()[0], *CORTEX_M4, LEVELS)
    print("| network | weights | their bytes | code | state | stack | instructions |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for title, make in NETS.items():
            for dtype in ("float32", "int8"):
                print(row(Path(folder), title, make(), dtype, False), flush=True)
        print(row(Path(folder), title, make(), dtype, True))


if __name__ == "__main__":
    main()
