"""The figure of a gradient flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._diagnostics.drawing import (
    COLOURS,
    MOST_BARS,
    count_along,
    legend_above,
    line,
    panels,
    positive,
    tidy,
    use_logarithms,
)

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow


def plot(self: GradientFlow, ax: Any = None) -> Any:
    """Draw the terms' norms by time step and, below, ``|dL/dh_t|`` and the Jacobians' products;
    with ``readout="all"``, of the last step's loss alone.

    Needs matplotlib.

    Parameters
    ----------
    ax : matplotlib axes, or a pair of them, optional
        Where to draw: in one the terms alone, in two all. If not given, a new figure is made.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = flow.plot()  # doctest: +SKIP
    """
    upper, *others = panels(ax, (1.9, 1.9))
    steps = np.arange(1, self.steps + 1)
    shown = positive(self.term_norms)
    if self.steps <= MOST_BARS:
        floor = np.nanmin(shown) / 3 if np.isfinite(shown).any() else 1e-3
        upper.bar(steps, shown - floor, bottom=floor, color=COLOURS[0], width=0.8)
    else:
        line(upper, steps, shown, 0, linewidth=1.0)
    use_logarithms(upper, self.term_norms)
    upper.axvspan(self.steps - self.horizon + 0.5, self.steps + 0.5, color="#f2e6c9", zorder=0)
    title = f"{self.verdict}: 99 % within the last {self.horizon} of {self.steps} steps"
    if self.every_step:
        title += "\n(of the last step's loss alone)"
    upper.set_title(title, fontsize=8)
    tidy(upper, "norm of the term")
    for lower in others:
        norms_of_states(self, lower)
    lowest = [upper, *others][-1]
    lowest.set_xlabel("time step", fontsize=8)
    count_along(lowest, 0, self.steps)
    return upper.figure


def norms_of_states(of: GradientFlow, lower: Any) -> None:
    """``|dL/dh_t|``, the norms of the Jacobians, and those of their products."""
    steps = np.arange(1, of.steps + 1)
    line(lower, np.arange(of.steps + 1), positive(of.state_norms), 1, linewidth=1.2,
         label=r"$|dL/dh_t|$")  # fmt: skip
    chain = r"$\|J_T \cdots J_{t+1}\|$"
    line(lower, steps - 1, positive(of.product_norms), 2, linewidth=1.2, label=chain)
    line(lower, steps, positive(of.jacobian_norms), 3, linewidth=0.8, label=r"$\|J_t\|$")
    use_logarithms(lower, of.state_norms, of.product_norms, of.jacobian_norms)
    legend_above(lower)
    tidy(lower, "norm")
