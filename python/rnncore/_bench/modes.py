"""Threads, precision and instruction set of a run, as the environment of its processes.

Most libraries read these once, when they are imported.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np

#: Variables that set the number of threads of the libraries.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)

#: Instruction set -> the variables that limit rnncore and its peers to it. They do not limit
#: onnxruntime, nor the library in which XLA computes large products.
ISAS = {
    "v3": {
        "RNNCORE_ISA": "v3",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "x86-64-v3",
        "NUMBA_CPU_FEATURES": "",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    },
    "base": {
        "RNNCORE_ISA": "base",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",  # the only variable that limits MKL on all processors
        "OPENBLAS_CORETYPE": "Nehalem",
        "NUMBA_CPU_NAME": "x86-64",
        "NUMBA_CPU_FEATURES": "",
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
    },
}

#: numpy's own SIMD loops above an instruction set, by its names for them.
NUMPY_ABOVE = {
    "v3": ("X86_V4", "AVX512_ICL", "AVX512_SPR"),
    "base": ("X86_V3", "X86_V4", "AVX512_ICL", "AVX512_SPR"),
}


class Mode(NamedTuple):
    """How a run is made: on one thread or as many as there are cores; ``isa`` None for the
    fastest there is."""

    threads: int = 1
    dtype: str = "float32"
    isa: str | None = None

    def __str__(self) -> str:
        many = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.dtype}, {many}" + (f", limited to {self.isa}" if self.isa else "")

    @property
    def has_targets(self) -> bool:
        """Whether the targets of the grid are for this mode."""
        return self == Mode()


def environment(mode: Mode) -> dict[str, str]:
    """This process's environment with the mode's variables set."""
    result = dict(os.environ) | {name: str(mode.threads) for name in THREADS}
    if mode.isa is not None:
        found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
        above = [name for name in found if name in NUMPY_ABOVE[mode.isa]]
        result |= ISAS[mode.isa] | {"NPY_DISABLE_CPU_FEATURES": " ".join(above)}
    if mode.threads == 1:
        flags = [result.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen=false"]
        result["XLA_FLAGS"] = " ".join(flags).strip()
    return result
