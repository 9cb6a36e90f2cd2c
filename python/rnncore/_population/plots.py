"""The figure of a population's fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._diagnostics import drawing
from rnncore._population.history import quantiles

if TYPE_CHECKING:
    from rnncore._population.history import PopulationHistory


def history(of: PopulationHistory, ax: Any) -> Any:
    """`PopulationHistory.plot`."""
    losses, *others = drawing.panels(ax, (2.2, 1.0))
    epochs = np.arange(1, len(of) + 1)
    curves = {"training": of.loss}
    if of.validation is not None:
        curves["validation"] = of.validation
    drawn = []
    for k, (name, values) in enumerate(curves.items()):
        middle, low, high = quantiles(values)
        drawing.line(losses, epochs, middle, k, linewidth=1.2, label=name)
        losses.fill_between(epochs, low, high, color=drawing.COLOURS[k], alpha=0.2, linewidth=0)
        drawn += [low, high]
    if any(map(drawing.is_wide, drawn)):
        drawing.use_logarithms(losses, *drawn)
    title = f"median of {len(of.epochs)} members, shaded 10 % to 90 %"
    losses.set_title(title, fontsize=8, pad=16)
    drawing.legend_above(losses)
    drawing.tidy(losses, "loss")
    for axis in others:
        trained = (of.epochs[None] >= epochs[:, None]).sum(axis=1)
        axis.step(epochs, trained, where="mid", color=drawing.COLOURS[3], linewidth=1.0)
        axis.set_ylim(0, 1.08 * len(of.epochs))
        drawing.tidy(axis, "members\ntrained")
    lowest = [losses, *others][-1]
    lowest.set_xlabel("epoch", fontsize=8)
    drawing.count_along(lowest, 1, len(of))
    return losses.figure
