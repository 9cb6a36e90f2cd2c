"""Chunks of a population's members, trained by an executor: processes, or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from dataclasses import fields, replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._population.jobs import Job, Rows, told
from rnncore._population.sequences import Selection
from rnncore._types import Array

#: Seconds that a chunk takes at least: sending one costs milliseconds, and towards the end of a
#: chunk fewer and fewer lanes have a member. Where there is work for longer, a worker gets so many
#: chunks in all, which take up to ten times as long.
CHUNK_SECONDS = 1.0
CHUNKS_IN_ALL = 4

#: Chunks at an executor at the same time, for each of its workers; and how many workers are taken
#: for granted where it does not say.
CHUNKS_PER_WORKER, WORKERS = 2, 16

#: How often a chunk is sent again that was lost with a worker.
MOST_RETRIES = 2


class Result(NamedTuple):
    """What comes back of a chunk."""

    members: Array
    state: dict[str, Array]
    records: Array


def train_chunk(job: Job, members: Array, flat: Array, state: dict[str, Array]) -> Result:
    """Train all members of a job, in one thread; `members` are their numbers elsewhere."""
    job, state, flat = aligned(job), aligned(state), flat.copy()
    model = Model(job.cell, job.config)
    records = job.new_records()
    population = job.for_core(model, flat, records)
    every = np.arange(job.members, dtype=np.int64)
    population.restore(every, state)
    core = model.spec.core
    population.begin(job.in_order(every, population.kinds()))
    core.train_members(population, 1e9)
    return Result(members, population.state(every), records)


def aligned(value: Any) -> Any:
    """The same with arrays as the core takes them: some transports leave them anywhere in a
    message."""
    if isinstance(value, np.ndarray):
        return np.require(value, requirements=["C", "A"])
    if isinstance(value, dict):
        return {name: aligned(part) for name, part in value.items()}
    if isinstance(value, Selection):
        return Selection(*map(aligned, value))
    if isinstance(value, tuple):
        return tuple(map(aligned, value))
    if isinstance(value, Job | Rows):
        return replace(value, **{f.name: aligned(getattr(value, f.name)) for f in fields(value)})
    return value


def checked(executor: Any) -> Executor:
    for name in ("submit", "shutdown"):
        if not callable(getattr(executor, name, None)):
            raise TypeError(
                "executor: expected a concurrent.futures.Executor, such as ProcessPoolExecutor() "
                f"or a dask client's get_executor(), got {check.kind(executor)}"
            )
    return executor  # type: ignore[no-any-return]


def seconds_per_step(job: Job, flat: Array) -> float:
    """Measured: the time that a step of one member's sequence takes, in the first epoch of some."""
    some = job.part(np.arange(min(64, job.members)))
    some = replace(some, epochs=1, rates=np.ascontiguousarray(some.rates[:, :1]))
    model = Model(some.cell, some.config)
    population = some.for_core(model, flat[: some.members].copy(), some.new_records())
    population.begin(np.arange(some.members, dtype=np.int64))
    begun = perf_counter()
    model.spec.core.train_members(population, 1e9)
    return (perf_counter() - begun) / float(some.steps.sum())


def workers_of(executor: Executor) -> int:
    """How many workers an executor has, as far as it says."""
    try:
        return len(executor._client.scheduler_info()["workers"]) or 1  # type: ignore[attr-defined]
    except Exception:  # no dask
        return getattr(executor, "_max_workers", None) or WORKERS


def chunks(
    job: Job, waiting: Array, kinds: Array, width: int, per_step: float, workers: int
) -> Iterator[Array]:
    """Members that are trained together: alike, and for about as long as a chunk should take if
    they take all of their epochs."""
    order = job.in_order(waiting, kinds)
    cost = job.steps[order] * (per_step * job.epochs)
    seconds = cost.sum() / (workers * CHUNKS_IN_ALL)
    seconds = max(CHUNK_SECONDS, min(10 * CHUNK_SECONDS, seconds))
    begin = 0
    while begin < len(order):
        many = int(np.searchsorted(np.cumsum(cost[begin:]), seconds, side="right"))
        many = max(1, -(-many // width)) * width
        yield order[begin : begin + many]
        begin += many


def renewed(executor: Executor) -> Executor:
    """Another executor like one that broke."""
    from concurrent.futures import ProcessPoolExecutor

    if type(executor) is not ProcessPoolExecutor:
        return executor
    names = ("_max_workers", "_mp_context", "_initializer", "_initargs")
    workers, context, initializer, arguments = (getattr(executor, name, None) for name in names)
    return ProcessPoolExecutor(workers, context, initializer, arguments or ())


class Dispatch:
    """Chunks on their way to an executor and back."""

    def __init__(
        self, executor: Executor, job: Job, flat: Array,
        state_of: Callable[[Array], dict[str, Array]],
    ) -> None:  # fmt: skip
        self.executor, self.job, self.flat, self.state_of = executor, job, flat, state_of
        self.own: Executor | None = None  # one in the place of a broken one
        self.tries: dict[bytes, int] = {}
        self.out: dict[Future[Result], Array] = {}

    def submit(self, members: Array) -> None:
        part, key = self.job.part(members), members.tobytes()
        given = part, members, np.ascontiguousarray(self.flat[members]), self.state_of(members)
        try:
            future = (self.own or self.executor).submit(train_chunk, *given)
        except BrokenExecutor:
            self.renew()
            future = (self.own or self.executor).submit(train_chunk, *given)
        self.tries.setdefault(key, 0)
        self.out[future] = members

    def renew(self) -> None:
        if self.own is not None:
            self.own.shutdown(wait=False, cancel_futures=True)
        new = renewed(self.executor)
        self.own = None if new is self.executor else new

    def results(self, pending: Iterator[Array]) -> Iterator[Result]:
        """What comes back, in whatever order; a chunk that was lost is sent again."""
        workers = workers_of(self.executor)
        lost: list[Array] = []
        try:
            while True:
                while lost or len(self.out) < CHUNKS_PER_WORKER * workers:
                    members = lost.pop() if lost else next(pending, None)
                    if members is None:
                        break
                    self.submit(members)
                if not self.out:
                    return
                done, _ = wait(self.out, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    members = self.out.pop(future)
                    try:
                        yield future.result()
                    except BrokenExecutor as error:
                        self.count_loss(members, error)
                        lost.append(members)
        finally:
            for future in self.out:
                future.cancel()
            if self.own is not None:
                self.own.shutdown(wait=False, cancel_futures=True)

    def count_loss(self, members: Array, error: BaseException) -> None:
        key = members.tobytes()
        self.tries[key] += 1
        if self.tries[key] > MOST_RETRIES:
            raise RuntimeError(
                f"executor: its workers died {self.tries[key]} times with the chunk of members "
                f"{told(members, 10)}; the others that were finished are kept"
            ) from error
