"""What is timed: a cell, how many layers and directions of it, its sizes, and a task.

Tasks, all of them on a many-to-one network with one output:

``train``    the loss (binary cross-entropy) and its gradient with respect to every parameter
``ragged``   the same on sequences of different lengths, see `Row.lengths`
``forward``  the logits of a batch
``step``     one time step of one stream, called from Python; a call makes T of them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

import rnncore as rc
from rnncore._networks.network import Network
from rnncore._types import Array


class Cell(NamedTuple):
    """How to make a network of such cells, and what one unit of it computes in a step: a number of
    rows of [W_ih W_hh] times [x ; h], and of tanh or logistic functions."""

    make: Callable[..., Network]
    rows: int
    activations: int


CELLS = {
    "rnn": Cell(rc.RNN, rows=1, activations=1),
    "lstm": Cell(rc.LSTM, rows=4, activations=5),
    "gru": Cell(rc.GRU, rows=3, activations=3),
}
TASKS = ("train", "ragged", "forward", "step")

#: In ``ragged`` rows: the length of the shortest sequence, and how many steps longer a sequence is
#: on average, before it is cut off at T.
SHORTEST, MORE = 5, 15


class Row(NamedTuple):
    """One line of the table: hidden units, inputs, sequences, time steps, layers, directions.

    ``target`` is how many times faster than the fastest peer rnncore should be, in float32 on one
    thread.
    """

    cell: str
    H: int
    D: int
    B: int
    T: int
    task: str = "train"
    layers: int = 1
    bidirectional: bool = False
    target: float | None = None

    def __str__(self) -> str:
        return f"{self.task} {self.label}"

    @property
    def label(self) -> str:
        """The network and its sizes: "lstm 4, 8, 32, 50", "rnn x2 bi 4, 8, 32, 50"."""
        stack = f" x{self.layers}" * (self.layers > 1) + " bi" * self.bidirectional
        return f"{self.cell}{stack} {self.H}, {self.D}, {self.B}, {self.T}"

    @property
    def stacked(self) -> bool:
        """Several layers, or both directions."""
        return self.layers > 1 or self.bidirectional

    @property
    def trains(self) -> bool:
        """Whether the task computes gradients."""
        return self.task in ("train", "ragged")

    @property
    def calls(self) -> int:
        """How many units of work, as the table reports them, are in one timed call."""
        return self.T if self.task == "step" else 1

    def network(self, dtype: str) -> Network:
        """The network, always with the same parameters.

        Without a loss for `forward` and `step`: then ``net.predict`` gives the logits.
        """
        return CELLS[self.cell].make(
            self.D, self.H, 1, num_layers=self.layers, bidirectional=self.bidirectional,
            loss="bce" if self.trains else None, dtype=dtype, seed=0,
        )  # fmt: skip

    def data(self, dtype: str) -> tuple[Array, Array]:
        """x (B, T, D) and y (B,), always the same. Steps after the end of a sequence are not zero,
        so that a result shows whether they were counted."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.B, self.T, self.D), np.float32).astype(dtype)
        return x, rng.integers(0, 2, self.B).astype(dtype)

    def lengths(self) -> Array:
        """How many steps each sequence has, always the same: T; for ``ragged`` from 5 to T,
        geometrically distributed (in the rows of the grid, 21 on average)."""
        if self.task != "ragged":
            return np.full(self.B, self.T)
        draws = np.random.default_rng(0).geometric(1 / (1 + MORE), self.B)  # from 1
        return np.minimum(SHORTEST - 1 + draws, self.T)

    @property
    def steps(self) -> int:
        """The steps of all sequences."""
        return int(self.lengths().sum())

    @property
    def chain(self) -> int:
        """How many steps have to follow each other: those of the longest sequence, and for each
        further layer one more, or with both directions all of them again."""
        longest = int(self.lengths().max())
        return longest * self.layers if self.bidirectional else longest + self.layers - 1

    def multiply_adds(self) -> int:
        """The multiply-adds of the products of one call: of [x ; h] forward, and for training of
        both gradients and, backward, of W_hh^T and, above the first layer, of W_ih^T. Element-wise
        work and the read-out are not counted."""
        directions = 1 + self.bidirectional
        states = self.layers * self.H
        above = (self.layers - 1) * directions * self.H  # inputs of all layers but the first
        forward = self.D + above + states
        train = forward + states + above if self.trains else 0
        return CELLS[self.cell].rows * self.H * directions * (forward + train) * self.steps

    def activations(self) -> int:
        """How many tanh or logistic functions one call evaluates."""
        units = self.layers * (1 + self.bidirectional) * self.H
        return CELLS[self.cell].activations * units * self.steps


