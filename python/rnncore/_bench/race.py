"""One row of the table: every contestant is built, checked against rnncore, then timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rnncore._bench import timing
from rnncore._bench.grid import Row
from rnncore._bench.limits import Limits
from rnncore._bench.peers import Answer, Contestant, Peer

#: Largest deviation that rounding may cause, relative to the largest entry of an array: sums of
#: a hundred thousand terms in different orders.  A wrong derivative is wrong by far more.
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}

#: Of a contestant's own minimum time, what goes into choosing among a peer's variants.
TRIAL = 0.25


class DisagreementError(RuntimeError):
    """A contestant whose answer is not rnncore's."""


def check(name: str, got: Answer, expected: Answer, dtype: str) -> None:
    """DisagreementError unless every array of the answer is what rnncore says it is."""
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


def run(
    row: Row, dtype: str, peers: Sequence[Peer], rounds: int, at_least: float, limits: Limits
) -> dict[str, Any]:
    """Time all peers, of which the first is rnncore, on one row.

    Returns
    -------
    dict
        As documented in ``docs/benchmarks.md``, times in seconds of what the row reports.
    """
    net = row.network(dtype)
    x, y = row.data(dtype)
    chosen: dict[str, Contestant] = {}
    first: dict[str, float] = {}
    expected: Answer = {}
    for peer in peers:
        trials: dict[str, Contestant] = {}
        for contestant in peer.contestants(row, net, x, y):
            seconds, result = timing.first_call(contestant.call)
            answer = contestant.answer(result)
            expected = expected or {name: np.array(values) for name, values in answer.items()}
            check(f"{row}: {peer.name} ({contestant.variant})", answer, expected, dtype)
            trials[contestant.variant] = contestant
            first[f"{peer.name} {contestant.variant}"] = seconds
        if trials:
            chosen[peer.name] = fastest(trials, at_least)
    timings = timing.in_turns({name: c.call for name, c in chosen.items()}, rounds, at_least)
    limit = limits.seconds(row)
    own = timings[peers[0].name].median
    return {
        "row": row._asdict(),
        "contestants": {
            name: {
                "variant": chosen[name].variant,
                "median": seconds / row.calls,
                "spread": spread / row.calls,
                "first_call": first[f"{name} {chosen[name].variant}"],
            }
            for name, (seconds, spread) in timings.items()
        },
        "limit": limit / row.calls,
        "share": limit / own,
        "fma_share": limits.fma_share(row, own),
    }


def fastest(trials: dict[str, Contestant], at_least: float) -> Contestant:
    """Of a peer's variants."""
    if len(trials) == 1:
        return next(iter(trials.values()))
    calls = {variant: contestant.call for variant, contestant in trials.items()}
    timings = timing.in_turns(calls, 3, TRIAL * at_least)
    return trials[min(timings, key=lambda variant: timings[variant].median)]
