"""Figures, where matplotlib is installed: drawn to be read at the width of a paper's column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rnncore._flow import GradientFlow
    from rnncore._history import History

WIDTH = 3.4  # inches, of one column
COLOURS = ("#1f5fa8", "#c8501e", "#5c8a2a", "#7a7a7a")


def panels(axes: Any, count: int, height: float) -> Any:
    """So many axes one above the other: those given, or new ones."""
    if axes is not None:
        given = np.atleast_1d(np.asarray(axes, object))
        if given.shape != (count,):
            raise ValueError(f"axes: expected {count} axes, got {given.shape}")
        return given
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("plot: expected matplotlib (pip install matplotlib)") from error
    _figure, new = pyplot.subplots(
        count, 1, figsize=(WIDTH, height), sharex=True, layout="constrained"
    )
    return np.atleast_1d(new)


def tidy(axis: Any, label: str) -> None:
    axis.set_ylabel(label, fontsize=8)
    axis.tick_params(labelsize=7, which="both")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color="#dddddd", linewidth=0.5)
    axis.set_axisbelow(True)


def legend_above(axis: Any) -> None:
    """In one row over the panel, where it hides no curve."""
    axis.legend(
        fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3,
        borderaxespad=0.2, columnspacing=1.2, handlelength=1.4,
    )  # fmt: skip


def history(of: History, axes: Any) -> Any:
    upper, lower = panels(axes, 2, 3.4)
    epochs = np.arange(1, len(of) + 1)
    upper.plot(epochs, of.loss, color=COLOURS[0], linewidth=1.2, label="training")
    if of.validation is not None and of.best_epoch is not None:
        best = of.validation[of.best_epoch - 1]
        name = f"validation, least {best:.3g} in epoch {of.best_epoch}"
        upper.plot(epochs, of.validation, color=COLOURS[1], linewidth=1.2, label=name)
        upper.plot(of.best_epoch, best, "o", color=COLOURS[1], markersize=4)
        legend_above(upper)
    if len(of) and of.loss.min() > 0 and of.loss.max() > 10 * of.loss.min():
        upper.set_yscale("log")
    title = f"{len(of)} epochs, {of.seconds.sum():.3g} s"
    upper.set_title(title, fontsize=8, pad=16 if of.validation is not None else 6)
    tidy(upper, "loss")
    lower.plot(epochs, of.gradient_norm, color=COLOURS[2], linewidth=1.0, label="gradient norm")
    lower.plot(epochs, of.lr, color=COLOURS[3], linewidth=1.0, label="learning rate")
    if (of.gradient_norm > 0).any():
        lower.set_yscale("log")
    lower.set_xlabel("epoch", fontsize=8)
    legend_above(lower)
    tidy(lower, "norm, rate")
    return upper.figure


def flow(of: GradientFlow, axes: Any) -> Any:
    upper, lower = panels(axes, 2, 3.8)
    steps = np.arange(1, of.steps + 1)
    shown = np.where(of.term_norms > 0, of.term_norms, np.nan)
    if of.steps <= 200:
        floor = np.nanmin(shown) / 3 if np.isfinite(shown).any() else 1e-3
        upper.bar(steps, shown - floor, bottom=floor, color=COLOURS[0], width=0.8)
    else:
        upper.plot(steps, shown, color=COLOURS[0], linewidth=1.0)
    upper.set_yscale("log")
    upper.axvspan(of.steps - of.horizon + 0.5, of.steps + 0.5, color="#f2e6c9", zorder=0)
    upper.set_title(
        f"{of.verdict}: 99 % within the last {of.horizon} of {of.steps} steps", fontsize=8
    )
    tidy(upper, "norm of the term")
    slopes = np.where(of.state_norms > 0, of.state_norms, np.nan)
    lower.plot(
        np.arange(of.steps + 1), slopes, color=COLOURS[1], linewidth=1.2, label=r"$|dL/dh_t|$"
    )
    products = np.where(of.product_norms > 0, of.product_norms, np.nan)
    chain = r"$\|J_T \cdots J_{t+1}\|$"
    lower.plot(steps - 1, products, color=COLOURS[2], linewidth=1.2, label=chain)
    lower.plot(steps, of.jacobian_norms, color=COLOURS[3], linewidth=0.8, label=r"$\|J_t\|$")
    lower.set_yscale("log")
    lower.set_xlabel("time step", fontsize=8)
    legend_above(lower)
    tidy(lower, "norm")
    return upper.figure
