"""A small figure of curves as inline SVG: text and axis in the colour of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnncore._html.pieces import Html, escaped, number
from rnncore._types import Array

#: Read on white and on black.
COLOURS = ("#3b87c8", "#d9722b", "#5f9a35")
#: Points of a curve; of more, so many evenly spaced ones are drawn.
MOST_POINTS = 100
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 360, 84, 52, 16, 16
#: Curves whose positive numbers differ by more than this factor are drawn on a logarithmic axis.
FAR_APART = 30.0


class Curve(NamedTuple):
    name: str
    x: Array
    y: Array


def curves(shown: Sequence[Curve], along: str, up: str) -> Html:
    """Curves over the same x, with the ends of both axes as numbers; logarithmic where the numbers
    are positive and far apart. Nothing where there are no two finite points."""
    finite = np.concatenate([curve.y[np.isfinite(curve.y)] for curve in shown])
    positive = finite[finite > 0]
    use_logarithms = len(positive) > 1 and positive.max() > FAR_APART * positive.min()
    if use_logarithms:
        finite = positive
    if len(finite) < 2:
        return Html("")
    low, high = float(finite.min()), float(finite.max())
    x = np.concatenate([curve.x for curve in shown])
    first, last = float(x.min()), float(x.max())
    lines = []
    for k, curve in enumerate(shown):
        y = np.where(curve.y > 0, curve.y, np.nan) if use_logarithms else curve.y
        pick = np.unique(np.linspace(0, len(y) - 1, MOST_POINTS).round().astype(int))
        right = (curve.x[pick] - first) / (last - first or 1)
        with np.errstate(invalid="ignore"):
            ends = np.log([low, high]) if use_logarithms else np.array([low, high])
            height = np.log(y[pick]) if use_logarithms else y[pick]
            above = (height - ends[0]) / (ends[1] - ends[0] or 1)
        lines.append(path(right, above, COLOURS[k]))
    scale = f"{up}, logarithmic" if use_logarithms else up
    return Html(
        f'<svg role="img" aria-label="{escaped(scale)} by {escaped(along)}" '
        f'viewBox="0 0 {WIDTH} {TOP + HEIGHT + BOTTOM}" width="{WIDTH}" '
        'style="max-width:100%;height:auto;display:block;margin:0.3em 0" '
        'font-size="10" fill="currentColor" font-family="inherit">'
        f"{frame(low, high, first, last, along)}{legend(shown, scale)}{''.join(lines)}</svg>"
    )


def path(right: Array, above: Array, colour: str) -> str:
    """A line through the points that are there, in shares of width and height."""
    pieces, pen = [], "M"
    for along, up in zip(right, above, strict=True):
        if not np.isfinite(up):
            pen = "M"
            continue
        column, row = LEFT + along * (WIDTH - LEFT - 4), TOP + (1 - up) * HEIGHT
        pieces.append(f"{pen}{column:.0f} {row:.1f}")
        pen = "L"
    return f'<path d="{"".join(pieces)}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def frame(low: float, high: float, first: float, last: float, along: str) -> str:
    """Both axes, and the numbers at their ends."""
    bottom, end = TOP + HEIGHT, WIDTH - 4
    return (
        f'<path d="M{LEFT - 3} {TOP}V{bottom + 2}H{end}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.4"/>'
        f'<text x="{LEFT - 7}" y="{TOP + 7}" text-anchor="end">{short(high)}</text>'
        f'<text x="{LEFT - 7}" y="{bottom}" text-anchor="end">{short(low)}</text>'
        f'<text x="{LEFT}" y="{bottom + 13}">{number(first)}</text>'
        f'<text x="{(LEFT + end) // 2}" y="{bottom + 13}" text-anchor="middle">{escaped(along)}'
        f'</text><text x="{end}" y="{bottom + 13}" text-anchor="end">{number(last)}</text>'
    )


def short(value: float) -> str:
    """A number that fits beside the axis."""
    return f"{value:.3g}".replace("-", "\u2212")


def legend(shown: Sequence[Curve], scale: str) -> str:
    """The names of the curves in their colours; of a single one, what is drawn."""
    if len(shown) == 1:
        return f'<text x="{LEFT}" y="10">{escaped(scale)}</text>'
    names = "".join(
        f'<tspan fill="{COLOURS[k]}">■</tspan> {escaped(curve.name)}&#160;&#160; '
        for k, curve in enumerate(shown)
    )
    return f'<text x="{LEFT}" y="10">{names}<tspan opacity="0.7">{escaped(scale)}</tspan></text>'
