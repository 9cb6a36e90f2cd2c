"""The fit of a population: its data and options for the core, and the threads that train."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._model.model import Model
from rnncore._population import options as of
from rnncore._population.history import COLUMNS, LOSS, PopulationHistory
from rnncore._population.sequences import (
    Given,
    Pool,
    Selection,
    check_counts,
    pool_of,
    selected,
    share_apart,
)
from rnncore._runtime.threads import available
from rnncore._storage import files
from rnncore._training import checkpoint as checkpoints
from rnncore._training.options import rate_settings
from rnncore._training.progress import SafeStream, tqdm_bar
from rnncore._training.validation import is_share
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore import _core_base_f32 as _core

#: Units up to which members are side by side in the lanes; beyond, sequences are, and one member is
#: trained after another. See docs/performance.md.
MOST_UNITS = 16

#: Seconds between updates of the progress, and between checkpoints at least.
INTERVAL = 0.5
FOREVER = 1e9

#: The time between checkpoints is at least so many times the time that saving one takes.
WORK_PER_SAVE = 20


class Training:
    """One fit of a population, new or from a checkpoint."""

    def __init__(
        self, model: Model, flat: Array, given: Given, train: Any, validation: Any,
        settings: dict[str, Any],
    ) -> None:  # fmt: skip
        members, spec = len(flat), model.spec
        self.model, self.flat = model, flat
        self.epochs = check.whole("epochs", settings["epochs"], 1)
        self.threads = check.threads(settings["threads"])
        progress = settings["progress"]
        self.progress = check.flag("progress", False if progress is None else progress)
        path = settings["checkpoint"]
        self.checkpoint = None if path is None else check.path(path, "checkpoint")
        check.all_finite("flat", flat)
        pool = pool_of(spec, given, members)
        self.seeds = of.seeds("rng", settings["rng"], members)
        arguments = self.checked(settings)
        self.found = self.read_checkpoint(pool, train, validation, settings)
        everything = pool.everything(members)
        if train is not None:
            everything = selected("train", train, everything)
        chosen, held_pool, held = held_of(spec, pool, everything, validation, self.seeds, members)
        check_counts("train", pool, chosen)
        if held is not None:
            assert held_pool is not None
            check_counts("validation", held_pool, held)
        elif arguments["patience"]:
            raise ValueError(
                "patience: expected validation= with it, whose loss decides when to stop"
            )
        self.records = np.full((members, self.epochs, COLUMNS), np.nan)
        self.core: _core.Population = spec.core.Population(
            model.engine, flat, fitted(model, pool),
            None if held_pool is None else fitted(model, held_pool),
            chosen.order, chosen.counts, None if held is None else held.order,
            None if held is None else held.counts,
            of.batch_sizes(settings["batch_size"], chosen.counts),
            seeds=self.seeds, records=self.records,
            models_in_lanes=spec.hidden_size <= MOST_UNITS and members > 1, **arguments,
        )  # fmt: skip
        self.steps = steps_of(pool, chosen)
        if self.found is not None:
            self.restore(*self.found)

    def checked(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options of the core's Population."""
        model, members, core = self.model, len(self.flat), self.model.spec.core
        rates, plateau = of.rates(given["lr"], members, self.epochs)
        truncate, patience = given["truncate"], given["patience"]
        names = ("momentum", "alpha", "betas", "eps", "clip_norm", "clip_value", "activation")
        return {
            "coefficients": of.coefficients(
                members, model.spec.dtype, **{name: given[name] for name in names}
            ),
            "rule": core.OPTIMISERS[check.choice("optimizer", given["optimizer"], core.OPTIMISERS)],
            "decay": of.penalties("weight_decay", given["weight_decay"], members, model),
            "l1": of.penalties("l1", given["l1"], members, model),
            "truncate": 0 if truncate is None else check.whole("truncate", truncate, 1),
            "patience": 0 if patience is None else check.whole("patience", patience, 1),
            "shuffled": check.flag("shuffle", given["shuffle"]),
            "rates": rates,
            "plateau": plateau,
        }

    # ---- checkpoints

    def read_checkpoint(
        self, pool: Pool, train: Any, validation: Any, settings: dict[str, Any]
    ) -> tuple[Array, dict[str, Array]] | None:
        if self.checkpoint is None:
            return None
        files.check_place(self.checkpoint)
        x = pool.data.inputs
        arrays = [x.x, x.tokens, x.lengths, x.mask, x.h0, *pool.data.targets]
        ignored = ("threads", "progress", "checkpoint", "rng", "epochs")
        lr = settings["lr"]
        text = rate_settings(lr, self.epochs) if callable(lr) else lr
        settings = {**settings, "lr": text}
        self.fingerprint = {
            "population": f"{len(self.flat)} of {self.model.cell.name} {self.model.config}",
            "data": checkpoints.data_fingerprint(*arrays),
            "selections": text_of((train, validation)),
            "options": {k: text_of(v) for k, v in settings.items() if k not in ignored},
        }
        found = checkpoints.read(self.checkpoint, self.fingerprint)
        if found is None:
            return None
        _, records, state = found
        self.seeds = state.pop("seeds", self.seeds)
        return records, state

    def restore(self, records: Array, state: dict[str, Array]) -> None:
        try:
            records = records.reshape(len(self.flat), -1, COLUMNS)
            done = int((~np.isnan(records[..., LOSS])).any(axis=0).sum())
            if done > self.epochs:
                raise ValueError(f"of {done} epochs, more than epochs={self.epochs}")
            self.core.restore(state)
            self.records[:, :done] = records[:, :done]
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint: expected a file written by fit, got {self.checkpoint!r}: {error}"
            ) from None

    def save(self) -> None:
        if self.checkpoint is not None:
            records = self.records.reshape(len(self.flat), -1)
            state = {**self.core.state(), "seeds": self.seeds}
            checkpoints.write(self.checkpoint, self.fingerprint, 0, records, state)

    # ---- the loop

    def run(self) -> PopulationHistory:
        begun = perf_counter()
        show = Line(len(self.flat)) if self.progress else None
        in_parts = show is not None or self.checkpoint is not None
        kinds, saved, pause = self.model.spec.core.kinds(self.core), perf_counter(), INTERVAL
        try:
            while True:
                waiting = np.flatnonzero(self.core.finished() == 0)
                if show is not None:
                    show(len(self.flat) - len(waiting), self.core.epochs_done())
                if not len(waiting):
                    break
                order = np.lexsort((waiting, -self.steps[waiting], kinds[waiting]))
                self.core.begin(waiting[order].astype(np.int64))
                self.train(len(waiting), INTERVAL if in_parts else FOREVER)
                if self.core.data_changed:
                    raise RuntimeError("fit: expected data that do not change during the fit")
                if (now := perf_counter()) - saved > pause:
                    self.save()
                    saved = perf_counter()
                    pause = max(INTERVAL, WORK_PER_SAVE * (saved - now))
            self.save()
        finally:
            if show is not None:
                show.close()
        if self.core.patience_is_set:
            self.core.use_best()
        history = PopulationHistory(
            self.records, self.core.epochs_done(), self.core.finished(), perf_counter() - begun
        )
        diverged = np.flatnonzero(history.stopped == "diverged")
        if len(diverged):
            shown = ", ".join(map(str, diverged[:20])) + (", ..." if len(diverged) > 20 else "")
            warnings.warn(
                f"fit: the loss or a parameter of member {shown} was not finite; it has the "
                "parameters after its last epoch before that (history.stopped, history.epochs)",
                RuntimeWarning, stacklevel=3,
            )  # fmt: skip
        return history

    def train(self, members: int, seconds: float) -> None:
        """Let threads train the members that wait, for some time."""
        threads = self.threads or available()
        threads = min(threads, -(-members // self.core.width))
        work = self.model.spec.core.train_members
        with ThreadPoolExecutor(threads) as pool:
            jobs = [pool.submit(work, self.core, seconds) for _ in range(threads)]
            try:
                wait(jobs)
            except BaseException:  # Ctrl-C
                self.core.stop()
                raise
        for job in jobs:
            job.result()


class Line:
    """How many members are finished: tqdm's bar if that is installed, else a line."""

    def __init__(self, members: int) -> None:
        self.members, self.done = members, 0
        self.stream = SafeStream(sys.stderr)
        self.bar = tqdm_bar(self.stream, total=members, unit="member", leave=True)

    def __call__(self, done: int, epochs: Array) -> None:
        text = f"{int(epochs.sum())} epochs"
        if self.bar is not None:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update(done - self.done)
        else:
            line = f"\rmembers finished {done}/{self.members}, {text} "
            print(line, end="", file=self.stream, flush=True)
        self.done = done

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
        else:
            print(file=self.stream)


def fitted(model: Model, pool: Pool) -> _core.Fitted:
    data = pool.data
    targets = outputs.for_core(data.inputs, data.targets)
    made: _core.Fitted = model.spec.core.Fitted(model.engine, data.batch, *targets)
    return made


def steps_of(pool: Pool, chosen: Selection) -> Array:
    """The time steps of each member's sequences: about what an epoch costs."""
    inputs = pool.data.inputs
    lengths = np.full(inputs.count, inputs.time) if inputs.lengths is None else inputs.lengths
    starts = np.cumsum(chosen.counts) - chosen.counts
    return np.add.reduceat(lengths[chosen.order], starts)


def held_of(
    spec: Any, pool: Pool, everything: Selection, validation: Any, seeds: Array, members: int
) -> tuple[Selection, Pool | None, Selection | None]:
    """What each member is trained on, and what its validation loss is of."""
    if validation is None:
        return everything, None, None
    if is_share(validation):
        share = check.number("validation", validation, 0, 1, above=True)
        train, held = share_apart(share, everything, seeds)
        return train, pool, held
    if is_pair(validation):
        try:
            other = pool_of(spec, Given(*validation), members)
        except (TypeError, ValueError) as error:
            raise type(error)(f"validation: {error}") from None
        return everything, other, other.everything(members)
    return everything, pool, selected("validation", validation, pool.everything(members))


def is_pair(validation: Any) -> bool:
    """Whether it is a pair (x, y) of data, not numbers of sequences."""
    if not isinstance(validation, tuple) or len(validation) != 2:
        return False
    x = validation[0]
    return isinstance(x, list | tuple) or np.ndim(x) >= 2


def text_of(value: Any) -> str:
    """A text that differs where values do."""
    if isinstance(value, np.ndarray):
        return checkpoints.data_fingerprint(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {text_of(v)}' for k, v in value.items())}}}"
    return "a function" if callable(value) and "object at" in repr(value) else repr(value)
