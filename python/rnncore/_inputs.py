"""What a caller passes, as the compiled core wants it, and back.

The core knows rows: one row per time step of any sequence, row ``start[s] + t`` for step
t of sequence s.  A (batch, time, features) array is such rows already; a list of
sequences becomes them by concatenation, so no padding is computed.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from rnncore import _checks as check
from rnncore._checks import Array


class Inputs:
    """The sequences of one call.

    Attributes
    ----------
    count, time : int
        Sequences, and steps of the longest.
    batch : Batch
        What the core works on.
    listed : bool
        The caller passed a list: per-sequence results go back as one.
    """

    def __init__(
        self,
        core: ModuleType,
        dtype: np.dtype[Any],
        input_size: int,
        hidden_size: int,
        x: Any,
        h0: Any = None,
        lengths: Any = None,
        mask: Any = None,
    ) -> None:
        self.dtype = dtype
        self.input_size, self.hidden_size = input_size, hidden_size
        self.start: Array | None = None
        self.lengths: Array | None = None
        order = None
        self.listed = isinstance(x, list | tuple)
        if self.listed:
            self._from_list(x, lengths)
            assert self.lengths is not None
            order = np.argsort(self.lengths, kind="stable").astype(np.int64)  # like by like
        else:
            self._from_array(check.array("x", x))
            if lengths is not None:
                self._set_lengths(lengths)
        self.mask = None if mask is None else self._mask_rows(mask)
        self.h0_shape: tuple[int, ...] = (self.count, 1, hidden_size)
        self.h0 = None if h0 is None else self._state(h0)
        self.batch = core.Batch(
            self.count, self.time, self.x, self.tokens, self.start, self.lengths,
            order, self.mask, self.h0,
        )  # fmt: skip

    # ---- in -------------------------------------------------------------------------

    def _from_array(self, x: Array) -> None:
        tokens = x.ndim == 2 and x.dtype.kind in "iu"
        if not tokens and (x.ndim != 3 or x.shape[2] != self.input_size):
            hint = ""
            if x.ndim == 2 and self.input_size == 1:
                hint = "; write x[:, :, None] for one number per step"
            elif x.ndim == 2 and x.shape[1] == self.input_size:
                hint = "; write x[None] for a batch of one sequence"
            raise ValueError(
                f"x: expected (batch, time, {self.input_size}), got {x.shape}{hint}"
                f"{' of ' + str(x.dtype) if x.ndim == 2 else ''}"
            )
        self.count, self.time = x.shape[:2]
        if self.count == 0 or self.time == 0:
            what = "sequence" if self.count == 0 else "time step"
            raise ValueError(f"x: expected at least 1 {what}, got shape {x.shape}")
        self.x = self.tokens = None
        if tokens:
            self.tokens = as_index(x).reshape(-1)
        else:
            self.x = check.as_real(x, self.dtype).reshape(-1, self.input_size)

    def _from_list(self, x: Any, lengths: Any) -> None:
        if len(x) == 0:
            raise ValueError("x: expected at least 1 sequence, got an empty list")
        if lengths is not None:
            raise ValueError(
                "lengths: expected None with a list of sequences, which have their own"
            )
        rows = [check.array(f"x[{s}]", sequence) for s, sequence in enumerate(x)]
        tokens = rows[0].ndim == 1
        for s, row in enumerate(rows):
            if row.ndim and len(row) == 0:
                raise ValueError(f"x[{s}]: expected at least 1 time step, got shape {row.shape}")
            if tokens and (row.ndim != 1 or row.dtype.kind not in "iu"):
                raise ValueError(
                    f"x[{s}]: expected (time, {self.input_size}), or in every sequence (time,) "
                    f"integer tokens, got {row.shape} of {row.dtype}"
                )
            if not tokens and (row.ndim != 2 or row.shape[1] != self.input_size):
                raise ValueError(f"x[{s}]: expected (time, {self.input_size}), got {row.shape}")
        self.lengths = np.array([len(row) for row in rows], np.int64)
        self.start = np.cumsum(self.lengths) - self.lengths
        self.count, self.time = len(rows), int(self.lengths.max())
        self.x = self.tokens = None
        if tokens:
            self.tokens = np.concatenate([as_index(row) for row in rows])
        else:
            self.x = check.as_real(np.concatenate(rows), self.dtype)

    def _set_lengths(self, lengths: Any) -> None:
        given = check.array("lengths", lengths)
        check.same_shape("lengths", given, (self.count,))
        if given.dtype.kind not in "iu":
            raise TypeError(f"lengths: expected integers, got dtype {given.dtype}")
        wrong = (given < 1) | (given > self.time)
        if wrong.any():
            at = check.first(wrong)
            raise ValueError(
                f"lengths: expected 1 to {self.time} (the time steps of x), "
                f"got {given[at]} at {list(at)}"
            )
        # A copy: the core has checked these, nobody may change them any more.
        self.lengths = np.array(given, np.int64, order="C")
        self.start = np.arange(self.count, dtype=np.int64) * self.time

    def _mask_rows(self, mask: Any) -> Array:
        if self.listed and isinstance(mask, list | tuple):
            rows = self._rows_of_list("mask", mask, 0)
        else:
            rows = check.array("mask", mask)
            check.same_shape("mask", rows, (self.count, self.time))
            rows = rows[self.steps] if self.listed else rows.reshape(-1)
        if not ((rows == 0) | (rows == 1)).all():
            raise ValueError("mask: expected booleans (True where a step counts), or 0 and 1")
        return np.ascontiguousarray(rows, np.uint8)

    def _state(self, h0: Any) -> Array:
        given = check.array("h0", h0)
        full = (self.count, 1, self.hidden_size)
        check.same_shape("h0", given, full, (self.count, self.hidden_size))
        self.h0_shape = given.shape
        return check.as_real(given, self.dtype).reshape(self.count, self.hidden_size)

    def _rows_of_list(self, name: str, given: Any, width: int) -> Array:
        """A list with one array per sequence, its steps along the first axis, as rows.
        width 0: one number per step."""
        assert self.lengths is not None
        if len(given) != self.count:
            raise ValueError(f"{name}: expected {self.count} sequences, got {len(given)}")
        rows = [check.array(f"{name}[{s}]", values) for s, values in enumerate(given)]
        for s, row in enumerate(rows):
            length = int(self.lengths[s])
            check.same_shape(f"{name}[{s}]", row, *with_width((length,), width))
        rows = [as_index(row) if row.dtype.kind in "iu" else row for row in rows]
        flat = [row.reshape(-1, width) if width else row for row in rows]
        return np.concatenate(flat)

    @property
    def ragged(self) -> bool:
        """Whether there may be steps that do not count."""
        return self.lengths is not None or self.mask is not None

    @property
    def steps(self) -> Array:
        """(count, time): true where a sequence has that step."""
        if self.lengths is None:
            return np.ones((self.count, self.time), bool)
        steps: Array = np.arange(self.time) < self.lengths[:, None]
        return steps

    @property
    def counted(self) -> Array:
        """(count, time): true where a step counts."""
        if self.mask is None:
            return self.steps
        counted: Array = self.steps & (self.padded(self.mask[:, None])[:, :, 0] != 0)
        return counted

    def per_output(self, name: str, given: Any, width: int, every_step: bool) -> Array:
        """Values for each output, (B, width) or per step, as (B or rows, width); for
        width 0, one number each, as (B or rows). A last axis of 1 may be left out."""
        if every_step and self.listed and isinstance(given, list | tuple):
            return self._rows_of_list(name, given, width)
        values = check.array(name, given)
        leading: tuple[int, ...] = (self.count, self.time) if every_step else (self.count,)
        check.same_shape(name, values, *with_width(leading, width))
        values = values.reshape(*leading, width) if width else values
        if every_step:
            values = values[self.steps] if self.listed else values.reshape(-1, *values.shape[2:])
        return values

    def targets(
        self, y: Any, loss: str, outputs: int, every_step: bool
    ) -> tuple[Array | None, Array | None]:
        """(target, classes) for the core."""
        if loss == "cross_entropy":
            classes = self.per_output("y", y, 0, every_step)
            if classes.dtype.kind not in "iu":
                raise TypeError(f"y: expected integer class numbers, got dtype {classes.dtype}")
            return None, as_index(classes)
        target = self.per_output("y", y, outputs, every_step)
        return check.as_real(target, self.dtype), None

    # ---- out ------------------------------------------------------------------------

    def new_rows(self, width: int) -> Array:
        """Room for one row per step; zeros where steps may not count and stay untouched."""
        new = np.zeros if self.ragged else np.empty
        return new((self.batch.rows, width), self.dtype)

    def padded(self, rows: Array) -> Array:
        """Rows as (batch, time, width), zeros past the end of a sequence."""
        if not self.listed:
            return rows.reshape(self.count, self.time, rows.shape[1])
        result = np.zeros((self.count, self.time, rows.shape[1]), rows.dtype)
        result[self.steps] = rows
        return result

    def like_x(self, rows: Array) -> Array | list[Array]:
        """Rows in the form in which x was passed."""
        if not self.listed:
            return self.padded(rows)
        assert self.start is not None
        return np.split(rows, self.start[1:])

    # ---- what was wrong -------------------------------------------------------------

    def explain(self, loss: str | None, outputs: int, y: Any, every_step: bool) -> None:
        """Raise the error for numbers the core cannot work with, if there are any.

        The core only notes that there are; the pass over them is made here, and only then.
        """
        counted = self.counted
        if self.x is not None:
            check.all_finite("x", self.padded(self.x), counted[:, :, None])
        if self.tokens is not None:
            tokens = self.padded(self.tokens[:, None])[:, :, 0]
            try:
                check.within("x", "tokens", tokens, 0, self.input_size - 1, counted)
            except ValueError as error:
                if self.input_size > 1 or self.listed:
                    raise
                hint = "; write x[:, :, None] for one number per step"
                raise ValueError(f"{error}{hint}") from None
        if self.h0 is not None:
            check.all_finite("h0", self.h0.reshape(self.h0_shape))
        if loss is None:
            return
        target, classes = self.targets(y, loss, outputs, every_step)
        where = counted if every_step else np.ones(self.count, bool)
        if classes is not None:
            values = self.padded(classes[:, None])[:, :, 0] if every_step else classes
            where = where & (values >= 0)
            check.within("y", "classes", values, 0, outputs - 1, where)
        else:
            assert target is not None
            values = self.padded(target) if every_step else target
            check.all_finite("y", values, where[..., None])
            if loss == "bce":
                check.within("y", "probabilities", values, 0, 1, where[..., None])
        if not where.any():
            raise ValueError("y: expected at least one target that counts, got none")


def with_width(leading: tuple[int, ...], width: int) -> list[tuple[int, ...]]:
    """Shapes of `width` numbers for each place of `leading`; a last axis of 1 may be left out.
    width 0: one number each, without such an axis."""
    return ([leading] if width < 2 else []) + ([(*leading, width)] if width else [])


def as_index(values: Array) -> Array:
    """Integers as int64; what does not fit is out of any range, and stays so."""
    if values.dtype == np.uint64:
        values = np.minimum(values, np.uint64(2**62))
    return np.ascontiguousarray(values, np.int64)
