"""The figure of a comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._diagnostics import drawing
from rnncore._types import Array


def comparison(of: dict[str, Array], by: str, loss: str, ax: Any) -> Any:
    """`Sweep.plot`: numbers at their places on the axis, anything else side by side."""
    (axis,) = drawing.panels(ax, (2.4,))
    values = of["value"]
    numeric = values.dtype.kind in "iuf"
    at = values if numeric else np.arange(len(values))
    error = np.where(np.isfinite(of["sem"]), of["sem"], 0)
    axis.errorbar(
        at, of["mean"], error, fmt="o-" if numeric else "o", color=drawing.COLOURS[0],
        markersize=4, linewidth=1.2, capsize=2.5,
    )  # fmt: skip
    if numeric and (values > 0).all() and drawing.is_wide(values):
        axis.set_xscale("log")
    elif not numeric or values.dtype.kind in "iu":
        axis.set_xticks(at, [str(value) for value in values])
    axis.set_xlabel(by, fontsize=8)
    drawing.tidy(axis, f"mean {loss} \u00b1 standard error")
    return axis.figure
