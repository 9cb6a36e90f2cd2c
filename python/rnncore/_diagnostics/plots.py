"""The figure of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._diagnostics.drawing import (
    COLOURS,
    count_along,
    is_wide,
    legend_above,
    line,
    panels,
    tidy,
    use_logarithms,
)

if TYPE_CHECKING:
    from rnncore._training.history import History


def history(of: History, ax: Any) -> Any:
    """`History.plot`."""
    losses, *others = panels(ax, (2.0, 1.2, 1.0))
    epochs = np.arange(1, len(of) + 1)
    line(losses, epochs, of.loss, 0, linewidth=1.2, label="training")
    if of.validation is not None:
        name = "validation, never finite"
        if of.best_epoch is not None:
            best = of.validation[of.best_epoch - 1]
            name = f"validation, least {best:.3g} in epoch {of.best_epoch}"
            losses.plot(of.best_epoch, best, "o", color=COLOURS[1], markersize=4)
        line(losses, epochs, of.validation, 1, linewidth=1.2, label=name)
        legend_above(losses)
    if is_wide(of.loss):
        use_logarithms(losses, of.loss)
    count = "1 epoch" if len(of) == 1 else f"{len(of)} epochs"
    title = f"{count}, {of.seconds.sum():.3g} s"
    losses.set_title(title, fontsize=8, pad=16 if of.validation is not None else 6)
    tidy(losses, "loss")
    more = (of.gradient_norm, 2, "gradient norm"), (of.lr, 3, "learning rate")
    for axis, (values, colour, label) in zip(others, more, strict=False):
        line(axis, epochs, values, colour, linewidth=1.0)
        if is_wide(values):
            use_logarithms(axis, values)
        tidy(axis, label)
    lowest = [losses, *others][-1]
    lowest.set_xlabel("epoch", fontsize=8)
    count_along(lowest, 1, len(of))
    return losses.figure
