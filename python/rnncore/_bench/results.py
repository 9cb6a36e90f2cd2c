"""The results of a run: a document for JSON, and its tables in Markdown.

``docs/project/benchmarks.md`` says what is in the document.
"""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from typing import Any

import numpy as np

from rnncore._bench.grid import Row
from rnncore._bench.modes import Mode
from rnncore._bench.peers.registry import STUDIES
from rnncore._version import __version__

Document = dict[str, Any]


def new_document(rounds: int, at_least: float) -> Document:
    """A document without runs yet."""
    return about() | {"rounds": rounds, "seconds_per_round": at_least, "runs": []}


def about() -> Document:
    """What was measured, when and where."""
    date = datetime.now(UTC).isoformat(timespec="seconds")
    return {"rnncore": __version__, "date": date, "machine": machine()}


def machine() -> dict[str, Any]:
    """The machine and the versions that the numbers depend on."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def cpu_model() -> str:
    """The name of the processor, if the system reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = [line.split(":", 1) for line in file if line.startswith("model name")]
        return lines[0][1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def mode_of(run: dict[str, Any]) -> Mode:
    return Mode(*(run["mode"][field] for field in Mode._fields))


def best_peer(row: dict[str, Any]) -> tuple[str, float] | None:
    """The fastest of rnncore's rivals in a row, and how many times rnncore is faster."""
    entries = row["contestants"].items()
    times = {name: entry["median"] for name, entry in entries if name not in STUDIES}
    own = times.pop("rnncore")
    if not times:
        return None
    name = min(times, key=lambda name: times[name])
    return name, times[name] / own


class Table:
    """A Markdown table that can be printed line by line, while rows are measured."""

    def __init__(self, run: dict[str, Any]) -> None:
        self.mode = mode_of(run)
        # Targets are meant against the fastest of all peers.
        self.shows_targets = self.mode.has_targets and not run["missing"]
        self.names = list(run["versions"])
        self.titles = [
            "task, cell, H, D, B, T", *(f"{name}, µs" for name in self.names),
            "times faster", "target", "share of limit", "FMA share",
        ]  # fmt: skip
        self.widths = [29, *(max(14, len(name) + 4) for name in self.names), 20, 10, 14, 9]

    def head(self) -> str:
        rule = ["-" * width for width in self.widths]
        return self.aligned(self.titles) + "\n" + self.aligned(rule)

    def line(self, row: dict[str, Any]) -> str:
        what = Row(**row["row"])
        best = best_peer(row)
        cells = [str(what), *(self.time(row, name) for name in self.names)]
        cells.append(f"{best[1]:.3g} ({best[0]})" if best else "")
        if best and self.shows_targets and what.target is not None:
            cells.append(f"{what.target:g} {'met' if best[1] >= what.target else 'missed'}")
        else:
            cells.append("")
        # The limits are those of one core.
        shares = [row["share"], row["fma_share"]] if self.mode.threads == 1 else []
        cells += [f"{100 * share:.3g} %" for share in shares] or ["", ""]
        return self.aligned(cells)

    def time(self, row: dict[str, Any], name: str) -> str:
        """Median in microseconds and spread in percent of it."""
        entry = row["contestants"].get(name)
        if entry is None:
            return ""
        spread = 100 * entry["spread"] / entry["median"]
        return f"{significant(1e6 * entry['median'])} ±{spread:.0f} %"

    def aligned(self, cells: list[str]) -> str:
        pairs = zip(cells, self.widths, strict=True)
        return "| " + " | ".join(f"{cell:<{width}s}" for cell, width in pairs) + " |"


def significant(number: float) -> str:
    """Three significant digits, never as a power of ten."""
    digits = max(0, 2 - int(np.floor(np.log10(number))))
    return f"{number:.{digits}f}"


def heading(run: dict[str, Any]) -> str:
    """The mode, the versions and the limits of a run, as lines of text."""
    limits = run["limits"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    missing = f"; not installed: {', '.join(run['missing'])}" if run["missing"] else ""
    return (
        f"{str(mode_of(run)).capitalize()}, build {run['mode']['build']}. {versions}{missing}.\n"
        f"One core of this machine: {limits['flops_per_second'] / 1e9:.1f} GFLOP/s, "
        f"tanh {limits['seconds_per_tanh'] * 1e9:.2f} ns, "
        f"h = tanh(w h + x) {limits['seconds_per_chain_step'] * 1e9:.1f} ns, "
        f"memory {limits['bytes_per_second'] / 1e9:.1f} GB/s."
    )


def first_calls(run: dict[str, Any]) -> str:
    """The longest first call of each contestant; of libraries that compile, mostly compilation."""
    longest: dict[str, float] = {}
    for row in run["rows"]:
        for name, entry in row["contestants"].items():
            longest[name] = max(longest.get(name, 0.0), entry["first_call"])
    listed = ", ".join(f"{name} {seconds:.2g} s" for name, seconds in longest.items())
    return f"Longest first call, compilation and all: {listed}."


def markdown(document: Document) -> str:
    """The whole document as text: what was run where, and a table for every run."""
    about = document["machine"]
    parts = [
        f"# rnncore {document['rnncore']}, {document['date'][:10]}",
        f"{about['cpu']}, {about['cores']} cores, {about['system']} {about['architecture']}, "
        f"Python {about['python']}. Median of {document['rounds']} interleaved rounds ± half the "
        "interquartile range; microseconds of one call, of one step for `step`. *Times faster* "
        "is the fastest peer's time over rnncore's.",
    ]
    for run in document["runs"]:
        table = Table(run)
        parts.append("## " + heading(run).replace("\n", "\n\n"))
        parts.append("\n".join([table.head(), *(table.line(row) for row in run["rows"])]))
        parts.append(first_calls(run))
    return "\n\n".join(parts) + "\n"