#: The train steps that have targets.
TABLE = [
    Row("rnn", 1, 1, 1, 1000, target=4),
    Row("rnn", 1, 3, 32, 50, target=20),
    Row("rnn", 1, 1, 1024, 50, target=10),
    Row("rnn", 4, 8, 32, 50, target=18),
    Row("rnn", 16, 8, 32, 50, target=12),
    Row("rnn", 32, 16, 32, 100, target=8),
    Row("rnn", 64, 32, 32, 100, target=4.5),
    Row("rnn", 128, 64, 32, 100, target=2.5),
    Row("rnn", 256, 128, 32, 100, target=2),
    Row("rnn", 512, 256, 64, 50, target=1.6),
]

GATED = [
    Row("lstm", 4, 8, 32, 50, target=8),
    Row("lstm", 16, 8, 32, 50, target=5),
    Row("lstm", 64, 32, 32, 100, target=1.8),
    Row("lstm", 128, 64, 32, 100, target=1.6),
    Row("gru", 4, 8, 32, 50, target=8),
    Row("gru", 16, 8, 32, 50, target=5),
    Row("gru", 64, 32, 32, 100, target=2.2),
    Row("gru", 128, 64, 32, 100, target=1.6),
]

#: Both directions, and two layers.
STACKED = [
    *(Row(cell, 16, 8, 32, 50, bidirectional=True) for cell in CELLS),
    Row("gru", 64, 32, 32, 100, bidirectional=True),
    *(Row(cell, 16, 8, 32, 50, layers=2) for cell in CELLS),
]

#: Sequences of 5 to 50 steps.
RAGGED = [
    Row(cell, 16, 8, B, 50, "ragged", target=8 if cell == "rnn" else None)
    for cell in CELLS
    for B in (32, 256)
]

#: One sequence, worked on with units in lanes.
ALONE = [
    Row(cell, H, D, 1, 1000, task)
    for task in ("train", "forward")
    for cell, H, D in (
        ("rnn", 16, 8), ("rnn", 64, 32), ("lstm", 16, 8), ("gru", 4, 8), ("gru", 16, 8)
    )
]  # fmt: skip

#: The same networks forward only, and one stream of steps.
FORWARD = [row._replace(task="forward", target=None) for row in TABLE]
STEP = [Row(cell, 16, 8, 1, 100, "step", target=15) for cell in CELLS]

#: The rows of the figures along one size: units (each row with inputs and steps of its own),
#: sequences, and time steps.
AXES = {
    "H": [row for row in TABLE if row.B in (32, 64)],
    "B": [TABLE[4], *(TABLE[4]._replace(B=B, target=None) for B in (1, 8, 256, 2048))],
    "T": [TABLE[4], *(TABLE[4]._replace(T=T, target=None) for T in (5, 200, 1000))],
}

#: rnncore alone: does a step of a sequence cost the same whatever their number?
FLAT = {
    "T": [Row("rnn", 4, 8, 32, T) for T in (100, 1_000, 10_000, 100_000)],
    "B": [Row("rnn", 4, 8, B, 50) for B in (64, 1024, 8192, 65_536)],
}

LIGHT = [TABLE[0], TABLE[1], TABLE[3], TABLE[4], TABLE[6], GATED[1], GATED[5], FORWARD[4], *STEP]
FULL = list(
    dict.fromkeys(
        [*TABLE, *GATED, *STACKED, *RAGGED, *ALONE, *FORWARD, *STEP, *AXES["B"], *AXES["T"]]
    )
)
QUICK = [
    *(Row("rnn", 2, 3, 4, 5, task) for task in TASKS),
    Row("rnn", 2, 3, 4, 5, layers=2, bidirectional=True),
]


def parse(text: str, target_of: Iterable[Row] = FULL) -> Row:
    """A row from "H,D,B,T", before them a task, a cell, "x2" for two layers and "bi" for both
    directions, or none of these; with the target of the same row in the grid."""
    words = text.split(",")
    row = Row("rnn", 0, 0, 0, 0)
    try:
        for word in words[:-4]:
            row = row._replace(**meaning(word))
        H, D, B, T = (int(size) for size in words[-4:])
    except ValueError:
        raise ValueError(
            f"rows: expected four sizes H,D,B,T, before them {', '.join(TASKS)} or not, "
            f"{', '.join(CELLS)} or not, x2 (layers) or not, bi or not, got {text!r}"
        ) from None
    row = row._replace(H=H, D=D, B=1 if row.task == "step" else B, T=T)
    if min(H, D, B, T, row.layers) < 1:
        raise ValueError(f"rows: expected sizes of at least 1, got {text!r}")
    if row.task == "step" and row.stacked:
        raise ValueError(f"rows: expected one layer and one direction of a step, got {text!r}")
    return next((known for known in target_of if known._replace(target=None) == row), row)


def meaning(word: str) -> dict[str, Any]:
    """The field of a row that a word before the sizes sets."""
    if word in TASKS:
        return {"task": word}
    if word in CELLS:
        return {"cell": word}
    if word == "bi":
        return {"bidirectional": True}
    if word.startswith("x"):
        return {"layers": int(word[1:])}
    raise ValueError(word)
