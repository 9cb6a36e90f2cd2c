"""Tables and lists in HTML for ``_repr_html_``.

Notebooks show them in light and in dark, some without scripts and style sheets: everything inherits
the colour of the page, has its style with it, and no background.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import isfinite
from typing import Any

import numpy as np

#: Rows of a table that are shown, of more a line says how many there are.
MOST_ROWS = 10


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(value: object) -> Html:
    """A value as HTML: numbers short, anything else as its text, but for what is HTML already."""
    if isinstance(value, Html):
        return value
    return Html(escape(number(value) if is_number(value) else str(value)))


def is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def number(value: Any) -> str:
    """A number in few digits, with a real minus."""
    if isinstance(value, int | np.integer):
        return f"{value:,}".replace("-", "\u2212")
    if not isfinite(value):
        return {"inf": "∞", "-inf": "\u2212∞"}.get(str(float(value)), "\u2013")
    return f"{value:.4g}".replace("-", "\u2212")


def plural(count: int, name: str) -> str:
    return f"{number(count)} {name}{'' if count == 1 else 's'}"


def shape(of: Iterable[int]) -> str:
    return "\u2009\u00d7\u2009".join(str(n) for n in of) or "1"


def size(count: int) -> str:
    """A number of bytes."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def box(title: object, *parts: str) -> str:
    """A title, and below it the parts that are not empty."""
    inner = "".join(part for part in parts if part)
    return (
        '<div style="line-height:1.45;max-width:60em;overflow-x:auto">'
        f'<div style="font-weight:600">{escaped(title)}</div>{inner}</div>'
    )


def facts(*values: object) -> str:
    """A line of short statements; None is left out."""
    shown = (escaped(value) for value in values if value is not None)
    return f'<div style="opacity:0.85">{" · ".join(shown)}</div>'


def code(value: object) -> Html:
    return Html(f"<code>{escaped(value)}</code>")


def listed(title: str, items: Iterable[object]) -> str:
    rows = "".join(f"<li>{escaped(item)}</li>" for item in items)
    if not rows:
        return ""
    return f'<div>{escaped(title)}</div><ul style="margin:0 0 0.3em 1.2em;padding:0">{rows}</ul>'


def table(heads: Sequence[str], rows: Sequence[Sequence[object]], count: int | None = None) -> str:
    """Rows under heads, numbers to the right; at most MOST_ROWS of `count`, which are all rows if
    it is not given."""
    shown, count = rows[:MOST_ROWS], len(rows) if count is None else count
    right = [
        any(is_number(row[k]) for row in shown)
        and all(not isinstance(row[k], str) for row in shown)
        for k in range(len(heads))
    ]
    lines = [row_of("th", heads, right), *(row_of("td", row, right) for row in shown)]
    more = ""
    if count > len(shown):
        more = f'<div style="opacity:0.7">and {number(count - len(shown))} more</div>'
    return (
        '<table cellpadding="5" style="border-collapse:collapse;margin:0.3em 0;font-size:0.95em">'
        f"{''.join(lines)}</table>{more}"
    )


def row_of(tag: str, values: Sequence[object], right: Sequence[bool]) -> str:
    cells = (
        f'<{tag} style="text-align:{"right" if is_right else "left"}">{escaped(value)}</{tag}>'
        for value, is_right in zip(values, right, strict=True)
    )
    border = ' style="border-bottom:1px solid currentColor"' if tag == "th" else ""
    return f"<tr{border}>{''.join(cells)}</tr>"
