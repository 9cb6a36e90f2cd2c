"""What it costs to send a fit's members to another process: the same fit here and there, with one
worker, so that both have one core; the losses must be the same, to the bit.

The overhead is everything: measuring what a step costs, cutting, pickling and sending chunks, what
the executor does, and lanes that stand empty towards the end of each chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from statistics import median
from time import perf_counter

import numpy as np

import rnncore as rc
from rnncore._bench.populations import FIT, blocks_of, population
from rnncore._population.executors import train_chunk
from rnncore._types import Array


@contextmanager
def processes() -> Iterator[Executor]:
    # Not by a fork, which those who have threads, as jax has, do not survive.
    with ProcessPoolExecutor(1, get_context("spawn")) as executor:
        yield executor


@contextmanager
def dask() -> Iterator[Executor]:
    from dask.distributed import Client, LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client.get_executor()


class Counting(Executor):
    """Another executor, whose chunks are counted."""

    def __init__(self, inner: Executor) -> None:
        self.inner, self.count, self._max_workers = inner, 0, 1

    def submit(self, call, /, *arguments, **options):  # type: ignore[no-untyped-def]
        self.count += call is train_chunk
        return self.inner.submit(call, *arguments, **options)


def timed(call: Callable[[], Array]) -> tuple[float, Array]:
    begun = perf_counter()
    result = call()
    return perf_counter() - begun, result


def overheads(members: int, blocks: int, trials: int, rounds: int) -> list[str]:
    """A table in Markdown: GRUs of two units, fits in turns."""
    data = blocks_of(blocks, trials, 0)

    def fit(executor: Executor | None = None) -> Array:
        pop: rc.Population = population(2, members)
        return pop.fit(
            data.x, data.y, train=data.train, validation=data.held, threads=1, executor=executor,
            optimizer="adamw", rng=0, **FIT,
        ).loss  # fmt: skip

    lines = ["| one worker of | fit here, s | chunks | seconds of a chunk | overhead |",
             "|---|---|---|---|---|"]  # fmt: skip
    for name, opened in (("ProcessPoolExecutor", processes), ("dask's LocalCluster", dask)):
        try:
            with opened() as inner:
                executor = Counting(inner)
                fit(executor)  # imports rnncore there
                chunks, pairs = executor.count, []
                for _ in range(rounds):
                    (here, expected), (there, got) = timed(fit), timed(lambda: fit(executor))  # noqa: B023
                    if not np.array_equal(expected, got, equal_nan=True):
                        raise RuntimeError(f"{name}: the losses differ")
                    pairs.append((here, there))
        except ImportError:
            continue
        here = median(pair[0] for pair in pairs)
        over = median(there / here - 1 for here, there in pairs)
        lines.append(f"| {name} | {here:.2f} | {chunks} | {here / chunks:.2f} | {over:.1%} |")
        print(lines[-1], flush=True)
    return lines
