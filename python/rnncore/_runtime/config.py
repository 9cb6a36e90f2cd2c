"""What this process runs on: `rnncore.show_config`."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from rnncore._runtime import builds
from rnncore._runtime.threads import available as available_threads
from rnncore._version import __version__


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the instruction set in use, and those that are available.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print the configuration, or return it as a dict.

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
    config = {
        "version": __version__,
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "isa": builds.selected,
        "available": builds.available(),
        "compiled": builds.compiled(),
        "threads": available_threads(),
    }
    if mode == "dicts":
        return config
    for name, value in config.items():
        print(f"{name:10s} {', '.join(value) if isinstance(value, list) else value}")
    return None
