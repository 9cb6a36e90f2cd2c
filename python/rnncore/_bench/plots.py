"""The first run of a document as figures, with matplotlib.

``speedup_H.png``, ``speedup_B.png`` and ``speedup_T.png`` show how many times faster than each
peer a train step is, along ``grid.AXES``; ``flat.png`` what one step of one sequence costs
however many there are; ``share.png`` how much of a train step the machine's limits account for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rnncore._bench.grid import AXES, FLAT, Row
from rnncore._bench.peers.registry import PEERS
from rnncore._bench.results import Document, mode_of

SIZE = (4.8, 3.6)  # inches: a text column, without shrinking
DPI = 160
NAMES = {"H": "hidden units H", "B": "sequences B", "T": "time steps T"}
FIXED = {"H": "", "B": " (H = 16, D = 8, T = 50)", "T": " (H = 16, D = 8, B = 32)"}
MARKERS = "os^vDPX*"  # one for each peer

#: A row, and the seconds of every contestant on it.
Measured = dict[Row, dict[str, float]]


def draw(document: Document, folder: Path) -> None:
    """Write the figures for which there are at least two points."""
    run = document["runs"][0]
    measured = {
        Row(**row["row"]): {name: c["median"] for name, c in row["contestants"].items()}
        for row in run["rows"]
    }

    def among(rows: list[Row]) -> Measured:
        return {row: measured[row] for row in rows if row in measured}

    about = str(mode_of(run))
    for axis, rows in AXES.items():
        points = among(rows)
        if len(points) > 1 and len(run["versions"]) > 1:
            speedup(points, axis, about).savefig(folder / f"speedup_{axis}.png", dpi=DPI)
    trained = [row for row in run["rows"] if row["row"]["task"] == "train" and row["share"] <= 1]
    with_targets = [row for row in trained if row["row"]["target"] is not None]
    if with_targets:
        share(with_targets, about).savefig(folder / "share.png", dpi=DPI)
    lines = {axis: among(rows) for axis, rows in FLAT.items()}
    if all(lines.values()):
        flat(lines, about).savefig(folder / "flat.png", dpi=DPI)


def speedup(points: Measured, axis: str, about: str) -> Figure:
    """Times faster than each peer, against H, B or T."""
    figure, axes = picture(f"Train step, {about}")
    for k, peer in enumerate(name for name in PEERS if name != "rnncore"):
        there = sorted(
            (getattr(row, axis), times) for row, times in points.items() if peer in times
        )
        axes.plot(
            [size for size, _ in there], [times[peer] / times["rnncore"] for _, times in there],
            color=f"C{k}", marker=MARKERS[k], markersize=4, linewidth=1.2,
            label=peer if there else None,
        )  # fmt: skip
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    sizes = sorted({getattr(row, axis) for row in points})
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(NAMES[axis] + FIXED[axis])
    axes.set_ylabel("rnncore is so many times faster")
    axes.legend(frameon=False, fontsize=8, ncols=2)
    return figure


def flat(lines: dict[str, Measured], about: str) -> Figure:
    """Nanoseconds of one step of one sequence, against how many there are."""
    figure, axes = picture(f"rnncore alone, {about}")
    for varied, points in lines.items():
        row = next(iter(points))
        axes.plot(
            [row.B * row.T for row in points],
            [1e9 * times["rnncore"] / (row.B * row.T) for row, times in points.items()],
            marker="o", markersize=4, linewidth=1.2,
            label=f"B = {row.B}, more steps" if varied == "T" else f"T = {row.T}, more sequences",
        )  # fmt: skip
    axes.set_xlabel("steps of all sequences, B T")
    axes.set_ylabel("train step, ns per step of a sequence", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
    return figure


def share(rows: list[dict[str, Any]], about: str) -> Figure:
    """For each train step, the shares of time that its products would take at the peak, and its
    tanh and logistic functions at theirs, and the rest."""
    figure = Figure(figsize=(SIZE[0], 0.6 + 0.22 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.set_title(f"Where a train step's time goes, {about}", fontsize=10)
    labels = [Row(**row["row"]).label for row in rows]
    left = [0.0] * len(rows)
    parts = {
        "products at peak": [row["fma_share"] for row in rows],
        "tanh at its rate, or its latency": [row["share"] - row["fma_share"] for row in rows],
        "all else": [1 - row["share"] for row in rows],
    }
    for (name, widths), color in zip(parts.items(), ("C0", "C1", "0.85"), strict=True):
        axes.barh(labels, [100 * w for w in widths], left=left, color=color, label=name)
        left = [at + 100 * w for at, w in zip(left, widths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the measured time")
    axes.tick_params(labelsize=8)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, fontsize=8, ncols=3, loc="outside lower center", frameon=False)
    return figure


def picture(title: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=10)
    axes.set_xscale("log")
    axes.grid(True, which="major", color="0.9", linewidth=0.6)
    return figure, axes
