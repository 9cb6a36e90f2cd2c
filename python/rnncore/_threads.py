"""How many threads one call may use."""

from __future__ import annotations

import os


def available() -> int:
    """Cores this process may run on, or the limit set in ``RNNCORE_THREADS`` if that is less."""
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
