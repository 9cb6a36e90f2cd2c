"""Populations beside other ways to train many tiny networks: losses are compared first, then all
take turns, on one core.

A row is one train step of every member (AdamW), or the whole fit with a validation loss and early
stopping. The *share* is the floor over the time measured: activations at the rate, and products at
the peak, that `limits` measures in the same round. All ratios are medians of those within a round,
so that a machine whose speed changes from minute to minute changes both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

import rnncore as rc
from rnncore._bench import timing
from rnncore._bench.limits import Limits, measure
from rnncore._bench.peers import jax_populations
from rnncore._types import Array

LR = 0.001
TOLERANCE = 1e-4


class Row(NamedTuple):
    """Members, of which network, on which data: B sequences of T steps, D inputs."""

    kind: str
    members: int
    H: int
    D: int
    B: int
    T: int
    loss: str

    @property
    def label(self) -> str:
        return f"{self.members} {self.kind} {self.H}, {self.D}, {self.B}, {self.T} {self.loss}"

    def population(self) -> rc.Population:
        K = 2 if self.loss == "cross_entropy" else 1
        return rc.Population(
            getattr(rc, self.kind), self.members, self.D, self.H, K, loss=self.loss,
            readout="all" if K == 2 else "last", seed=0,
        )  # fmt: skip

    def data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        x = rng.standard_normal((self.B, self.T, self.D)).astype(np.float32)
        shape = (self.B, self.T) if self.loss == "cross_entropy" else (self.B,)
        y = rng.integers(0, 2, shape)
        return x, y if self.loss == "cross_entropy" else y.astype(np.float32)

    def floor(self, limits: Limits) -> float:
        """Seconds below which a train step cannot be."""
        gates, tanhs = {"RNN": (1, 1), "GRU": (3, 3)}[self.kind]
        steps = self.members * self.B * self.T
        products = steps * gates * self.H * (2 * (self.D + self.H) + self.H)
        activations = steps * tanhs * self.H
        if self.loss == "cross_entropy":  # an exp and a log, for each of two classes' logits
            products, activations = products + steps * 6 * self.H, activations + 2 * steps
        return 2 * products / limits.flops_per_second + activations * limits.seconds_per_tanh


ROWS = (
    Row("GRU", 165, 2, 3, 16, 64, "cross_entropy"),
    Row("GRU", 165, 4, 3, 16, 64, "cross_entropy"),
    Row("GRU", 165, 8, 3, 16, 64, "cross_entropy"),
    Row("RNN", 1024, 1, 3, 32, 50, "bce"),
    Row("GRU", 165, 2, 3, 1, 500, "cross_entropy"),
)
QUICK = (Row("GRU", 9, 2, 3, 4, 6, "cross_entropy"), Row("RNN", 9, 1, 3, 4, 6, "bce"))

#: Train steps in one call of rnncore, whose call checks and prepares the data each time.
STEPS = 50


def one_by_one(row: Row, x: Array, y: Array, steps: int) -> Callable[[], object]:
    """A loop over `fit` of each network."""
    nets = list(row.population())
    options: dict[str, Any] = {"epochs": steps, "batch_size": row.B, "lr": LR, "threads": 1}

    def call() -> None:
        for net in nets:
            net.fit(x, y, optimizer="adamw", rng=0, **options)

    return call


def contestants(row: Row, steps: int) -> dict[str, tuple[Callable[[], object], int]]:
    """By name: a call, and how many train steps it takes. Their first losses are compared."""
    x, y = row.data()
    pop = row.population()

    def fit() -> rc.PopulationHistory:
        return pop.fit(
            x, y, epochs=steps, batch_size=row.B, lr=LR, optimizer="adamw", rng=0, threads=1
        )

    calls: dict[str, tuple[Callable[[], object], int]] = {}
    others = jax_populations.steps(row.kind, row.loss, row.population().parameters(), x, y, LR)
    expected = fit().loss[:3]
    for name, call in others.items():
        got = np.stack([call() for _ in range(3)])
        deviation = float(np.abs(got - expected).max() / np.abs(expected).max())
        if not deviation <= TOLERANCE:
            raise RuntimeError(f"{row.label}: {name}: losses deviate by {deviation:.2g}")
        calls[name] = call, 1
    return {"rnncore": (fit, steps), "fit of each": (one_by_one(row, x, y, steps), steps), **calls}


def compare(rows: tuple[Row, ...], rounds: int, at_least: float, steps: int = STEPS) -> list[str]:
    """A table in Markdown: milliseconds of a train step, how many times as long others take."""
    names = ["rnncore", "fit of each", "jax.vmap", "jax, members in the last axis"]
    lines = [
        "| members, network, D, B, T | rnncore, ms | share | "
        + " | ".join(f"{name}, times" for name in names[1:]) + " |",
        "|" + "---|" * (2 + len(names)),
    ]  # fmt: skip
    for row in rows:
        found = contestants(row, steps)
        limits: list[Limits] = []
        calls: dict[str, Callable[[], object]] = {name: call for name, (call, _) in found.items()}
        calls["limits"] = lambda: limits.append(measure("float32", 1 << 24))  # noqa: B023
        with timing.pinned():
            timings = timing.in_rounds(calls, rounds, at_least)
        seconds = {name: np.array(timings[name]) / steps for name, (_, steps) in found.items()}
        mine = seconds["rnncore"]
        cells = [f"{np.median(seconds[n] / mine):.1f}" if n in seconds else "" for n in names[1:]]
        floors = np.array([row.floor(limit) for limit in limits[-rounds:]])
        shown = f"{1e3 * np.median(mine):.2f} | {np.median(floors / mine):.0%}"
        lines.append(f"| {row.label} | {shown} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


#: Of a whole fit.
FIT: dict[str, Any] = {"epochs": 200, "patience": 20, "batch_size": 16, "lr": 0.01}
MAKE = {"loss": "cross_entropy", "readout": "all"}


class Blocks(NamedTuple):
    """Sequences to fit to, and those whose loss decides when to stop: x (B, T, 3), y (B, T)."""

    x: Array
    y: Array
    train: Array
    held: Array

    @property
    def parts(self) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """x and y of either."""
        train, held = self.train, self.held
        return (self.x[train], self.y[train]), (self.x[held], self.y[held])


def blocks_of(blocks: int, trials: int, seed: int) -> Blocks:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((blocks, trials, 3)).astype(np.float32)
    y = x[:, :, 0] + 0.5 * np.roll(x[:, :, 1], 1, axis=1) + rng.normal(0, 1, x.shape[:2]) > 0
    order = rng.permutation(blocks)
    return Blocks(x, y.astype(np.int64), order[blocks // 5 :], order[: blocks // 5])


def whole_fits(members: int, blocks: int, trials: int, folds: int) -> list[str]:
    """Whole fits with early stopping: as a population, one network after another, and by jax.vmap
    (the first fold alone, which takes minutes)."""
    lines = ["| whole fits | rnncore, s | two threads, times faster | fit of each, times "
             "| jax.vmap, times |", "|---|---|---|---|---|"]  # fmt: skip
    for H in (2, 4):
        data = [blocks_of(blocks, trials, seed) for seed in range(folds)]
        spent = np.array([whole_fit(H, members, fold) for fold in data])
        by_jax = whole_fit_by_jax(H, members, data[0])
        one, two, each = spent.T
        lines.append(
            f"| {members} GRU {H}, {blocks} blocks of {trials} | {np.median(one):.2f} "
            f"| {np.median(one / two):.2f} | {np.median(each / one):.2f} "
            f"| {'' if by_jax is None else f'{by_jax:.0f}'} |"
        )
        print(lines[-1], flush=True)
    return lines


def population(H: int, members: int) -> rc.Population:
    return rc.Population(rc.GRU, members, 3, H, 2, seed=range(members), **MAKE)


def fitted(
    H: int, members: int, data: Blocks, threads: int = 1
) -> tuple[rc.PopulationHistory, float]:
    """A whole fit's history, and its seconds."""
    pop = population(H, members)
    begun = perf_counter()
    history = pop.fit(
        data.x, data.y, train=data.train, validation=data.held, threads=threads,
        optimizer="adamw", rng=0, **FIT,
    )  # fmt: skip
    return history, perf_counter() - begun


