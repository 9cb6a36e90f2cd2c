"""What the compiled core says of its cells."""

from __future__ import annotations

from typing import NamedTuple

from rnncore._runtime.builds import core


class Cell(NamedTuple):
    """A cell of the core."""

    number: int
    gates: int  # blocks of H rows in its weights
    states: int  # arrays that its state is made of: h, or h and c


CELLS: dict[str, Cell] = {name: Cell(*values) for name, values in core("float32").CELLS.items()}
