"""The loop over the epochs of a fit: how many at a time, what is shown and saved between them, and
why it ends."""

from __future__ import annotations

from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._data import outputs
from rnncore._data.splits import Data, held_out
from rnncore._model.model import Model
from rnncore._storage import files
from rnncore._training import checkpoint as checkpoints
from rnncore._training.history import History
from rnncore._training.options import Options
from rnncore._training.progress import Progress
from rnncore._training.records import COLUMNS, LOSS, NORM, RATE, Records
from rnncore._training.validation import checked_share, is_share, passed_data
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Trainer

#: Epochs in one call of the core at most: memory is allocated for their records.
MOST_AT_ONCE = 1 << 16

#: Seconds between updates of the progress, and between checkpoints at least.
INTERVAL = 0.1

#: The time between checkpoints is at least so many times the time that saving one takes: the
#: records of a long fit are large.
WORK_PER_SAVE = 20


class Fit:
    """One fit: the core's trainer, new or restored from a checkpoint, and the records so far."""

    def __init__(
        self,
        model: Model,
        data: Data,
        validation: Any,
        split: str | None,
        options: Options,
        seed: int,
    ) -> None:
        core, share = model.spec.core, None
        held: Data | None = None
        if is_share(validation):
            share = checked_share(validation, split)
        else:
            held = passed_data(model.spec, validation, split)
        self.options, self.parts = options, [data] if held is None else [data, held]
        self.explain()
        self.records, state = Records(np.zeros((0, COLUMNS))), None
        if options.checkpoint is not None:
            self.fingerprint = self.make_fingerprint(model, share)
            files.check_place(options.checkpoint)
            found = checkpoints.read(options.checkpoint, self.fingerprint)
            if found is not None:
                seed, records, state = found
                self.records = Records(records)
                if len(records) > options.epochs:
                    raise ValueError(
                        f"epochs: expected at least the {len(records)} that the fit in checkpoint "
                        f"{options.checkpoint!r} has finished, got {options.epochs}"
                    )
        self.seed = seed
        if share is not None:
            data, held = held_out(*share, data, seed)
        if options.trainer["patience"] and held is None:
            raise ValueError(
                "patience: expected validation= with it, whose loss decides when to stop"
            )
        self.validated = held is not None
        self.trainer: Trainer = core.Trainer(
            model.engine, *data.for_core(), batch_size=options.settings["batch_size"], seed=seed,
            held=None if held is None else core.Held(model.engine, *held.for_core()),
            **options.trainer,
        )  # fmt: skip
        if state is not None:
            self.restore(state)

    def make_fingerprint(self, model: Model, share: tuple[float, str] | None) -> dict[str, Any]:
        """What must be equal in a checkpoint for this fit to be continued from it."""
        arrays = []
        for part in self.parts:
            x = part.inputs
            arrays += [x.x, x.tokens, x.lengths, x.mask, x.h0, *part.targets]
        return {
            "network": f"{model.cell.name} {model.config}",
            "data": checkpoints.data_fingerprint(*arrays),
            "validation": None if share is None else list(share),
            **self.options.settings,
        }

    def restore(self, state: dict[str, Array]) -> None:
        """Put the trainer into the state that a checkpoint has."""
        try:
            if self.records.rows.shape[1] != COLUMNS:
                raise ValueError(f"records of shape {self.records.rows.shape}")
            self.trainer.restore(state)
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint: expected a file written by fit, got {self.options.checkpoint!r}: "
                f"{error}"
            ) from None

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        path = self.options.checkpoint
        if path is not None:
            state, records = self.trainer.state(), self.records.filled
            checkpoints.write(path, self.fingerprint, self.seed, records, state)

    def explain(self) -> None:
        """Raise the error for a number in the data that the core cannot work with."""
        for part in self.parts:
            outputs.explain(part.inputs, *part.given)

    def run(self) -> History:
        """Run the epochs that have no records yet.

        Without progress, callback and checkpoint they are one call of the core; else a call has as
        many epochs as take about half of INTERVAL, and with a callback one.
        """
        options, stopped, at_once = self.options, "epochs", 1
        done, epochs = self.records.count, options.epochs
        in_parts = (
            options.progress or options.callback is not None or options.checkpoint is not None
        )
        show = Progress(epochs, done) if options.progress else None
        saved, wait = perf_counter(), INTERVAL
        try:
            while done < epochs:
                begun = perf_counter()
                done = self.advance(min(at_once if in_parts else MOST_AT_ONCE, epochs - done))
                last = self.records.filled[-1]
                if show is not None:
                    show(done, last)
                if (now := perf_counter()) - saved > wait:
                    self.save()
                    saved = perf_counter()
                    wait = max(INTERVAL, WORK_PER_SAVE * (saved - now))
                if self.trainer.impatient:
                    stopped = "patience"
                    break
                if options.callback is not None:
                    answer = options.callback(done, float(last[LOSS]))
                    if isinstance(answer, bool | np.bool_) and answer:
                        stopped = "callback"
                        break
                elif perf_counter() - begun < INTERVAL / 2:
                    at_once *= 2
            self.save()
        finally:
            if show is not None:
                show.close()
        if options.trainer["patience"]:
            self.trainer.use_best()
        return History(self.records.filled, self.validated, stopped)

    def advance(self, count: int) -> int:
        """Run `count` more epochs, or fewer if the patience ends before. Returns how many epochs
        are done."""
        records = self.records
        part = records.next(count)
        part[:, RATE] = self.options.rates(records.count + 1, count)
        shares = self.options.shares
        forcing = None if shares is None else shares(records.count + 1, count)
        finished = self.trainer.run(part, self.options.threads, forcing)
        records.count += finished
        if finished < count and not self.trainer.impatient:
            self.explain()
            raise diverged(records.rows[: records.count + 1], self.validated)
        return records.count


def diverged(records: Array, validated: bool) -> FloatingPointError:
    """The error for an epoch, the last of the records, in which numbers stopped being finite."""
    finished, loss = len(records) - 1, records[:, LOSS]
    before = f"that of epoch {finished}" if finished else "unchanged"
    after = f" after {loss[-2]:.4g}" if finished else ""
    norms = records[:, NORM]
    norms = norms[~np.isnan(norms)]  # an epoch whose first loss is not finite has none
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
    error.history = History(records[:-1], validated, "error")  # type: ignore[attr-defined]
    return error
