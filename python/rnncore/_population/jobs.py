"""What a fit of a population consists of, in a form that can be cut into parts and sent away."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._data import outputs
from rnncore._model.cells import Cell
from rnncore._model.model import Model
from rnncore._population.history import COLUMNS
from rnncore._population.sequences import Pool, Selection
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore import _core_base_f32 as _core

#: Units up to which members are side by side in the lanes; beyond, sequences are, and one member is
#: trained after another. See docs/project/performance.md.
MOST_UNITS = 16


@dataclass(frozen=True)
class Rows:
    """Sequences and their targets as rows, as the core takes them."""

    time: int
    x: Array | None
    tokens: Array | None
    mask: Array | None
    start: Array  # (B,) the first row of each sequence
    lengths: Array | None  # (B,) None where all have `time` steps
    h0: tuple[Array | None, Array | None]
    targets: tuple[Array | None, Array | None, Array | None]  # numbers, classes, weights
    every_step: bool

    @classmethod
    def of(cls, pool: Pool) -> Rows:
        inputs, targets = pool.data.inputs, pool.data.targets
        width, start, lengths = inputs.spec.input_size, inputs.start, inputs.lengths
        if start is None:
            start = np.arange(inputs.count, dtype=np.int64) * inputs.time
        if lengths is not None and lengths.min() == inputs.time:
            lengths = None
        parts = inputs.parts(inputs.h0)
        return cls(
            inputs.time,
            None if inputs.x is None else inputs.x.reshape(-1, width),
            None if inputs.tokens is None else inputs.tokens.reshape(-1),
            None if inputs.mask is None else inputs.mask.reshape(-1),
            start, lengths,
            (parts[0], parts[1]),
            outputs.for_core(inputs, targets),
            inputs.spec.every_step,
        )  # fmt: skip

    def only(self, which: Array) -> Rows:
        """Some of the sequences, in that order."""
        steps = np.full(len(which), self.time) if self.lengths is None else self.lengths[which]
        start = np.cumsum(steps) - steps
        rows = np.repeat(self.start[which] - start, steps) + np.arange(steps.sum())
        of_targets = rows if self.every_step else which

        def some(array: Array | None, at: Array) -> Array | None:
            return None if array is None else np.ascontiguousarray(array[at])

        numbers, classes, weights = (some(array, of_targets) for array in self.targets)
        h, c = (some(array, which) for array in self.h0)
        return replace(
            self, x=some(self.x, rows), tokens=some(self.tokens, rows), mask=some(self.mask, rows),
            start=start.astype(np.int64), lengths=None if self.lengths is None else steps,
            h0=(h, c), targets=(numbers, classes, weights),
        )  # fmt: skip

    def for_core(self, model: Model) -> _core.Fitted:
        core, ragged = model.spec.core, self.lengths is not None
        batch = core.Batch(
            len(self.start), self.time, self.x, self.tokens, self.start if ragged else None,
            self.lengths, None, self.mask, *self.h0,
        )  # fmt: skip
        made: _core.Fitted = core.Fitted(model.engine, batch, *self.targets)
        return made

    @property
    def steps(self) -> Array:
        """(B,) the time steps of each sequence."""
        return np.full(len(self.start), self.time) if self.lengths is None else self.lengths


@dataclass(frozen=True)
class Job:
    """The members that are trained, their data and their options."""

    cell: Cell
    config: dict[str, Any]
    rows: Rows
    chosen: Selection  # what each member is trained on
    held_rows: Rows | None
    held: Selection | None  # what its validation loss is of
    batch_sizes: Array
    coefficients: Array
    seeds: Array
    decay: Array | None
    l1: Array | None
    rates: Array
    epochs: int
    shared: dict[str, Any]  # options that all members have in common

    @property
    def members(self) -> int:
        return len(self.chosen.counts)

    @property
    def steps(self) -> Array:
        """(members,) the time steps of an epoch."""
        return totals(self.rows.steps, self.chosen)

    def in_order(self, members: Array, kinds: Array) -> Array:
        """The members as they should be trained: those of a kind together, long ones first."""
        order = members[np.lexsort((members, -self.steps[members], kinds[members]))]
        return order.astype(np.int64)

    def new_records(self) -> Array:
        return np.full((self.members, self.epochs, COLUMNS), np.nan)

    def for_core(self, model: Model, flat: Array, records: Array) -> _core.Population:
        held, held_rows = self.held, self.held_rows
        same = held_rows is self.rows
        rows = self.rows.for_core(model)
        made: _core.Population = model.spec.core.Population(
            model.engine, flat, rows,
            None if held_rows is None else rows if same else held_rows.for_core(model),
            self.chosen.order, self.chosen.counts,
            None if held is None else held.order, None if held is None else held.counts,
            self.batch_sizes, self.coefficients, self.seeds,
            decay=self.decay, l1=self.l1, rates=self.rates, records=records,
            models_in_lanes=model.spec.hidden_size <= MOST_UNITS, **self.shared,
        )  # fmt: skip
        return made

    def part(self, members: Array) -> Job:
        """The job of some of the members, with no more data than they have."""
        rows, chosen = narrowed(self.rows, self.chosen, members)
        held_rows, held = self.held_rows, self.held
        if held is not None and held_rows is not None:
            held_rows, held = narrowed(held_rows, held, members)

        def some(array: Array | None) -> Array | None:
            return None if array is None else np.ascontiguousarray(array[members])

        return replace(
            self, rows=rows, chosen=chosen, held_rows=held_rows, held=held,
            batch_sizes=self.batch_sizes[members], coefficients=self.coefficients[members],
            seeds=self.seeds[members], decay=some(self.decay), l1=some(self.l1),
            rates=self.rates if len(self.rates) == 1 else self.rates[members],
        )  # fmt: skip


def told(members: Array, most: int = 20) -> str:
    """The first of their numbers, for a message."""
    return ", ".join(map(str, members[:most])) + (", ..." if len(members) > most else "")


def narrowed(rows: Rows, selection: Selection, members: Array) -> tuple[Rows, Selection]:
    """The sequences of some members alone, and which of these each has."""
    parts = selection.parts()
    order = np.concatenate([parts[m] for m in members])
    used, where = np.unique(order, return_inverse=True)
    return rows.only(used), Selection(where.astype(np.int64), selection.counts[members])


def totals(numbers: Array, selection: Selection) -> Array:
    """What the sequences of each member have together."""
    starts = np.cumsum(selection.counts) - selection.counts
    result: Array = np.add.reduceat(numbers[selection.order], starts)
    return result
