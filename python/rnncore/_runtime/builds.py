"""Which build of the compiled core this process uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from rnncore._threads import available as available_threads
from rnncore._version import __version__


def uncompiled() -> ImportError:
    """Why there are no compiled modules, and how to come by them."""
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
    if find_spec("rnncore.cpu") is not None:  # it has an error of its own
        raise
    raise uncompiled() from None

#: Every build there can be, fastest first.
ISAS = ("v4", "v3", "base")


def compiled() -> list[str]:
    """Builds that are installed: the compiler may have lacked the flags for some."""
    return [isa for isa in ISAS if find_spec(f"rnncore._core_{isa}_f32") is not None]


def available() -> list[str]:
    """Builds that are installed and that this machine can run, fastest first."""
    runnable = cpu.runnable()
    return [isa for isa in compiled() if isa in runnable]


def choose(wish: str, runnable: Collection[str], installed: Collection[str]) -> str:
    """The build to use: the one wished for (``RNNCORE_ISA``), else the fastest there is."""
    usable = [isa for isa in ISAS if isa in runnable and isa in installed]
    if not usable:
        raise uncompiled()
    if not wish:
        return usable[0]
    if wish not in ISAS:
        raise ValueError(f"RNNCORE_ISA: expected one of {', '.join(ISAS)}, got {wish!r}")
    if wish not in usable:
        why = "was not compiled" if wish not in installed else "does not run on this machine"
        raise RuntimeError(f"RNNCORE_ISA: the build {wish!r} {why}; there are {', '.join(usable)}")
    return wish


#: The build in use, decided once, at import.
selected = choose(os.environ.get("RNNCORE_ISA", ""), cpu.runnable(), compiled())


def core(dtype: str) -> ModuleType:
    """The compiled core for "float32" or "float64"."""
    return import_module(f"rnncore._core_{selected}_f{dtype.removeprefix('float')}")


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction set in use, and those there are.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print it, or return it as a dict.

    Returns
    -------
    dict or None
        With ``mode="dicts"``: ``version``, ``python``, ``numpy``, ``isa`` (the build in
        use), ``available`` (builds this machine can run), ``compiled`` (builds that are
        installed) and ``threads`` (how many a call may use).

    Raises
    ------
    ValueError
        For any other mode.

    Examples
    --------
    >>> import rnncore as rc
    >>> config = rc.show_config(mode="dicts")
    >>> config["isa"] in config["available"]
    True
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode: expected 'stdout' or 'dicts', got {mode!r}")
    import numpy as np

    config = {
        "version": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "isa": selected,
        "available": available(),
        "compiled": compiled(),
        "threads": available_threads(),
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name:10s} {', '.join(value) if isinstance(value, list) else value}")
    return None
