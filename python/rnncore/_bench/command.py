"""Measuring and printing, for ``python -m rnncore bench`` and ``benchmarks/run.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rnncore._bench import grid, processes, results
from rnncore._bench.grid import Row
from rnncore._bench.modes import Mode
from rnncore._bench.peers.registry import PEERS
from rnncore._bench.results import Document
from rnncore._checks import arguments as check

#: All but rnncore, which always takes part.
RIVALS = tuple(name for name in PEERS if name != "rnncore")


def measure(
    kinds: Sequence[Mode], rows: Sequence[Row], peers: Sequence[str], *,
    flat: Sequence[Row] = (), rounds: int = 7, at_least: float = 0.02,
) -> Document:  # fmt: skip
    """Measure the rows in every mode, printing each as it is finished.

    Parameters
    ----------
    kinds
        The modes.
    rows, flat
        Rows on which all contestants are timed; rows on which only rnncore is, in the first mode.
    peers
        Names of ``peers.registry.PEERS``; the report lists those that are not installed.
    rounds, at_least
        Timings of every contestant, and seconds of each.
    """
    peers = [check.choice("peers", name, RIVALS) for name in peers]
    rounds = check.whole("rounds", rounds, 1)
    at_least = check.number("seconds", at_least, 0, above=True)
    document = results.new_document(rounds, at_least)
    for kind in kinds:
        reports = processes.run(
            kind, rows, peers, rounds=rounds, at_least=at_least,
            flat=flat if kind == kinds[0] else (),
        )  # fmt: skip
        run = next(reports) | {"rows": []}
        document["runs"].append(run)
        table = results.Table(run)
        print(results.heading(run))
        print(table.head())
        for row in reports:
            run["rows"].append(row)
            print(table.line(row), flush=True)
        print(results.first_calls(run), end="\n\n")
    return document


def light(rows: Sequence[Row], dtype: str, rounds: int, file: Path | None) -> None:
    """A few rows, or those given, with all libraries that are installed."""
    document = measure([Mode(dtype=dtype)], rows or grid.LIGHT, RIVALS, rounds=rounds)
    write_json(document, file)


def single_calls(dtype: str, rounds: int, file: Path | None, *, quick: bool = False) -> None:
    """Percentiles of single calls, and the calls that only rnncore has."""
    from rnncore._bench import calls, latency

    rows = latency.QUICK if quick else latency.ROWS
    document = latency.report(rows, dtype, rounds, 20 if quick else 20_000)
    print()
    seconds = 1e-4 if quick else 0.02
    document["others"] = calls.compare(calls.QUICK if quick else calls.ROWS, rounds, seconds)
    write_json(document, file)


def write_json(document: Document, file: Path | None) -> None:
    if file is not None:
        file.write_text(json.dumps(document, indent=1), encoding="utf-8")
        print(f"Written to {file}.")


def write(document: Document, folder: Path) -> None:
    """Write results.json, results.md and, if matplotlib is installed, figures to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    (folder / "results.md").write_text(results.markdown(document), encoding="utf-8")
    try:
        from rnncore._bench import plots
    except ImportError:
        return
    plots.draw(document, folder)
