"""Figures of a benchmark's results, for pages with a light and a dark ground.

    python benchmarks/run.py --out results
    python benchmarks/plots.py results/results.json --out docs/figures

For the first run in the file: ``times-TASK-light.svg`` and ``-dark.svg``, the microseconds of every
library on every row of a task as bars along a logarithmic axis; ``ratio-light.svg`` and
``-dark.svg``, how many times as long as rnncore the fastest other library takes, with the rows on
which rnncore is the slower one in another colour.  Needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from math import floor, log10
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from rnncore._bench.grid import TASKS, Row
from rnncore._bench.peers.registry import PEERS, STUDIES
from rnncore._bench.results import best_peer, mode_of, significant

WIDTH = 7.2  # inches
BAR = 0.11
NAMES = {
    "train": "Train step: loss and all gradients", "ragged": "Train step, lengths 5 to T",
    "forward": "Outputs of a batch", "step": "One step of one stream, called from Python",
}  # fmt: skip
#: In the order of the registry; they can be told apart in grey, and by those who see few colours.
COLOURS = {
    "rnncore": "#d1495b", "oracle": "#8d6a9f", "numpy": "#3d7ea6", "numba": "#e0a030",
    "torch": "#5aa469", "jax": "#9a7bc8", "onnxruntime": "#7fb3c8", "onednn": "#5b5b8c",
}  # fmt: skip
SLOWER = "#888888"


class Ground(NamedTuple):
    """What is drawn on: the colours of text and of lines behind the bars."""

    text: str
    lines: str

    def settings(self) -> dict[str, Any]:
        return {
            "text.color": self.text, "axes.labelcolor": self.text, "axes.titlecolor": self.text,
            "xtick.color": self.text, "ytick.color": self.text, "axes.edgecolor": self.lines,
            "grid.color": self.lines, "axes.facecolor": "none", "figure.facecolor": "none",
            "savefig.facecolor": "none", "axes.spines.top": False, "axes.spines.right": False,
            "font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "rnncore",
            "font.family": "sans-serif", "legend.frameon": False,
        }  # fmt: skip


GROUNDS = {"light": Ground("#222222", "#d8d8d8"), "dark": Ground("#e4e4e4", "#4a4a4a")}
Run = dict[str, Any]


def rows_of(run: Run, task: str) -> list[dict[str, Any]]:
    """The rows of a task on which rnncore has company."""
    rows = [row for row in run["rows"] if row["row"]["task"] == task]
    return [row for row in rows if best_peer(row) is not None]


def times(run: Run, task: str) -> Figure | None:
    """Bars of all libraries, grouped by row; None where there is nothing to compare."""
    rows = rows_of(run, task)
    shown = {name for row in rows for name in row["contestants"]}.difference(STUDIES)
    names = [name for name in PEERS if name in shown]
    if not rows:
        return None
    figure, axes = bars(NAMES[task], sum(len(shown & row["contestants"].keys()) for row in rows),
                        len(rows))  # fmt: skip
    place, middles = 0.0, []
    for row in rows:
        there = [name for name in names if name in row["contestants"]]
        for k, name in enumerate(there):
            micros = 1e6 * row["contestants"][name]["median"]
            axes.barh(place + k, micros, 0.86, color=COLOURS[name])
            axes.text(micros, place + k, " " + significant(micros), va="center", fontsize=5.5)
        middles.append(place + (len(there) - 1) / 2)
        place += len(there) + 1
    finish(axes, rows, middles, place - 1)
    least = min(entry["median"] for row in rows for entry in row["contestants"].values())
    axes.set_xlim(left=10 ** floor(log10(1e6 * least)))  # bars begin at a power of ten
    axes.set_xlabel("microseconds")
    handles = [axes.barh(0, 0, color=COLOURS[name]) for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names))
    return figure


def ratio(run: Run) -> Figure | None:
    """How many times as long as rnncore the fastest other library takes, row by row."""
    rows = [row for task in TASKS for row in rows_of(run, task)]
    if not rows:
        return None
    figure, axes = bars("The fastest other library's time over rnncore's", len(rows), 0)
    for k, row in enumerate(rows):
        name, faster = best_peer(row) or ("", 1.0)
        colour = COLOURS["rnncore"] if faster >= 1 else SLOWER
        axes.barh(k, faster - 1, 0.7, left=1, color=colour)
        text = f" {faster:.2g} ({name})"
        axes.text(max(faster, 1), k, text, va="center", fontsize=6)
    finish(axes, rows, range(len(rows)), len(rows))
    axes.set_yticklabels([f"{row['row']['task']} {Row(**row['row']).label}" for row in rows])
    axes.axvline(1, color=axes.xaxis.label.get_color(), linewidth=0.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("times as long")
    return figure


def bars(title: str, count: int, groups: int) -> tuple[Figure, Axes]:
    figure = Figure((WIDTH, 1.0 + BAR * (1.4 * count + 1.4 * groups)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.grid(axis="x", linewidth=0.5)
    axes.set_axisbelow(True)
    return figure, axes


def finish(axes: Axes, rows: Sequence[Any], middles: Sequence[float], end: float) -> None:
    """Names of the rows, the first on top, and room for the numbers behind the bars."""
    axes.set_yticks(middles, [Row(**row["row"]).label for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(end - 0.3, -0.7)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high * (high / low) ** 0.08)


def figures(run: Run) -> Iterator[tuple[str, Figure]]:
    for task in TASKS:
        if (figure := times(run, task)) is not None:
            yield f"times-{task}", figure
    if (figure := ratio(run)) is not None:
        yield "ratio", figure


def draw(document: dict[str, Any], folder: Path) -> list[Path]:
    """Write all figures on both grounds."""
    run, written = document["runs"][0], []
    about = f"{document['machine']['cpu']}, {mode_of(run)}, rnncore {document['rnncore']}"
    for ground, colours in GROUNDS.items():
        with rc_context(colours.settings()):
            for name, figure in figures(run):
                figure.axes[0].set_title(
                    f"{figure.axes[0].get_title(loc='left')}\n{about}", fontsize=8, loc="left"
                )
                written.append(folder / f"{name}-{ground}.svg")
                figure.savefig(written[-1], metadata={"Date": None})
                # Without the blanks at the ends of lines that matplotlib leaves.
                lines = written[-1].read_text("utf-8").splitlines()
                written[-1].write_text("\n".join(map(str.rstrip, lines)) + "\n", "utf-8")
    return written


def main(line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="results.json of benchmarks/run.py")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="FOLDER")
    options = parser.parse_args(line)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in draw(json.loads(options.results.read_text("utf-8")), options.out):
        print(path)


if __name__ == "__main__":
    main()
