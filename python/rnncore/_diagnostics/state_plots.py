"""Figures of states: how they move, where they rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._diagnostics import drawing
from rnncore._diagnostics.step_map import repeated
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.fields import Field
    from rnncore._diagnostics.fixed_points import FixedPoints
    from rnncore._diagnostics.lyapunov import Lyapunov
    from rnncore._diagnostics.step_map import StepMap

#: By stability: marker, colour, and whether it is filled.
MARKS = {
    "stable": ("o", drawing.COLOURS[0], True), "saddle": ("D", drawing.COLOURS[1], False),
    "unstable": ("o", drawing.COLOURS[1], False), "neutral": ("s", drawing.COLOURS[2], True),
    "slow": ("x", drawing.COLOURS[3], True),
}  # fmt: skip
#: So many exponents are drawn, the largest.
MOST_EXPONENTS = 10
#: Points along each side of a grid of arrows, and of a curve.
ARROWS, ALONG = 15, 201


def field(of: Field, labels: Any, ax: Any) -> Any:
    """`Field.plot`."""
    return curves(of, labels, ax) if of.state.ndim == 2 else arrows(of, labels, ax)


def curves(of: Field, labels: Any, ax: Any) -> Any:
    """The change of a state of one number, a curve for each input."""
    (ax,) = drawing.panels(ax, (2.6,))
    for i, change in enumerate(of.change):
        style = ("-", "--", "-.", ":")[i % 4]
        label = None if labels is None else labels[i]
        ax.plot(of.state[:, 0], change[:, 0], style, color=drawing.COLOURS[i % 4], label=label)
    zero_line(ax)
    name_state(ax, "$h$", r"change of $h$")
    if labels is not None:
        drawing.legend_above(ax)
    return ax.figure


def arrows(of: Field, labels: Any, ax: Any) -> Any:
    """The change of a state of two numbers, a panel for each input."""
    count = len(of.change)
    if ax is not None:
        axes = drawing.given_axes(ax, count)
    else:
        axes = drawing.new_axes(1, count, (2.2 * count, 2.4), sharex=True, sharey=True)
    for i, ax in enumerate(axes):
        if of.logit is None:
            shade_speed(ax, of.state, of.change[i])
        else:
            most = np.abs(of.logit).max() or 1.0
            shade(ax, of.state, of.logit, "RdBu_r", -most, most)
        draw_arrows(ax, of.state, of.change[i])
        name_state(ax, "$h_1$", "$h_2$" if i == 0 else "")
        if labels is not None:
            ax.set_title(labels[i], fontsize=8)
    return axes[0].figure


def shade(ax: Any, state: Array, values: Array, colours: str, low: float, high: float) -> None:
    ax.pcolormesh(state[..., 0], state[..., 1], values, cmap=colours, vmin=low, vmax=high,
                  alpha=0.5, shading="nearest", rasterized=True)  # fmt: skip


def shade_speed(ax: Any, state: Array, change: Array) -> None:
    speed = np.linalg.norm(change, axis=-1)
    shade(ax, state, speed, "Blues", 0, speed.max() or 1.0)


def draw_arrows(ax: Any, state: Array, change: Array) -> None:
    """Arrows as long as the root of the way they stand for: the longest reaches the next ones, and
    those near a fixed point are still seen."""
    length = np.linalg.norm(change, axis=-1, keepdims=True)
    spacing = np.abs(state[1, 1] - state[0, 0])
    size = np.sqrt(length / (length.max() or 1.0)) * spacing.min()
    shown = change / np.where(length > 0, length, 1) * size
    ax.quiver(state[..., 0], state[..., 1], shown[..., 0], shown[..., 1], angles="xy",
              scale_units="xy", scale=1, width=0.005, headwidth=4)  # fmt: skip


def name_state(ax: Any, along: str, up: str) -> None:
    ax.set_xlabel(along, fontsize=8)
    drawing.tidy(ax, up)
    ax.locator_params(axis="x", nbins=5)


def zero_line(ax: Any) -> None:
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)


def fixed_points(of: FixedPoints, step: StepMap, ax: Any) -> Any:
    """`FixedPoints.plot`."""
    (ax,) = drawing.panels(ax, (2.8,))
    if step.n == 1:
        place = on_curve(ax, of, step)
    elif step.n == 2:
        place = on_plane(ax, of, step)
    else:
        place = on_components(ax, of)
    for kind, (marker, colour, filled) in MARKS.items():
        some = of.stability == kind
        if some.any():
            face = colour if filled else "white"
            ax.plot(*place[some].T, marker, color=colour, markerfacecolor=face, markersize=5,
                    label=f"{kind} ({some.sum()})", zorder=3)  # fmt: skip
    if len(of):
        drawing.legend_above(ax)
    return ax.figure


def around(values: Array, low: float, high: float) -> tuple[float, float]:
    """An interval that shows all values and, where it is bounded, the range of the cell."""
    ends = values.min(initial=0.0) - 0.5, values.max(initial=0.0) + 0.5
    return (low if np.isfinite(low) else ends[0]), (high if np.isfinite(high) else ends[1])


def on_curve(ax: Any, of: FixedPoints, step: StepMap) -> Array:
    """A state of one number: how it changes, and the points there."""
    lower, upper = step.range()
    h = np.linspace(*around(of.points, lower[0], upper[0]), ALONG)[:, None]
    change = step(h, repeated(of.x, ALONG)) - h
    ax.plot(h[:, 0], change[:, 0], color=drawing.COLOURS[3], linewidth=1.2)
    zero_line(ax)
    name_state(ax, "$h$", r"change of $h$")
    moved: Array = step(of.points, repeated(of.x, len(of))) - of.points
    return np.concatenate([of.points, moved], axis=1)


def on_plane(ax: Any, of: FixedPoints, step: StepMap) -> Array:
    """A state of two numbers: arrows of how it moves."""
    lower, upper = step.range()
    sides = [np.linspace(*around(of.points[:, i], lower[i], upper[i]), ARROWS) for i in range(2)]
    state = np.stack(np.meshgrid(*sides), axis=-1)
    flat = state.reshape(-1, 2)
    change = step(flat, repeated(of.x, len(flat))) - flat
    shade_speed(ax, state, change.reshape(state.shape))
    draw_arrows(ax, state, change.reshape(state.shape))
    names = ("$h$", "$c$") if step.spec.states == 2 else ("$h_1$", "$h_2$")
    name_state(ax, *names)
    return of.points


def on_components(ax: Any, of: FixedPoints) -> Array:
    """A state of more: the plane of the points' first two principal components."""
    centred = of.points - (of.points.mean(axis=0) if len(of) else 0)
    axes = np.linalg.svd(centred, full_matrices=True)[2]
    name_state(ax, "first principal component", "second principal component")
    place: Array = centred @ axes[:2].T
    return place


def lyapunov(of: Lyapunov, ax: Any) -> Any:
    """`Lyapunov.plot`."""
    (ax,) = drawing.panels(ax, (2.4,))
    steps = np.arange(1, len(of.running) + 1)
    running = of.running if of.running.ndim == 2 else of.running[:, 0]
    for k, values in enumerate(running.T[:MOST_EXPONENTS]):
        drawing.line(ax, steps, values, min(k, 3), linewidth=1.2 if k == 0 else 0.9)
    zero_line(ax)
    ax.set_title(f"largest exponent {running[-1, 0]:.3g} per step", fontsize=8)
    ax.set_xlabel("time step", fontsize=8)
    drawing.tidy(ax, "exponents so far")
    drawing.count_along(ax, 1, len(of.running))
    return ax.figure
