"""
The same network in C
=====================

``rnncore.export.c`` writes a network as a header and a source file, without dependencies. Here it
is compiled, fed with the same numbers as the network in Python, and compared with it, with weights
of 32 bits and of 8.
"""

import ctypes
import shutil
import subprocess
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc
from rnncore import export

rng = np.random.default_rng(0)
wave = np.sin(0.3 * np.arange(51) + rng.uniform(0, 2 * np.pi, (200, 1)))
wave = (wave + 0.05 * rng.standard_normal(wave.shape))[:, :, None]
x, y = wave[:, :-1], wave[:, 1:]
net = rc.GRU(1, 8, 1, loss="mse", readout="all", seed=0)
net.fit(x, y, epochs=40, lr=0.01, rng=0)

# %%
# Two exports. With 8 bits, sequences show what the rounding changes.

folder = Path(tempfile.mkdtemp())
wide = export.c(net, folder / "wide")
narrow = export.c(net, folder / "narrow", dtype="int8", x=x, y=y)
print(wide.description)
print(f"float32: {wide.weights} bytes of weights, {wide.state} of state")
print(f"int8:    {narrow.weights} bytes of weights, {narrow.state} of state, "
      f"loss {narrow.accuracy.loss_after:.5f} instead of {narrow.accuracy.loss:.5f}")  # fmt: skip

# %%
# A shared library of each, called step by step from Python. Where there is no compiler, the outputs
# of the network itself are drawn.


def outputs_of(name):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return net(x[:1]).y[0, :, 0]
    library = folder / f"{name}.so"
    source = folder / f"{name}.c"
    subprocess.run(
        [compiler, "-std=c99", "-O2", "-shared", "-fPIC", source, "-o", library, "-lm"], check=True
    )
    code = ctypes.CDLL(str(library))
    state, result = ctypes.create_string_buffer(1024), []
    getattr(code, f"{name}_init")(state)
    for value in x[0, :, 0]:
        y_t = ctypes.c_float()
        getattr(code, f"{name}_step")(state, ctypes.byref(ctypes.c_float(value)), ctypes.byref(y_t))
        result.append(y_t.value)
    return np.array(result)


python = net(x[:1]).y[0, :, 0]
wide, narrow = outputs_of("wide"), outputs_of("narrow")
print(f"largest difference: float32 {abs(wide - python).max():.1e}, "
      f"int8 {abs(narrow - python).max():.1e}")  # fmt: skip

# %%
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 4.4), sharex=True, layout="constrained")
above.plot(y[0, :, 0], ".", color="0.6", label="next value")
above.plot(python, color="black", lw=1, label="Python")
above.plot(narrow, color="tab:red", ls="--", label="C, int8")
above.set(ylim=(-1.3, 1.7))
above.legend(frameon=False, ncols=3, fontsize=8, loc="upper right")
below.semilogy(abs(wide - python) + 1e-9, color="tab:blue", label="C, float32")
below.semilogy(abs(narrow - python) + 1e-9, color="tab:red", label="C, int8")
below.set(xlabel="step", ylabel="difference", ylim=(5e-10, 0.2))
below.legend(frameon=False, ncols=2, fontsize=8, loc="upper right")
plt.show()
