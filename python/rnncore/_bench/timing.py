"""How a call is timed: on one core, after warming up, often enough, in turns with the others.

A timing is the mean of as many calls as take a minimum time together.  Contestants take turns,
round after round, so that a machine that slows down slows all of them. The median of the rounds is
reported, with half their interquartile range as its spread.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

Call = Callable[[], Any]


class Timing(NamedTuple):
    """Seconds of one call: median over the rounds, and half the interquartile range."""

    median: float
    spread: float


@contextmanager
def pinned() -> Iterator[None]:
    """Run on one core, where the system allows it; afterwards on all cores as before."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def first_call(call: Call) -> tuple[float, Any]:
    """Seconds of a call, and its result. Libraries that compile do so in the first call."""
    begun = perf_counter()
    result = call()
    return perf_counter() - begun, result


def total(call: Call, calls: int) -> float:
    """Seconds of so many calls, with the garbage collector off."""
    collects = gc.isenabled()
    gc.disable()
    try:
        begun = perf_counter()
        for _ in range(calls):
            call()
        return perf_counter() - begun
    finally:
        if collects:
            gc.enable()


def enough(call: Call, at_least: float) -> int:
    """How many calls take `at_least` seconds. Measuring that also warms up."""
    calls = 1
    while True:
        spent = total(call, calls)
        if spent >= at_least:
            return calls
        calls = min(10 * calls, int(1.1 * calls * at_least / max(spent, 1e-9)) + 1)


def in_rounds(calls: Mapping[str, Call], rounds: int, at_least: float) -> dict[str, list[float]]:
    """Seconds of every call in each round."""
    counts = {name: enough(call, at_least) for name, call in calls.items()}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            seconds[name].append(total(call, counts[name]) / counts[name])
    return seconds


def in_turns(calls: Mapping[str, Call], rounds: int, at_least: float) -> dict[str, Timing]:
    """Every call's timing over the rounds."""
    return {name: summary(times) for name, times in in_rounds(calls, rounds, at_least).items()}


def summary(times: list[float]) -> Timing:
    if len(times) == 1:
        return Timing(times[0], 0.0)
    low, _, high = quantiles(times, n=4, method="inclusive")
    return Timing(median(times), (high - low) / 2)
