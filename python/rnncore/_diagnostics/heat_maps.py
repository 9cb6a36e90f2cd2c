"""Heat maps of time step x unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._diagnostics.drawing import FEW, count_along, panels, tidy
from rnncore._diagnostics.passing_back import way_back
from rnncore._diagnostics.summaries import parts_of
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow
    from rnncore._diagnostics.tracing import Trace

#: Powers of ten below the largest number that a logarithmic colour scale shows.
DECADES = 12
#: Inches for a unit, and the least and the most for a panel.
EACH, LEAST, MOST = 0.09, 0.8, 2.4
WIDTH = 4.6
#: Gates of which the values lie between 0 and 1.
SHARES = ("i", "f", "o", "r", "z")


def height_of(units: int) -> float:
    return min(max(LEAST, EACH * units), MOST) + 0.35


def draw(axis: Any, values: Array, first: int, label: str, **colours: Any) -> None:
    """Numbers (steps, units), of which the first step has the number `first`."""
    from matplotlib.ticker import NullFormatter

    steps, units = values.shape
    image = axis.pcolormesh(
        np.arange(first, first + steps + 1) - 0.5, np.arange(units + 1) - 0.5, values.T,
        rasterized=True, **colours,
    )  # fmt: skip
    tidy(axis, "unit")
    axis.grid(False)
    axis.set_ylim(units - 0.5, -0.5)
    axis.locator_params(axis="y", integer=True, nbins=min(6, units + 1), min_n_ticks=1)
    bar = axis.figure.colorbar(image, ax=axis, pad=0.01, aspect=12)
    bar.ax.tick_params(labelsize=7)
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.set_label(label, fontsize=8)


def diverging(values: Array) -> dict[str, Any]:
    """Blue below 0, red above."""
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max(initial=0.0)) or 1.0
    return {"cmap": "RdBu_r", "vmin": -most, "vmax": most}


def trace(of: Trace, what: Any, sequence: Any, ax: Any) -> Any:
    """`Trace.plot`."""
    parts = parts_of(of)
    names = chosen_names(what, list(parts))
    b = check.whole("sequence", sequence, 0, len(of.hidden) - 1)
    steps, units = of.hidden.shape[1:]
    axes = panels(ax, (height_of(units),) * len(names), WIDTH)
    for axis, name in zip(axes, names, strict=False):
        values = parts[name][b]
        is_share = name in SHARES
        colours = {"cmap": "Blues", "vmin": 0, "vmax": 1} if is_share else diverging(values)
        draw(axis, values, 1, {"hidden": "$h$", "cell": "$c$"}.get(name, f"${name}$"), **colours)
    finish(axes[-1], 1, steps)
    return axes[0].figure


def chosen_names(what: Any, known: list[str]) -> list[str]:
    if what is None:
        return known
    names = [what] if isinstance(what, str) or not isinstance(what, Iterable) else list(what)
    if not names:
        raise ValueError(f"what: expected at least one of {', '.join(known)}, got none")
    return [check.choice("what", name, known) for name in names]


def finish(axis: Any, first: int, last: int) -> None:
    axis.set_xlabel("time step", fontsize=8)
    count_along(axis, first, last)
    if last - first >= FEW:
        axis.set_xlim(first - 0.5, last + 0.5)


def plot_units(
    self: GradientFlow, sequence: int = 0, *, log: bool = True, last_only: bool = False,
    ax: Any = None,
) -> Any:  # fmt: skip
    """Draw dL/dh_t of one sequence as a heat map of time step x unit; of the last layer, in its
    forward direction.

    Needs matplotlib.

    Parameters
    ----------
    sequence, last_only
        As for `state_gradients`.
    log : bool, optional
        Colours for powers of ten of the size, over the twelve below the largest; white is exactly
        zero. If False, for the numbers with their signs.
    ax : matplotlib axes, optional
        Where to draw. If not given, a new figure is made.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = flow.plot_units()  # doctest: +SKIP
    """
    use_logarithms = check.flag("log", log)
    values = way_back(self, sequence, check.flag("last_only", last_only)).states
    (axis,) = panels(ax, (height_of(values.shape[1]) + 0.2,), WIDTH)
    if use_logarithms:
        draw(axis, np.abs(values), 0, r"$|\partial L/\partial h_t|$", **logarithmic(values))
    else:
        draw(axis, values, 0, r"$\partial L/\partial h_t$", **diverging(values))
    H = self._model.spec.hidden_size
    for k in range(H, values.shape[1], H):  # where h ends and c, or the step before, begins
        axis.axhline(k - 0.5, color="0.3", linewidth=0.8)
    if self._model.spec.states == 2:
        axis.set_ylabel("unit of h, then of c", fontsize=8)
    finish(axis, 0, len(values) - 1)
    return axis.figure


def logarithmic(values: Array) -> dict[str, Any]:
    from matplotlib.colors import LogNorm

    sizes = np.abs(values[np.isfinite(values)])
    most = float(sizes.max(initial=0.0)) or 1.0
    least = float(sizes.min(where=sizes > 0, initial=most))
    low = min(max(least, most * 10.0**-DECADES), most / 10)
    return {"cmap": "viridis", "norm": LogNorm(low, most)}
