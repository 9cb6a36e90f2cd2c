"""Which build of the compiled core this process uses.

The core is compiled once for each instruction set and precision. The fastest build that this
machine can run is chosen when rnncore is imported; ``RNNCORE_ISA`` in the environment overrides it.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from types import ModuleType


def uncompiled() -> ImportError:
    """The error where the compiled modules are missing; it says how to install them."""
    folder = os.path.dirname(os.path.dirname(__file__))
    if not os.path.isdir(folder):
        return ImportError(
            f"rnncore: expected a folder, got an archive ({folder}), and Python cannot load "
            "compiled modules from one; install the package (python -m pip install rnncore) or "
            "unpack it"
        )
    own = {f"cpu{suffix}" for suffix in (".pyi", *EXTENSION_SUFFIXES)}
    others = [n for n in os.listdir(folder) if n.startswith("cpu.") and n not in own]
    found = f"those of another Python ({', '.join(others)})" if others else "none"
    return ImportError(
        f"rnncore: expected compiled modules (*{EXTENSION_SUFFIXES[0]}) in {folder}, got {found}. "
        "Where this is the source code, build and install it: python -m pip install . in the "
        "folder of setup.py (or python setup.py build_ext --inplace, to use it where it is)"
    )


try:
    from rnncore import cpu
except ImportError:
    if find_spec("rnncore.cpu") is not None:  # it is there, and failed itself
        raise
    raise uncompiled() from None

#: All instruction sets that the core is compiled for, fastest first.
ISAS = ("v4", "v3", "base")


def compiled() -> list[str]:
    """Builds that are installed. Some are missing where the compiler did not know their flags."""
    return [isa for isa in ISAS if find_spec(f"rnncore._core_{isa}_f32") is not None]


def available() -> list[str]:
    """Builds that are installed and that this machine can run, fastest first."""
    runnable = cpu.runnable()
    return [isa for isa in compiled() if isa in runnable]


def choose(requested: str, runnable: Collection[str], installed: Collection[str]) -> str:
    """The build to use: the one requested by ``RNNCORE_ISA``, else the fastest usable one."""
    usable = [isa for isa in ISAS if isa in runnable and isa in installed]
    if not usable:
        raise uncompiled()
    if not requested:
        return usable[0]
    if requested not in ISAS:
        raise ValueError(f"RNNCORE_ISA: expected one of {', '.join(ISAS)}, got {requested!r}")
    if requested not in usable:
        why = "was not compiled" if requested not in installed else "does not run on this machine"
        raise RuntimeError(
            f"RNNCORE_ISA: the build {requested!r} {why}; there are {', '.join(usable)}"
        )
    return requested


#: The build in use, chosen once, when rnncore is imported.
selected = choose(os.environ.get("RNNCORE_ISA", ""), cpu.runnable(), compiled())


def core(dtype: str) -> ModuleType:
    """The compiled core for "float32" or "float64"."""
    return import_module(f"rnncore._core_{selected}_f{dtype.removeprefix('float')}")
