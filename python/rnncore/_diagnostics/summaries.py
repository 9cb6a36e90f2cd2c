"""What notebooks show of the objects that inspection returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rnncore._html import pieces
from rnncore._html.curves import Curve, curves
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.fixed_points import FixedPoints
    from rnncore._diagnostics.flow import GradientFlow
    from rnncore._diagnostics.lyapunov import Lyapunov
    from rnncore._diagnostics.tracing import Trace

#: Sequences of which the largest Lyapunov exponents are listed.
MOST_LISTED = 6


def flow(of: GradientFlow) -> str:
    """`GradientFlow`."""
    steps = np.arange(of.steps + 1)
    rows = [
        (pieces.code(name), *(float(values[k]) for k in (0, len(values) // 2, -1)))
        for name, values in of.norms.items()
        if len(values)
    ]
    shown = [
        Curve("term", steps[1:], of.term_norms), Curve("|dL/dh|", steps, of.state_norms),
    ]  # fmt: skip
    note = "curves and shares: of the last step's loss alone" if of.every_step else None
    return pieces.box(
        f"Gradient over {pieces.plural(of.steps, 'step')}: {of.verdict}",
        pieces.facts(
            f"|dL/dh| times {pieces.number(of.factor)} per step backwards",
            f"99 % within the last {of.horizon} of {pieces.plural(of.steps, 'step')}",
            None if of.loss is None else f"loss {pieces.number(of.loss)}",
            note,
        ),
        curves(shown, "time step", "norms"),
        pieces.table(["norm of the term of", "step 1", "middle", f"step {of.steps}"], rows),
        pieces.listed("What helps:", of.remedies),
    )


def trace(of: Trace) -> str:
    """`Trace`."""
    count, time, units = of.hidden.shape
    rows = [
        (name, float(values.min()), float(values.mean()), float(values.max()))
        for name, values in parts_of(of).items()
    ]
    return pieces.box(
        f"Trace of {pieces.plural(count, 'sequence')}",
        pieces.facts(
            pieces.plural(time, "step"), pieces.plural(units, "unit"), of.hidden.dtype.name
        ),
        pieces.table(["of all steps", "least", "mean", "largest"], rows),
    )


def parts_of(of: Trace) -> dict[str, Array]:
    """Everything that a layer computed, by name."""
    cell = {} if of.cell is None else {"cell": of.cell}
    return {"hidden": of.hidden, **cell, **of.gates}


def fixed_points(of: FixedPoints, counts: str, rows: list[tuple[str, str, str, str]]) -> str:
    """`FixedPoints`; the rows have stability, speed, eigenvalue and state."""
    heads = ["stability", "speed", "largest eigenvalue", "state"]
    return pieces.box(
        f"Fixed points: {counts}",
        pieces.facts(f"of the step with input {of.x.tolist()}" if of.x.size <= 6 else None),
        pieces.table(heads, rows, len(of)) if rows else "",
    )


def lyapunov(of: Lyapunov) -> str:
    """`Lyapunov`."""
    exponents = np.atleast_2d(of.exponents)
    shown = [" ".join(map(pieces.number, row[:MOST_LISTED])) + rest(row) for row in exponents]
    table = pieces.table(["sequence", "exponents"], list(enumerate(shown)))
    steps = np.arange(1, len(of.running) + 1)
    largest = of.running.reshape(len(steps), *exponents.shape)[:, 0, 0]
    return pieces.box(
        "Lyapunov exponents",
        pieces.facts(
            f"natural logarithms per step, from {pieces.plural(len(steps), 'step')}",
            f"largest {pieces.number(exponents[:, 0].max())}",
        ),
        pieces.facts(*shown) if of.exponents.ndim == 1 else table,
        curves([Curve("largest", steps, largest)], "time step", "largest exponent so far"),
    )


def rest(row: Array) -> str:
    return f" … {pieces.number(row[-1])}" if len(row) > MOST_LISTED else ""
