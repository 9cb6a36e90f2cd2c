"""What is timed: a cell, its sizes, and a task.

Tasks, all of them on a many-to-one network with one output:

``train``    the loss (binary cross-entropy) and its gradient with respect to every parameter
``forward``  the logits of a batch
``step``     one time step of one stream, called from Python; a call makes T of them
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

import rnncore as rc
from rnncore._checks import Array
from rnncore._network import Network


class Cell(NamedTuple):
    """How to make a network of such cells, and what one unit of it computes in a step: so many
    rows of [W_ih W_hh] times [x ; h], and so many tanh or logistic functions."""

    make: Callable[..., Network]
    rows: int
    activations: int


CELLS = {
    "rnn": Cell(rc.RNN, rows=1, activations=1),
    "lstm": Cell(rc.LSTM, rows=4, activations=5),
    "gru": Cell(rc.GRU, rows=3, activations=3),
}
TASKS = ("train", "forward", "step")


class Row(NamedTuple):
    """One line of the table: hidden units, inputs, sequences, time steps.

    ``target`` is how many times faster than the fastest peer rnncore means to be, in float32
    on one thread.
    """

    cell: str
    H: int
    D: int
    B: int
    T: int
    task: str = "train"
    target: float | None = None

    def __str__(self) -> str:
        return f"{self.task} {self.cell} {self.H}, {self.D}, {self.B}, {self.T}"

    @property
    def calls(self) -> int:
        """How many of what the table reports are in one timed call."""
        return self.T if self.task == "step" else 1

    def network(self, dtype: str) -> Network:
        """The network, always with the same parameters.

        Without a loss for `forward` and `step`: then ``net.predict`` gives the logits.
        """
        loss = "bce" if self.task == "train" else None
        return CELLS[self.cell].make(self.D, self.H, 1, loss=loss, dtype=dtype, seed=0)

    def data(self, dtype: str) -> tuple[Array, Array]:
        """x (B, T, D) and y (B,), always the same."""
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.B, self.T, self.D), np.float32).astype(dtype)
        return x, rng.integers(0, 2, self.B).astype(dtype)

    def multiply_adds(self) -> int:
        """Of the products of one call: of [x ; h] forward, and for `train` of W_hh^T backward
        and of both gradients too; element-wise work and the read-out are left out."""
        rows = CELLS[self.cell].rows * self.H
        forward = rows * (self.D + self.H)
        train = rows * self.H + forward if self.task == "train" else 0
        return (forward + train) * self.B * self.T

    def activations(self) -> int:
        """How many times one call evaluates tanh or its like."""
        return CELLS[self.cell].activations * self.H * self.B * self.T


#: The train steps that rnncore is judged by.
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

#: The same networks at work, and one stream of steps.
FORWARD = [row._replace(task="forward", target=None) for row in TABLE]
STEP = [Row(cell, 16, 8, 1, 100, "step", target=15) for cell in CELLS]

#: Along which the pictures are drawn: units (each row with inputs and steps of its own),
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
FULL = list(dict.fromkeys([*TABLE, *GATED, *FORWARD, *STEP, *AXES["B"], *AXES["T"]]))
QUICK = [Row("rnn", 2, 3, 4, 5, task) for task in TASKS]


def parse(text: str, target_of: Iterable[Row] = FULL) -> Row:
    """A row from "H,D,B,T", with a task, a cell or both before it, and the target of its like in
    the grid."""
    task, cell, sizes = "train", "rnn", text.split(",")
    if sizes[0] in TASKS:
        task, *sizes = sizes
    if sizes and sizes[0] in CELLS:
        cell, *sizes = sizes
    try:
        H, D, B, T = (int(size) for size in sizes)
    except ValueError:
        raise ValueError(
            f"rows: expected four sizes H,D,B,T, before them {', '.join(TASKS)} or not, then "
            f"{', '.join(CELLS)} or not, got {text!r}"
        ) from None
    if min(H, D, B, T) < 1:
        raise ValueError(f"rows: expected sizes of at least 1, got {text!r}")
    row = Row(cell, H, D, 1 if task == "step" else B, T, task)
    return next((known for known in target_of if known[:6] == row[:6]), row)
