"""How long single calls take that wait for nothing but each other: percentiles, not means.

A call is timed on its own, many thousand times, in blocks of which everybody has one in turn. With
numba installed, its loops (see ``peers.numba_kernels``) do the same for an Elman network; what both
compute is compared first. ``nothing`` is a call of an empty function: what the clock costs.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple

import numpy as np

from rnncore._bench import results, timing
from rnncore._bench.grid import CELLS
from rnncore._bench.race import TOLERANCE
from rnncore._networks.network import Network
from rnncore._runtime import builds
from rnncore._types import Array, State

Call = Callable[[], Any]

#: Of the times of one call.
PERCENTILES = (50.0, 99.0, 99.9)
#: Bins of the histogram in the document: so many for a factor of 10.
BINS = 10
STREAMS, STEPS = 64, 100


class Row(NamedTuple):
    """What is called, of which network: "step", "streams" of 64, or "run_stream" of 100 steps."""

    call: str
    cell: str
    H: int
    D: int

    @property
    def label(self) -> str:
        count = {"step": "", "streams": f"({STREAMS}).step", "run_stream": f" of {STEPS}"}
        return f"{self.call}{count[self.call]} {self.cell} {self.H}, {self.D}"


ROWS = [
    Row(call, cell, H, D)
    for call in ("step", "streams", "run_stream")
    for cell, H, D in (("rnn", 4, 1), ("rnn", 16, 8), ("gru", 16, 8), ("lstm", 16, 8))
]
QUICK = [Row(call, cell, 2, 3) for call in ("step", "streams", "run_stream") for cell in CELLS]


def inputs(row: Row, dtype: str) -> Array:
    """x_t (D,), of streams (64, D), or the steps (100, D)."""
    shape = {"step": (row.D,), "streams": (STREAMS, row.D), "run_stream": (STEPS, row.D)}
    return np.random.default_rng(0).standard_normal(shape[row.call]).astype(dtype)


def ours(row: Row, net: Network, x: Array) -> tuple[Call, Callable[[], Array]]:
    """A call, and what it put out last. States and outputs stay in their places."""
    y = np.empty((*x.shape[:-1], 1), x.dtype)
    if row.call == "streams":
        streams = net.streams(STREAMS)
        return (lambda: streams.step(x, y)), lambda: y.ravel()
    state = net.step(np.zeros(row.D, x.dtype))[1]
    for part in state if isinstance(state, tuple) else (state,):
        part[...] = 0
    out: tuple[Array, State] = (y, state)
    if row.call == "step":
        return (lambda: net.step(x, state, out)), lambda: y.ravel()
    return (lambda: net.run_stream(x, state, out)), lambda: y.ravel()


def numbas(row: Row, net: Network, x: Array) -> tuple[Call, Callable[[], Array]] | None:
    """The same of numba; None where it is not installed or has no such cell."""
    if row.cell != "rnn":
        return None
    try:
        from rnncore._bench.peers import numba_kernels as kernels
        from rnncore._bench.peers.numba_peer import transposed, weights
    except ImportError:
        return None
    w_ih, w_hh, b, w_y, b_y = weights(net)
    w_t, u = transposed(np.hstack([w_ih, w_hh])), np.zeros(row.D + row.H, x.dtype)
    h, y = np.zeros(row.H, x.dtype), np.zeros(x.shape[:-1], x.dtype)
    if row.call == "step":
        given = w_t, b, w_y, b_y, h, u
        found = np.zeros(1)

        def step() -> None:
            found[0] = kernels.step_units(x, *given)

        return step, lambda: found
    if row.call == "streams":
        hs = np.zeros((STREAMS, row.H), x.dtype)
        return (lambda: kernels.streams_units(x, w_t, b, w_y, b_y, hs, u, y)), lambda: y
    return (lambda: kernels.stream_units(x, w_t, b, w_y, b_y, h, u, y)), lambda: y


def contestants(row: Row, dtype: str) -> dict[str, Call]:
    """Calls by name, whose answers are equal to the first call, and after two more."""
    net = CELLS[row.cell].make(row.D, row.H, 1, dtype=dtype, seed=0)
    x = inputs(row, dtype)
    found = {"rnncore": ours(row, net, x), "numba": numbas(row, net, x)}
    calls = {name: both[0] for name, both in found.items() if both is not None}
    for more in (1, 2):
        answers = {}
        for name, both in found.items():
            if both is not None:
                for _ in range(more):
                    both[0]()
                answers[name] = np.array(both[1](), float)
        compare(row, dtype, answers)
    return calls


def compare(row: Row, dtype: str, answers: dict[str, Array]) -> None:
    expected = answers["rnncore"]
    for name, got in answers.items():
        error = float(np.abs(got - expected).max() / np.abs(expected).max())
        if not error <= TOLERANCE[dtype]:
            raise RuntimeError(f"{row.label}: {name}: outputs deviate by {error:.2g}")


def sample(call: Call, count: int) -> list[int]:
    """Nanoseconds of so many calls, each on its own, with the garbage collector off."""
    clock, times = perf_counter_ns, [0] * count
    collects = gc.isenabled()
    gc.disable()
    try:
        for k in range(count):
            begun = clock()
            call()
            times[k] = clock() - begun
    finally:
        if collects:
            gc.enable()
    return times


def spread(times: Array) -> dict[str, Any]:
    """Percentiles of nanoseconds, and a histogram over bins whose edges are powers of ten."""
    first = int(np.floor(BINS * np.log10(max(1, times.min()))))
    last = int(np.floor(BINS * np.log10(times.max()))) + 1
    edges = 10 ** (np.arange(first, last + 1) / BINS)
    counts = np.histogram(np.maximum(times, 1), edges)[0]
    found = zip(PERCENTILES, np.percentile(times, PERCENTILES), strict=True)
    return {
        "calls": len(times),
        **{f"p{p:g}": float(value) for p, value in found},
        "largest": float(times.max()),
        "edges": edges.round(1).tolist(),
        "counts": counts.tolist(),
    }  # fmt: skip


def measure(row: Row, dtype: str, rounds: int, calls: int) -> dict[str, Any]:
    """One row of the document: everybody's percentiles, in nanoseconds."""
    found: dict[str, Call] = contestants(row, dtype) | {"nothing": lambda: None}
    times: dict[str, list[int]] = {name: [] for name in found}
    with timing.pinned():
        for call in found.values():
            sample(call, calls // 10 + 1)
        for _ in range(rounds):
            for name, call in found.items():
                times[name] += sample(call, calls)
    return {
        "row": row._asdict(), "label": row.label,
        "contestants": {name: spread(np.array(each)) for name, each in times.items()},
    }  # fmt: skip


def report(rows: list[Row], dtype: str, rounds: int, calls: int) -> results.Document:
    """Print a table as rows are measured; returns the document."""
    document = results.about() | {
        "build": builds.selected, "dtype": dtype, "rounds": rounds, "calls_per_round": calls,
        "rows": [],
    }  # fmt: skip
    titles = [f"p{p:g}, ns" for p in PERCENTILES]
    print(f"| {dtype}: call, network, H, D | {' | '.join(titles)} | numba {titles[0]} | "
          f"rnncore / numba | clock {titles[0]} |")  # fmt: skip
    print("|---" * (len(titles) + 4) + "|")
    for row in rows:
        document["rows"].append(measure(row, dtype, rounds, calls))
        print(line(document["rows"][-1]), flush=True)
    return document


def line(row: dict[str, Any]) -> str:
    """A line of the table."""
    entries = row["contestants"]
    own, other = entries["rnncore"], entries.get("numba")
    cells = [row["label"], *(f"{own[f'p{p:g}']:.0f}" for p in PERCENTILES)]
    key = f"p{PERCENTILES[0]:g}"
    cells += [f"{other[key]:.0f}", f"{own[key] / other[key]:.2f}"] if other else ["", ""]
    cells.append(f"{entries['nothing'][key]:.0f}")
    return f"| {' | '.join(cells)} |"
