"""One contestant in one row: built, checked against rnncore, then timed."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnncore._bench import timing
from rnncore._bench.grid import Row
from rnncore._bench.peers.itself import Itself
from rnncore._bench.peers.peer import Answer, Contestant, Peer

#: Largest deviation that rounding may cause, relative to the largest entry of an array: sums of
#: a hundred thousand terms in different orders. The error of a wrong derivative is far larger.
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}

#: The share of the minimum time that is used for choosing among the variants of a peer.
TRIAL = 0.25


class DisagreementError(RuntimeError):
    """A contestant whose answer is not rnncore's."""


def check(name: str, got: Answer, expected: Answer, dtype: str) -> None:
    """Raise DisagreementError unless every array of the answer equals rnncore's."""
    if set(got) != set(expected):
        raise DisagreementError(f"{name}: expected {sorted(expected)}, got {sorted(got)}")
    for what, wanted in expected.items():
        values = np.asarray(got[what])
        if values.shape != wanted.shape:
            raise DisagreementError(
                f"{name}: {what}: expected shape {wanted.shape}, got {values.shape}"
            )
        scale = max(float(np.abs(wanted).max()), 1e-30)
        deviation = float(np.abs(values - wanted).max()) / scale
        if not deviation <= TOLERANCE[dtype]:  # NaN too
            raise DisagreementError(
                f"{name}: {what}: expected rnncore's to {TOLERANCE[dtype]:g} of its largest "
                f"entry, got a deviation of {deviation:.2g}"
            )


class Entry(NamedTuple):
    """A contestant that is timed over `calls` calls at a time."""

    contestant: Contestant
    calls: int
    first_call: float

    def about(self) -> dict[str, Any]:
        return {"variant": self.contestant.variant, "first_call": self.first_call}

    def time(self) -> float:
        """Seconds of one call. One call before it is not timed: it wakes threads that sleep."""
        self.contestant.call()
        return timing.total(self.contestant.call, self.calls) / self.calls


def enter(row: Row, dtype: str, peer: Peer, at_least: float) -> Entry | None:
    """A peer's fastest contestant for a row, after all of them were checked against rnncore; None
    if it has none."""
    net = row.network(dtype)
    x, y = row.data(dtype)
    itself = Itself(threads=1).contestants(row, net, x, y)[0]
    expected = itself.answer(itself.call())
    trials: dict[str, Contestant] = {}
    first: dict[str, float] = {}
    for contestant in peer.contestants(row, net, x, y):
        variant = contestant.variant
        first[variant], result = timing.first_call(contestant.call)
        check(f"{row}: {peer.name} ({variant})", contestant.answer(result), expected, dtype)
        trials[variant] = contestant
    if not trials:
        return None
    best = fastest(trials, at_least)
    return Entry(best, timing.enough(best.call, at_least), first[best.variant])


def fastest(trials: dict[str, Contestant], at_least: float) -> Contestant:
    """The fastest of a peer's variants."""
    if len(trials) == 1:
        return next(iter(trials.values()))
    calls = {variant: contestant.call for variant, contestant in trials.items()}
    timings = timing.in_turns(calls, 3, TRIAL * at_least)
    return trials[min(timings, key=lambda variant: timings[variant].median)]
