"""Sequences, as a caller passes them and as the compiled core takes them.

The core works on rows: one row for each time step of each sequence, row ``start[s] + t`` for step t
of sequence s. A (batch, time, features) array consists of such rows and is not converted; the
sequences of a list are concatenated, so nothing is computed for padding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data.states import shape_of_state, state_array
from rnncore._model.spec import Spec
from rnncore._types import Array, State

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Batch


class Inputs:
    """The sequences of one call.

    Attributes
    ----------
    count, time : int
        Sequences, and steps of the longest.
    batch : Batch
        The sequences as the core takes them.
    listed : bool
        Whether x was passed as a list; then the gradient with respect to x is returned as one.
    ragged : bool
        Whether there may be steps that do not count.
    """

    # Most calls have none of these; they are set where they are given.
    tokens: Array | None = None
    start: Array | None = None
    lengths: Array | None = None
    mask: Array | None = None
    h0: Array | None = None
    latest = False  # with a skip connection: h0 was given without the states before the latest
    latest_shape: tuple[int, ...] = ()
    listed = False
    ragged = False

    def __init__(
        self, spec: Spec, x: Any, h0: Any = None, lengths: Any = None, mask: Any = None
    ) -> None:
        self.spec = spec
        self.x: Array | None = x
        batch: Batch | None = None
        if h0 is None and lengths is None and mask is None and not spec.switching:
            batch = spec.core.plain_batch(x, spec.input_size)
        if batch is None:
            batch = self._convert(x, h0, lengths, mask)
        self.batch = batch
        self.count = batch.count
        self.time = batch.time

    # ---- conversion of what is passed ----------------------------------------------

    def _convert(self, x: Any, h0: Any, lengths: Any, mask: Any) -> Batch:
        self.x = None
        if isinstance(x, list | tuple):
            self.listed = True
            self._from_list(check.items("x", x), lengths)
        else:
            self._from_array(check.array("x", x))
            if lengths is not None:
                self._set_lengths(lengths)
        if self.tokens is None and self.spec.switching:
            raise TypeError(
                "x: expected integer tokens, (batch, time) or a list of (time,), of a network with "
                "switching=True, got numbers"
            )
        if mask is not None:
            self._set_mask(mask)
        self.ragged = self.lengths is not None or self.mask is not None
        if h0 is not None:
            self.h0 = self._state(h0)
        if self.lengths is None or self.lengths.min() == self.time:  # no padding between rows
            return self._batch(self.time, None, None)
        return self._batch(self.time, self.start, self.lengths)

    def _batch(self, time: int, start: Array | None, lengths: Array | None) -> Batch:
        """The sequences for the core, or their first `lengths` (B,) steps: at most `time`."""
        width, order = self.spec.input_size, None
        if lengths is not None:  # sequences of similar length share a block of the core
            order = np.argsort(lengths, kind="stable").astype(np.int64)
        batch: Batch = self.spec.core.Batch(
            self.count,
            time,
            None if self.x is None else self.x.reshape(-1, width),
            None if self.tokens is None else self.tokens.reshape(-1),
            start,
            lengths,
            order,
            None if self.mask is None else self.mask.reshape(-1),
            *self.parts(self.h0),
        )
        return batch

    def _from_array(self, x: Array) -> None:
        width = self.spec.input_size
        tokens = x.ndim == 2 and x.dtype.kind in "iu"
        if not tokens and (x.ndim != 3 or x.shape[2] != width):
            hint = ""
            if x.ndim == 2 and x.shape[1] == width:
                hint = f"; write x[None] for one sequence of {len(x)} steps"
            elif x.ndim == 2 and width == 1:
                hint = "; write x[:, :, None] for one number per step"
            elif x.ndim == 1 and width == 1:
                hint = f"; write x[None, :, None] for one sequence of {len(x)} steps"
            dtype = f" of {x.dtype}" if x.ndim == 2 else ""
            raise ValueError(f"x: expected (batch, time, {width}), got {x.shape}{dtype}{hint}")
        self.count, self.time = x.shape[:2]
        if self.count == 0 or self.time == 0:
            what = "sequence" if self.count == 0 else "time step"
            raise ValueError(f"x: expected at least 1 {what}, got shape {x.shape}")
        if tokens:
            self.tokens = as_index(x)
        else:
            self.x = check.as_real(x, self.spec.dtype)

    def _from_list(self, x: list[Any], lengths: Any) -> None:
        if len(x) == 0:
            raise ValueError("x: expected at least 1 sequence, got an empty list")
        if lengths is not None:
            raise ValueError(
                "lengths: expected None with a list of sequences, which have their own"
            )
        rows = [check.array(f"x[{s}]", sequence) for s, sequence in enumerate(x)]
        tokens, width = rows[0].ndim == 1, self.spec.input_size
        for s, row in enumerate(rows):
            if row.ndim and len(row) == 0:
                raise ValueError(f"x[{s}]: expected at least 1 time step, got shape {row.shape}")
            if tokens and (row.ndim != 1 or row.dtype.kind not in "iu"):
                one = width == 1 and row.ndim == 1
                raise ValueError(
                    f"x[{s}]: expected (time, {width}), or in every sequence (time,) "
                    f"integer tokens, got {row.shape} of {row.dtype}"
                    f"{'; write x[i][:, None] for one number per step' if one else ''}"
                )
            if not tokens and (row.ndim != 2 or row.shape[1] != width):
                raise ValueError(f"x[{s}]: expected (time, {width}), got {row.shape}")
        self.lengths = np.array([len(row) for row in rows], np.int64)
        self.start = np.cumsum(self.lengths) - self.lengths
        self.count, self.time = len(rows), int(self.lengths.max())
        if tokens:
            self.tokens = np.concatenate([as_index(row) for row in rows])
        else:
            self.x = check.as_real(np.concatenate(rows), self.spec.dtype)

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
        # A copy: the core relies on what was checked here, so it must not change later.
        self._end_at(np.array(given, np.int64, order="C"))

    def _end_at(self, lengths: Array) -> None:
        self.lengths = lengths
        self.start = np.arange(self.count, dtype=np.int64) * self.time

    def _set_mask(self, mask: Any) -> None:
        rows = self._mask_rows(mask)
        if self.lengths is None:  # masked steps at the end shorten the sequence
            last = self.time - rows[:, ::-1].argmax(axis=1)
            self._end_at(np.where(rows.any(axis=1), last, 1).astype(np.int64))
        self.mask = rows
        if self.counted.sum() == self.steps.sum():  # no other step is masked
            self.mask = None

    def _mask_rows(self, mask: Any) -> Array:
        if self.listed and isinstance(mask, list | tuple):
            rows = self.rows_of_list("mask", mask, 0)
        else:
            rows = check.array("mask", mask)
            check.same_shape("mask", rows, (self.count, self.time))
            rows = rows[self.steps] if self.listed else rows
        if not ((rows == 0) | (rows == 1)).all():
            raise ValueError("mask: expected booleans (True where a step counts), or 0 and 1")
        return np.ascontiguousarray(rows, np.uint8)

    def _state(self, h0: Any) -> Array:
        """h0 as the core takes it: a pair (h0, c0) as one array."""
        if self.spec.states == 1:
            return self._one_state("h0", h0)
        given = check.items("h0", h0) if isinstance(h0, list | tuple) else []
        if len(given) != 2:
            raise TypeError(f"h0: expected a pair (h0, c0) for an LSTM, got {check.kind(h0)}")
        pair = [self._one_state(name, part) for name, part in zip(("h0", "c0"), given, strict=True)]
        check.same_shape("c0", pair[1], pair[0].shape)
        return np.stack(pair)

    def _one_state(self, name: str, given: Any) -> Array:
        given = check.array(name, given)
        values = state_array(self.spec, name, given, (self.count,))
        self.latest = given.size < values.size
        if self.latest:
            self.latest_shape = given.shape
            return values
        return values.reshape(given.shape)

    def parts(self, state: Array | None) -> tuple[Array | None, Array | None]:
        """h and c of a state as the core takes them, each (B, R, H); c is None of a cell that has
        none."""
        if state is None:
            return None, None
        parts = state.reshape(-1, self.count, self.spec.state_rows, self.spec.hidden_size)
        return parts[0], parts[1] if self.spec.states == 2 else None

    def gradient_of_final(self, given: Any) -> Array:
        """dL/dfinal as the core takes it; of a pair (h, c) one may be None."""
        if self.spec.states == 1:
            return state_array(self.spec, "dfinal", given, (self.count,))
        pair = check.items("dfinal", given) if isinstance(given, list | tuple) else []
        if len(pair) != 2:
            raise TypeError(
                f"dfinal: expected a pair (dh, dc) for an LSTM, got {check.kind(given)}"
            )
        zeros = np.zeros(shape_of_state(self.spec, (self.count,)), self.spec.dtype)
        return np.stack(
            [
                zeros if part is None else state_array(self.spec, "dfinal", part, (self.count,))
                for part in pair
            ]
        )

    def new_final(self) -> Array:
        """An array for the final state of every sequence."""
        pair = (2,) if self.spec.states == 2 else ()
        size = self.spec.hidden_size
        return np.empty((*pair, self.count, self.spec.state_rows, size), self.spec.dtype)

    def new_state_gradient(self) -> Array:
        """An array for dL/dh0, shaped as h0 if that was given."""
        return self.new_final() if self.h0 is None else np.empty_like(self.h0)

    def state_gradient(self, values: Array) -> State:
        """dL/dh0 in the shape in which h0 was passed."""
        if self.latest:
            return values[:, :: self.spec.history].reshape(self.latest_shape)
        return self.state_of(values)

    def state_of(self, values: Array) -> State:
        """A state as callers get it: an array, or of an LSTM a pair of arrays."""
        return values if self.spec.states == 1 else (values[0], values[1])

    @property
    def past_end(self) -> Array:
        """(count, time): true after the last counted step of each sequence."""
        later: Array = ~self.counted[:, ::-1].cumsum(axis=1, dtype=bool)[:, ::-1]
        return later

    def rows_of_list(self, name: str, given: Any, width: int, shared: bool = False) -> Array:
        """A list with one array per sequence, (time,) or (time, width), as rows.

        With width 0 there is one number per step, without an axis. With `shared`, one number may
        be given for all `width` of a step."""
        assert self.lengths is not None
        given = check.items(name, given)
        if len(given) != self.count:
            raise ValueError(f"{name}: expected {self.count} sequences, got {len(given)}")
        rows = [check.array(f"{name}[{s}]", values) for s, values in enumerate(given)]
        for s, row in enumerate(rows):
            length = int(self.lengths[s])
            check.same_shape(f"{name}[{s}]", row, *with_width((length,), width, shared))
        rows = [as_index(row) if row.dtype.kind in "iu" else row for row in rows]
        if width:
            rows = [np.broadcast_to(row.reshape(len(row), -1), (len(row), width)) for row in rows]
        return np.concatenate(rows)

    def until(self, lengths: Array) -> Batch:
        """The same sequences cut off after `lengths` (B,) steps each, at most their own."""
        start = self.start
        if start is None:
            start = np.arange(self.count, dtype=np.int64) * self.time
        return self._batch(int(lengths.max()), start, lengths)

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
        counted: Array = self.steps & (self.padded(self.mask) != 0)
        return counted

    # ---- arrays for results ---------------------------------------------------------

    def new_rows(self, width: int, partly: bool = False) -> Array:
        """An array of one row per step. It is filled with zeros where the core does not write all
        rows: where steps do not count, or with `partly`."""
        shape = (self.batch.rows,) if self.listed else (self.count, self.time)
        zeros = self.ragged or partly
        return (np.zeros if zeros else np.empty)((*shape, width), self.spec.dtype)

    def new_outputs(self) -> Array:
        """An array for the outputs: rows, or (B, K) where there is one for each sequence."""
        K = self.spec.outputs
        if self.spec.every_step:
            return self.new_rows(K)
        return np.empty((self.count, K), self.spec.dtype)

    def padded(self, rows: Array) -> Array:
        """Rows as (batch, time, ...), with zeros after the end of a sequence."""
        if not self.listed:
            return rows
        result = np.zeros((self.count, self.time, *rows.shape[1:]), rows.dtype)
        result[self.steps] = rows
        return result

    def states(self, rows: Array) -> Array:
        """States after every step as callers get them: (batch, time, ...), with zeros after the
        last counted step of a sequence."""
        result = self.padded(rows) if self.listed else rows
        if self.mask is not None:
            result[self.past_end] = 0
        return result

    def like_x(self, rows: Array) -> Array | list[Array]:
        """Rows in the form in which x was passed: one array, or a list of arrays."""
        if not self.listed:
            return self.padded(rows)
        assert self.start is not None
        return np.split(rows, self.start[1:])

    # ---- errors ---------------------------------------------------------------------

    def explain(self) -> None:
        """Raise the error for a number in x or h0 that the core cannot work with, if there is one.

        The core only reports that there may be one; it is found here.
        """
        spec, counted = self.spec, self.counted
        if self.x is not None:
            check.all_finite("x", self.padded(self.x), counted[:, :, None])
        if self.tokens is not None:
            tokens = self.padded(self.tokens)
            try:
                check.within("x", "tokens", tokens, 0, spec.input_size - 1, counted)
            except ValueError as error:
                if spec.input_size > 1 or self.listed:
                    raise
                hint = "; write x[:, :, None] for one number per step"
                raise ValueError(f"{error}{hint}") from None
        if self.h0 is not None:
            states = [self.h0] if self.spec.states == 1 else list(self.h0)
            for name, values in zip(("h0", "c0"), states, strict=False):
                check.all_finite(name, values)


def with_width(leading: tuple[int, ...], width: int, shared: bool = False) -> list[tuple[int, ...]]:
    """The shapes in which `width` numbers may be given for each entry of `leading`.

    A last axis of length 1 may be left out, and any last axis where one number may be `shared` by
    all. With width 0 there is one number each, and no such axis."""
    return ([leading] if width < 2 or shared else []) + ([(*leading, width)] if width else [])


def as_index(values: Array) -> Array:
    """Integers as int64. Numbers too large for it become ones that no check of a range accepts."""
    if values.dtype == np.uint64:
        values = np.minimum(values, np.uint64(2**62))
    if values.dtype == np.int64 and values.flags.carray:  # the common case
        return values
    try:
        return np.require(values, np.int64, ["C", "A"])
    except ValueError:
        raise check.too_large(values) from None
