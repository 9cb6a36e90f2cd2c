"""The figure of the gradients of single sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._calls.per_sample import squares
from rnncore._diagnostics import drawing
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._calls.per_sample import SampleGradients

#: So many sequences are shown by parameter, and so many parameters by name.
SEQUENCES, PARAMETERS = 10, 5
COLOURS = (*drawing.COLOURS[:3], "#8a5fa8", "#d9a520", "#b5b5b5")


def norms(of: SampleGradients, ax: Any) -> Any:
    """`SampleGradients.plot`."""
    axes = drawing.panels(ax, (1.9, 1.9), width=4.2, share=False)
    sizes = of.norms
    order = np.argsort(sizes)[::-1]
    in_order(axes[0], sizes[order], order)
    for axis in axes[1:]:
        by_parameter(axis, {name: squares(g[order[:SEQUENCES]]) for name, g in of.grads.items()})
        axis.set_xticks(range(len(order[:SEQUENCES])), order[:SEQUENCES])
    return axes[0].figure


def in_order(axis: Any, sizes: Array, order: Array) -> None:
    """All norms, the largest first; the sequences of the first three are named."""
    places = np.arange(1, len(sizes) + 1)
    drawing.line(axis, places, sizes, 0, linewidth=1.2)
    for place, size, sequence in zip(places[:3], sizes, order, strict=False):
        axis.annotate(
            str(sequence), (place, size), (5, 3), textcoords="offset points", fontsize=7,
            va="center",
        )  # fmt: skip
    if drawing.is_wide(sizes):
        drawing.use_logarithms(axis, sizes)
    drawing.tidy(axis, "gradient norm")
    axis.set_xlabel("sequences, the largest first", fontsize=8)
    drawing.count_along(axis, 1, len(sizes))


def by_parameter(axis: Any, parts: dict[str, Array]) -> None:
    """Stacked bars of sequences: the shares of parameters in the square of the norm."""
    whole = np.sum(list(parts.values()), axis=0)
    shares = {name: part / np.where(whole > 0, whole, 1) for name, part in parts.items()}
    names = sorted(shares, key=lambda name: -shares[name].sum())
    shown = {name: shares[name] for name in names[:PARAMETERS]}
    if len(names) > PARAMETERS:
        shown["others"] = np.sum([shares[name] for name in names[PARAMETERS:]], axis=0)
    below = np.zeros(len(whole))
    for (name, share), colour in zip(shown.items(), COLOURS, strict=False):
        axis.bar(range(len(share)), share, 0.8, below, color=colour, label=name)
        below = below + share
    drawing.tidy(axis, "share of norm squared")
    axis.set_xlabel("number of the sequence", fontsize=8)
    axis.legend(fontsize=6.5, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
