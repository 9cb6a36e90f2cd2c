"""The network unrolled in time, and how much of the gradient goes back along each arrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._diagnostics.drawing import COLOURS, panels
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow

#: Inches that a step takes, and the height of the figure.
EACH, HEIGHT = 0.72, 2.5
#: Points of the widest arrow and of the thinnest.
WIDEST, THINNEST = 6.0, 0.4
#: How faint an arrow gets that carries next to nothing.
FAINTEST = 0.12
#: Powers of ten over which arrows become thin with ``log=True``.
DECADES = 6
#: Where things are, from top to bottom.
LOSS, STATE, WEIGHTS, INPUT = 1.0, 0.0, -1.05, 1.0
RADIUS = 0.24


def plot_unrolled(
    self: GradientFlow, name: str | None = None, *, steps: int = 8, log: bool = False,
    ax: Any = None,
) -> Any:  # fmt: skip
    """Draw the network unrolled in time, with arrows as wide as what goes back along them.

    From the loss an arrow leads to the last state, from each state one back to the state before,
    as wide as ``|dL/dh|``, which the Jacobian of each step multiplies; and one from each state down
    to the weights, which are the same at every step, as wide as the norm of that step's term, which
    stands below it. Of all sequences together; with ``readout="all"``, of the last step's loss
    alone; of several layers, of all of them.

    Needs matplotlib.

    Parameters
    ----------
    name : str, optional
        The parameter whose terms are drawn; if not given, those of all recurrent parameters.
    steps : int, optional
        So many of the last steps are drawn, if there are more.
    log : bool, optional
        Whether an arrow becomes thin over six powers of ten, instead of in proportion.
    ax : matplotlib axes, optional
        Where to draw. If not given, a new figure is made.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError, ValueError
        If there is no such parameter, or no step to draw.

    Examples
    --------
    >>> figure = flow.plot_unrolled("weight_hh_l0")  # doctest: +SKIP
    """
    terms = self.term_norms
    if name is not None:
        terms = self.norms_of_last[check.choice("name", name, self.norms_of_last)]
    shown = min(check.whole("steps", steps, 1), self.steps)
    (axis,) = panels(ax, (HEIGHT,), EACH * (shown + 2.2))
    first = self.steps - shown  # the number of the state at the left
    through = sizes(self.state_norms[first:], check.flag("log", log))
    down = sizes(terms[first:], log)
    for k in range(shown + 1):
        draw_state(axis, k, f"$h_{{{first + k}}}$")
    for k in range(shown):
        draw_forward(axis, k)
        arrow(axis, (k + 1 - RADIUS, 0.1), (k + RADIUS, 0.1), COLOURS[1], through[k], bend=0.35)
        arrow(axis, (k + 1, STATE - RADIUS), (k + 1, WEIGHTS + 0.14), COLOURS[0], down[k])
        text = f"{terms[first + k]:.2g}"
        axis.text(k + 1, WEIGHTS - 0.3, text, ha="center", fontsize=6.5, color=COLOURS[0])
    draw_ends(axis, shown, first, through[-1])
    axis.set_title(
        "what goes back: dL/dh (above) and the term of each step (below)"
        + ("\n(of the last step's loss alone)" if self.every_step else ""),
        fontsize=8,
    )
    axis.set_xlim(-0.95, shown + 0.6)
    axis.set_ylim(WEIGHTS - 0.55, LOSS + 0.35)
    axis.set_aspect("equal", adjustable="box")
    axis.axis("off")
    of = "all recurrent\nweights" if name is None else name
    axis.text(0.45, WEIGHTS, of, ha="right", va="center", fontsize=7, color=COLOURS[0])
    return axis.figure


def sizes(norms: Array, use_logarithms: bool) -> Array:
    """Shares of the largest, from 0 to 1; on a logarithmic scale 0 is DECADES below it."""
    finite = np.where(np.isfinite(norms), norms, np.finfo(float).max)
    most = float(finite.max(initial=0.0))
    if not most:
        return np.zeros(len(norms))
    share: Array = finite / most
    if use_logarithms:
        with np.errstate(divide="ignore"):
            share = np.clip(1 + np.log10(share) / DECADES, 0, 1)
    return share


def draw_state(axis: Any, k: int, text: str) -> None:
    from matplotlib.patches import Circle

    axis.add_patch(Circle((k, STATE), RADIUS, facecolor="white", edgecolor="0.3", zorder=3))
    axis.text(k, STATE, text, ha="center", va="center", fontsize=8, color="black", zorder=4)


def draw_forward(axis: Any, k: int) -> None:
    """The way forward, from a state to the next, in grey."""
    axis.annotate(
        "", (k + 1 - RADIUS, -0.08), (k + RADIUS, -0.08),
        arrowprops={"arrowstyle": "-|>", "color": "0.65", "linewidth": 0.8, "mutation_scale": 7},
    )  # fmt: skip


def arrow(
    axis: Any, start: tuple[float, float], end: tuple[float, float], colour: str, share: float,
    bend: float = 0.0,
) -> None:  # fmt: skip
    """An arrow whose width and strength stand for a share of the largest."""
    from matplotlib.patches import FancyArrowPatch

    width = max(THINNEST, WIDEST * share)
    axis.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=5 + 1.2 * width, linewidth=width,
            color=colour, alpha=max(FAINTEST, min(1.0, 0.25 + 0.75 * share) if share else 0.0),
            connectionstyle=f"arc3,rad={bend}", shrinkA=0, shrinkB=0, zorder=2,
        )
    )  # fmt: skip


def draw_ends(axis: Any, shown: int, first: int, share: float) -> None:
    """The loss at the right, and at the left that there are more steps; the weights below."""
    from matplotlib.patches import FancyBboxPatch

    axis.text(shown, LOSS, "L", ha="center", va="center", fontsize=9)
    arrow(axis, (shown, LOSS - 0.15), (shown, STATE + RADIUS), COLOURS[1], share)
    if first:
        axis.text(-0.55, STATE, "…", ha="center", va="center", fontsize=11, color="0.4")
    axis.add_patch(
        FancyBboxPatch(
            (0.55, WEIGHTS - 0.09), shown - 0.1, 0.18, boxstyle="round,pad=0.02",
            facecolor=COLOURS[0], edgecolor="none", alpha=0.25,
        )
    )  # fmt: skip
