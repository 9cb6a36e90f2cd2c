"""Figures, with matplotlib: drawn to be read at the width of a column in a paper."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow
    from rnncore._training.history import History

WIDTH = 3.4  # inches, of one column
COLOURS = ("#1f5fa8", "#c8501e", "#5c8a2a", "#7a7a7a")
#: Up to so many points have markers: a line through a single point would not be visible.
FEW = 20
#: Above so many bars, a line is drawn instead.
MOST_BARS = 60
#: Names of the backend of notebooks, in newer and older versions of matplotlib.
INLINE = ("inline", "module://matplotlib_inline.backend_inline")


def panels(axes: Any, heights: tuple[float, ...]) -> Any:
    """Axes one above the other: those given, or new ones of these heights in inches."""
    count = len(heights)
    if axes is not None:
        given = np.atleast_1d(np.asarray(axes, object))
        if given.shape != (count,):
            raise ValueError(f"axes: expected {count} axes, got {given.shape}")
        return given
    try:
        from matplotlib import get_backend, pyplot
    except ImportError as error:
        raise ImportError("plot: expected matplotlib (pip install matplotlib)") from error
    figure, new = pyplot.subplots(
        count, 1, figsize=(WIDTH, sum(heights)), sharex=True, layout="constrained", squeeze=False,
        height_ratios=heights,
    )  # fmt: skip
    if get_backend() in INLINE:
        show_once(figure)
    return new[:, 0]


def show_once(figure: Any) -> None:
    """Keep a notebook from showing a figure twice: as the value of a cell, and again because it is
    still open. The figure is closed when it is shown as a value."""
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
        axis.set_xlim(first - 0.5, last + 0.5)


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


def history(of: History, axes: Any) -> Any:
    """`History.plot`."""
    losses, norms, rates = panels(axes, (2.0, 1.2, 1.0))
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
    for axis, values, colour, label in (
        (norms, of.gradient_norm, 2, "gradient norm"), (rates, of.lr, 3, "learning rate"),
    ):  # fmt: skip
        line(axis, epochs, values, colour, linewidth=1.0)
        if is_wide(values):
            use_logarithms(axis, values)
        tidy(axis, label)
    rates.set_xlabel("epoch", fontsize=8)
    count_along(rates, 1, len(of))
    return losses.figure


def flow(of: GradientFlow, axes: Any, note: str | None) -> Any:
    """`GradientFlow.plot`; the note is added to the title."""
    upper, lower = panels(axes, (1.9, 1.9))
    steps = np.arange(1, of.steps + 1)
    shown = positive(of.term_norms)
    if of.steps <= MOST_BARS:
        floor = np.nanmin(shown) / 3 if np.isfinite(shown).any() else 1e-3
        upper.bar(steps, shown - floor, bottom=floor, color=COLOURS[0], width=0.8)
    else:
        line(upper, steps, shown, 0, linewidth=1.0)
    use_logarithms(upper, of.term_norms)
    upper.axvspan(of.steps - of.horizon + 0.5, of.steps + 0.5, color="#f2e6c9", zorder=0)
    title = f"{of.verdict}: 99 % within the last {of.horizon} of {of.steps} steps"
    if note is not None:
        title += f"\n({note})"
    upper.set_title(title, fontsize=8)
    tidy(upper, "norm of the term")
    line(lower, np.arange(of.steps + 1), positive(of.state_norms), 1, linewidth=1.2,
         label=r"$|dL/dh_t|$")  # fmt: skip
    chain = r"$\|J_T \cdots J_{t+1}\|$"
    line(lower, steps - 1, positive(of.product_norms), 2, linewidth=1.2, label=chain)
    line(lower, steps, positive(of.jacobian_norms), 3, linewidth=0.8, label=r"$\|J_t\|$")
    use_logarithms(lower, of.state_norms, of.product_norms, of.jacobian_norms)
    lower.set_xlabel("time step", fontsize=8)
    count_along(lower, 0, of.steps)
    legend_above(lower)
    tidy(lower, "norm")
    return upper.figure
