"""What all figures have in common: drawn with matplotlib, to be read at the width of a column."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array

WIDTH = 3.4  # inches, of one column
COLOURS = ("#1f5fa8", "#c8501e", "#5c8a2a", "#7a7a7a")
#: Up to so many points have markers: a line through a single point would not be visible.
FEW = 20
#: Above so many bars, a line is drawn instead.
MOST_BARS = 60
#: Names of the backend of notebooks, in newer and older versions of matplotlib.
INLINE = ("inline", "module://matplotlib_inline.backend_inline")


def panels(
    ax: Any, heights: tuple[float, ...], width: float = WIDTH, share: bool = True
) -> list[Any]:
    """Axes one above the other, which may share what is along them: those given, of which one alone
    is for the first panel, or new ones of these heights in inches."""
    if ax is not None:
        return given_axes(ax, len(heights))
    options = {"sharex": share, "height_ratios": heights}
    return new_axes(len(heights), 1, (width, sum(heights)), **options)


def given_axes(ax: Any, count: int) -> list[Any]:
    """One axes, or so many as there are panels, as a list."""
    axes: list[Any] = list(np.asarray(ax, object).ravel())
    if len(axes) not in (1, count):
        alone = f"{count} axes, or one for the first panel alone" if count > 1 else "one axes"
        raise ValueError(f"ax: expected {alone}, got {len(axes)}")
    for axis in axes:
        if not hasattr(axis, "get_figure"):
            raise TypeError(f"ax: expected axes of matplotlib, got {check.kind(axis)}")
        if hasattr(axis.figure, "number"):  # a figure of pyplot, which a notebook shows by itself
            show_once(axis.figure)
    return axes


def new_axes(rows: int, columns: int, size: tuple[float, float], **options: Any) -> list[Any]:
    """The axes of a new figure."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plot: expected matplotlib (pip install rnncore[plot])") from error
    figure, axes = pyplot.subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False, **options
    )
    show_once(figure)
    return list(axes.ravel())


def show_once(figure: Any) -> None:
    """Keep a notebook from showing a figure twice: as the value of a cell, and again because it is
    still open. The figure is closed when it is shown as a value."""
    from matplotlib import get_backend

    if get_backend() not in INLINE:
        return
    figure._ipython_display_ = partial(close_and_display, figure)


def close_and_display(figure: Any) -> None:
    from IPython.display import display
    from matplotlib import pyplot

    del figure._ipython_display_
    pyplot.close(figure)
    display(figure)


def tidy(axis: Any, label: str) -> None:
    axis.set_ylabel(label, fontsize=8)
    axis.tick_params(labelsize=7, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#dddddd", linewidth=0.5)
    axis.set_axisbelow(True)


def legend_above(axis: Any) -> None:
    """A legend in one row above the panel, where it hides no curve."""
    axis.legend(
        fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3,
        borderaxespad=0.2, columnspacing=1.2, handlelength=1.4,
    )  # fmt: skip


def line(axis: Any, x: Array, y: Array, colour: int, **options: Any) -> None:
    """A curve through the points that are finite."""
    marker = "o" if len(x) <= FEW else ""
    shown = np.where(np.isfinite(y), y, np.nan)
    axis.plot(x, shown, color=COLOURS[colour], marker=marker, markersize=2.5, **options)


def positive(values: Array) -> Array:
    """The values for a logarithmic axis: NaN, which is not drawn, where they are not positive."""
    return np.where(values > 0, values, np.nan)


def count_along(axis: Any, first: float, last: float) -> None:
    """Whole numbers along the bottom of a panel."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    if last - first < FEW:
        axis.set_xlim(first - 0.5, max(first, last) + 0.5)


def use_logarithms(axis: Any, *curves: Array) -> None:
    """Make the axis logarithmic. Where it spans few powers of ten, it gets labels between them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_yscale("log")
    shown = np.concatenate([curve[np.isfinite(curve) & (curve > 0)] for curve in curves])
    if len(shown) and shown.max() < 100 * shown.min():
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())


def is_wide(values: Array) -> bool:
    """Whether numbers differ so much that only a logarithmic axis shows all of them."""
    finite = values[np.isfinite(values)]
    return bool(len(finite) and 0 < 10 * finite.min() < finite.max())
