"""The fit of a population: the threads or the executor that train, progress and checkpoints."""

from __future__ import annotations

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor, wait
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._population import executors
from rnncore._population import options as of
from rnncore._population.history import COLUMNS, LOSS, PopulationHistory
from rnncore._population.jobs import told
from rnncore._population.making import job_of
from rnncore._population.sequences import Given
from rnncore._runtime.threads import available
from rnncore._storage import files
from rnncore._training import checkpoint as checkpoints
from rnncore._training.options import rate_settings
from rnncore._training.progress import SafeStream, tqdm_bar
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore import _core_base_f32 as _core

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
        members = len(flat)
        self.model, self.flat = model, flat
        self.threads = check.threads(settings["threads"])
        progress, path, executor = (settings[k] for k in ("progress", "checkpoint", "executor"))
        self.progress = check.flag("progress", False if progress is None else progress)
        self.checkpoint = None if path is None else check.path(path, "checkpoint")
        self.executor = None if executor is None else executors.checked(executor)
        check.all_finite("flat", flat)
        seeds = of.seeds("rng", settings["rng"], members)
        job = job_of(model, flat, given, train, validation, seeds, settings)
        found = None
        if self.checkpoint is not None:
            self.fingerprint = fingerprint(model, members, given, train, validation, settings)
            files.check_place(self.checkpoint)
            found = checkpoints.read(self.checkpoint, self.fingerprint)
        if found is not None and "seeds" in found[2]:
            seeds = found[2].pop("seeds")  # of a fit without rng=
            job = job_of(model, flat, given, train, validation, seeds, settings)
        self.job, self.every = job, np.arange(members, dtype=np.int64)
        self.records = job.new_records()
        self.core: _core.Population = job.for_core(model, flat, self.records)
        self.kinds = self.core.kinds()
        self.saved, self.pause = perf_counter(), INTERVAL
        if found is not None:
            self.restore(found[1], found[2])

    # ---- checkpoints

    def restore(self, records: Array, state: dict[str, Array]) -> None:
        try:
            records = records.reshape(len(self.flat), -1, COLUMNS)
            done = int((~np.isnan(records[..., LOSS])).any(axis=0).sum())
            if done > self.job.epochs:
                raise ValueError(f"of {done} epochs, more than epochs={self.job.epochs}")
            self.core.restore(self.every, state)
            self.records[:, :done] = records[:, :done]
        except (KeyError, ValueError, TypeError) as error:
            raise ValueError(
                f"checkpoint: expected a file written by fit, got {self.checkpoint!r}: {error}"
            ) from None

    def save(self) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.checkpoint is not None:
            records = self.records.reshape(len(self.flat), -1)
            state = {**self.core.state(self.every), "seeds": self.job.seeds}
            checkpoints.write(self.checkpoint, self.fingerprint, 0, records, state)

    def save_at_times(self) -> None:
        if (now := perf_counter()) - self.saved > self.pause:
            self.save()
            self.saved = perf_counter()
            self.pause = max(INTERVAL, WORK_PER_SAVE * (self.saved - now))

    # ---- the loop

    def run(self) -> PopulationHistory:
        begun = perf_counter()
        show = Line(len(self.flat)) if self.progress else None
        try:
            if self.executor is None:
                self.run_here(show)
            else:
                self.run_there(show)
        finally:
            self.save()
            if show is not None:
                show.close()
        if self.job.shared["patience"]:
            self.core.use_best()
        history = PopulationHistory(
            self.records, self.core.epochs_done(), self.core.finished(), perf_counter() - begun
        )
        warn_of(np.flatnonzero(history.stopped == "diverged"))
        return history

    def waiting(self, show: Line | None) -> Array:
        """The members that are not finished."""
        left = np.flatnonzero(self.core.finished() == 0)
        if show is not None:
            show(len(self.flat) - len(left), self.core.epochs_done())
        return left

    def run_here(self, show: Line | None) -> None:
        in_parts = show is not None or self.checkpoint is not None
        while len(left := self.waiting(show)):
            self.core.begin(self.job.in_order(left, self.kinds))
            self.train(len(left), INTERVAL if in_parts else FOREVER)
            if self.core.data_changed:
                raise RuntimeError("fit: expected data that do not change during the fit")
            self.save_at_times()

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

    def run_there(self, show: Line | None) -> None:
        """The same by an executor: chunks of members are sent, and come back finished."""
        assert self.executor is not None
        left = self.waiting(show)
        if not len(left):
            return
        per_step = executors.seconds_per_step(self.job, self.flat)
        dispatch = executors.Dispatch(self.executor, self.job, self.flat, self.core.state)
        parts = executors.chunks(
            self.job, left, self.kinds, self.core.width, per_step,
            executors.workers_of(self.executor),
        )  # fmt: skip
        for members, state, records in dispatch.results(parts):
            self.core.restore(members, state)
            done = ~np.isnan(records)
            self.records[members] = np.where(done, records, self.records[members])
            self.waiting(show)
            self.save_at_times()


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


def warn_of(diverged: Array) -> None:
    if len(diverged):
        warnings.warn(
            f"fit: the loss or a parameter of member {told(diverged)} was not finite; it has the "
            "parameters after its last epoch before that (history.stopped, history.epochs)",
            RuntimeWarning,
            stacklevel=4,
        )


def fingerprint(
    model: Model, members: int, given: Given, train: Any, validation: Any, settings: dict[str, Any]
) -> dict[str, Any]:
    """What must be equal in a checkpoint for this fit to be continued from it."""
    ignored = ("threads", "progress", "checkpoint", "rng", "epochs", "executor")
    lr = settings["lr"]
    text = rate_settings(lr, settings["epochs"]) if callable(lr) else lr
    settings = {**settings, "lr": text}
    return {
        "population": f"{members} of {model.cell.name} {model.config}",
        "data": text_of(tuple(given)),
        "selections": text_of((train, validation)),
        "options": {k: text_of(v) for k, v in settings.items() if k not in ignored},
    }


def text_of(value: Any) -> str:
    """A text that differs where values do."""
    if isinstance(value, np.ndarray):
        return checkpoints.data_fingerprint(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{k}: {text_of(v)}' for k, v in value.items())}}}"
    return repr(value)
