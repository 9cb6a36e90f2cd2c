"""A fit seen from Python: its data, its epochs in groups, its checkpoint and its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from math import isfinite
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.splits import SPLITS, Data, held_out
from rnncore._storage import files
from rnncore._training import checkpoint as checkpoints
from rnncore._training.history import History
from rnncore._training.options import Options
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Engine, Trainer

LOSS, VALIDATION, NORM, RATE, SECONDS, COLUMNS = range(6)  # of a record, as the core has them

#: Epochs in one call of the core: their records have to be kept.
MOST_AT_ONCE = 1 << 16

#: Seconds between two looks at a fit that somebody watches.
GLANCE = 0.1

#: Seconds of work for each that saving takes: a long fit has many records to save.
WORK_BETWEEN = 20


class Records:
    """Rows of numbers that become more, the last of which may not be filled yet."""

    def __init__(self, rows: Array) -> None:
        self.rows, self.count = rows, len(rows)

    @property
    def filled(self) -> Array:
        return self.rows[: self.count]

    def next(self, count: int) -> Array:
        """The rows to be filled next. Where there is no room, twice as much is made: so few rows
        are copied, however many come."""
        needed = self.count + count
        if needed > len(self.rows):
            larger = np.zeros((max(needed, 2 * len(self.rows)), COLUMNS))
            larger[: self.count] = self.filled
            self.rows = larger
        return self.rows[self.count : needed]


class Fit:
    """A fit to be run: a trainer, fresh or from a checkpoint, and the records so far."""

    def __init__(
        self, core: ModuleType, engine: Engine, name: str, data: Data, validation: Any,
        split: str | None, chosen: Options, seed: int, look: Callable[[Any], Data],
    ) -> None:  # fmt: skip
        """`look` makes validation data of what the caller passed as such; `name` says what
        network it is."""
        share = isinstance(validation, int | float | np.number) and not isinstance(validation, bool)
        held = None if validation is None or share else look(validation)
        if share:
            validation = check.number("validation", validation, 0, 1, above=True)
            split = str(check.choice("validation_split", split or "random", SPLITS))
        elif split is not None:
            raise ValueError(
                "validation_split: expected None unless validation= is a share of the sequences, "
                f"got {check.shown(split)}"
            )
        self.chosen, self.parts = chosen, [data] if held is None else [data, held]
        self.explain()
        self.records, state = Records(np.zeros((0, COLUMNS))), None
        if chosen.checkpoint is not None:
            self.told = self.identity(name, [validation, split] if share else None)
            files.check_place(chosen.checkpoint)
            found = checkpoints.read(chosen.checkpoint, self.told)
            if found is not None:
                seed, records, state = found
                self.records = Records(records)
                if len(records) > chosen.epochs:
                    raise ValueError(
                        f"epochs: expected at least the {len(records)} that the fit in checkpoint "
                        f"{chosen.checkpoint!r} has finished, got {chosen.epochs}"
                    )
        self.seed = seed
        if split is not None:
            data, held = held_out(validation, split, data, seed)
        if chosen.core["patience"] and held is None:
            raise ValueError("patience: expected validation= with it, whose loss is waited for")
        self.validated = held is not None
        self.trainer: Trainer = core.Trainer(
            engine, *data.for_core(), batch_size=chosen.told["batch_size"], seed=seed,
            held=None if held is None else core.Held(engine, *held.for_core()), **chosen.core,
        )  # fmt: skip
        if state is not None:
            self.restore(state)

    def identity(self, name: str, share: list[Any] | None) -> dict[str, Any]:
        """What a checkpoint must be of to go on from it."""
        arrays = []
        for part in self.parts:
            x = part.inputs
            arrays += [x.x, x.tokens, x.lengths, x.mask, x.h0, *part.targets]
        data = checkpoints.fingerprint(*arrays)
        return {"network": name, "data": data, "validation": share, **self.chosen.told}

    def restore(self, state: dict[str, Array]) -> None:
        try:
            if self.records.rows.shape[1] != COLUMNS:
                raise ValueError(f"records of shape {self.records.rows.shape}")
            self.trainer.restore(state)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint: expected a file written by fit, got {self.chosen.checkpoint!r}: "
                f"{error}"
            ) from None

    def save(self) -> None:
        if self.chosen.checkpoint is not None:
            state = self.trainer.state()
            records = self.records.filled
            checkpoints.write(self.chosen.checkpoint, self.told, self.seed, records, state)

    def explain(self) -> None:
        """Raise the error for impossible numbers in the data, where there are some."""
        for part in self.parts:
            outputs.explain(part.inputs, *part.given)

    def run(self) -> History:
        """The epochs there are no records of yet: in one call of the core where nobody watches,
        else as many at a time as take a glance."""
        chosen, stopped, at_once = self.chosen, "epochs", 1
        done, epochs = self.records.count, self.chosen.epochs
        watched = chosen.progress or chosen.callback is not None or chosen.checkpoint is not None
        show = Progress(epochs, done) if chosen.progress else None
        saved, wait = perf_counter(), GLANCE
        try:
            while done < epochs:
                begun = perf_counter()
                done = self.advance(min(at_once if watched else MOST_AT_ONCE, epochs - done))
                last = self.records.filled[-1]
                if show is not None:
                    show(done, last)
                if (now := perf_counter()) - saved > wait:
                    self.save()
                    saved = perf_counter()
                    wait = max(GLANCE, WORK_BETWEEN * (saved - now))
                if self.trainer.impatient:
                    stopped = "patience"
                    break
                if chosen.callback is not None:
                    answer = chosen.callback(done, float(last[LOSS]))
                    if isinstance(answer, bool | np.bool_) and answer:
                        stopped = "callback"
                        break
                elif perf_counter() - begun < GLANCE / 2:
                    at_once *= 2
            self.save()
        finally:
            if show is not None:
                show.close()
        if chosen.core["patience"]:
            self.trainer.use_best()
        return History(self.records.filled, self.validated, stopped)

    def advance(self, count: int) -> int:
        """So many epochs more, unless the patience is over before; how many there are now."""
        records = self.records
        part = records.next(count)
        part[:, RATE] = self.chosen.rates(records.count + 1, count)
        finished = self.trainer.run(part, self.chosen.threads)
        records.count += finished
        if finished < count and not self.trainer.impatient:
            self.explain()
            raise diverged(records.rows[: records.count + 1], self)
        return records.count


def diverged(records: Array, fit: Fit) -> FloatingPointError:
    """The error for a last epoch that did not end well, with what led to it."""
    finished, loss = len(records) - 1, records[:, LOSS]
    before = f"that of epoch {finished}" if finished else "unchanged"
    after = f" after {loss[-2]:.4g}" if finished else ""
    norms = records[:, NORM]
    norms = norms[~np.isnan(norms)]  # of an epoch whose first loss was not finite there is none
    shown = " -> ".join(f"{norm:.3g}" if isfinite(norm) else "not finite" for norm in norms[-6:])
    seen = f" (largest norms of the gradient in the last epochs: {shown})"
    if not len(norms):
        cause = "Before any update the parameters are too large, or the numbers of the data"
        seen = ""
    elif norms[-1] <= 10 * (np.median(norms[:-1]) if len(norms) > 1 else 100.0):
        cause = "The updates are too large, or the numbers of the data"
    else:
        cause = "The gradient exploded"
    error = FloatingPointError(
        f"fit: expected a finite loss and parameters, got loss {loss[-1]:.4g}{after} in epoch "
        f"{finished + 1}; the network is {before}. {cause}{seen}. clip_norm= with a usual norm "
        "helps against exploding gradients, a smaller lr against large updates; "
        "net.gradient_flow(x, y) shows where gradients come from"
    )
    error.history = History(records[:-1], fit.validated, "error")  # type: ignore[attr-defined]
    return error


class Progress:
    """A line that shows how far a fit is: tqdm's, or a plain one."""

    def __init__(self, epochs: int, done: int) -> None:
        self.epochs, self.first, self.done = epochs, done, done
        self.begun = perf_counter()
        self.stream = Forgiving(sys.stderr)
        self.bar = tqdm_bar(self.stream, total=epochs, initial=done, unit="epoch", leave=True)

    def __call__(self, epoch: int, record: Array) -> None:
        text = f"loss {record[LOSS]:.4f}"
        if record[VALIDATION]:
            text += f", validation {record[VALIDATION]:.4f}"
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(epoch - self.done)
        else:
            each = (perf_counter() - self.begun) / max(1, epoch - self.first)
            line = f"\repoch {epoch}/{self.epochs}  {text}  {each:.3g} s/epoch "
            print(line, end="", file=self.stream, flush=True)
        self.done = epoch

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        elif self.done > self.first:
            print(file=self.stream)


def tqdm_bar(stream: Forgiving, **options: Any) -> Any:
    """tqdm's line, in a notebook its widget; None where it is not installed."""
    try:
        if "IPython" in sys.modules and find_spec("ipywidgets") is not None:  # or it would warn
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm

            options |= {"file": stream, "dynamic_ncols": True}
    except ImportError:
        return None
    return tqdm(**options)


class Forgiving:
    """A stream for what may be lost: that it is missing (of a program without a console), closed
    or full ends no fit."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        with suppress(Exception):
            self.stream.write(text)

    def flush(self) -> None:
        with suppress(Exception):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