def whole_fit(H: int, members: int, data: Blocks) -> tuple[float, ...]:
    """Seconds with one thread, with two, and of a loop over `fit`; the losses are compared."""
    spent = []
    for threads in (1, 2):
        history, seconds = fitted(H, members, data, threads)
        spent.append(seconds)
    begun = perf_counter()
    train, held = data.parts
    found = [
        rc.GRU(3, H, 2, seed=m, **MAKE).fit(  # type: ignore[arg-type]
            *train, validation=held, threads=1, optimizer="adamw", rng=0, **FIT
        )
        for m in range(members)
    ]
    spent.append(perf_counter() - begun)
    first = np.array([one.loss[0] for one in found])
    if not np.allclose(first, history.loss[0], rtol=TOLERANCE):
        raise RuntimeError("whole fits: the losses of the first epoch differ")
    return tuple(spent)


def whole_fit_by_jax(H: int, members: int, data: Blocks) -> float | None:
    """How many times as long as rnncore, right before and after; None without jax. The order of the
    minibatches is another one, so it is the mean of the members' best losses that is compared."""
    pop = population(H, members)
    train, held = data.parts
    call = jax_populations.whole_fit(pop.parameters(), train, held, **FIT)
    if call is None:
        return None
    history, before = fitted(H, members, data)
    begun = perf_counter()
    best, epochs = call()
    spent = perf_counter() - begun
    history, after = fitted(H, members, data)
    assert history.validation is not None
    expected = np.nanmin(history.validation, axis=0).mean()
    if not abs(best.mean() / expected - 1) < 0.02:
        raise RuntimeError(f"whole fits: jax's best losses are {best.mean()}, not {expected}")
    print(f"jax.vmap, GRU {H}: {spent:.1f} s for {epochs} epochs", flush=True)
    return 2 * spent / (before + after)
