"""How many threads a call may use where the caller does not say. The compiled core imports it."""

from __future__ import annotations

import os


def available() -> int:
    """The number of cores this process may run on, or ``RNNCORE_THREADS`` if that is less."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    limit = os.environ.get("RNNCORE_THREADS", "")
    if not limit:
        return cores
    if not limit.isdecimal() or int(limit) < 1:
        raise ValueError(f"RNNCORE_THREADS: expected a number from 1 up, got {limit!r}")
    return min(cores, int(limit))
