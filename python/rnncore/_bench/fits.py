"""Whole fits of one network, beside PyTorch and jax: seconds of an epoch of Adam.

Sequences are taken in their order, so that all see the same minibatches; the mean losses of the
first epochs are compared. jax has the minibatches in one compiled loop over an epoch.

PyTorch's layers take no tokens: there ``torch.nn.Embedding`` has the columns of ``weight_ih_l0``,
and the layer the identity in its place, which is not trained. That is the same network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import rnncore as rc
from rnncore._bench import timing
from rnncore._bench.peers import jax_populations
from rnncore._types import Array

LR = 0.001
TOLERANCE = 1e-3
BATCH = 32

#: Epochs in one call of `fit`, which checks and prepares the data each time.
EPOCHS = 10

#: One epoch, which gives its mean loss.
Epoch = Callable[[], float]


class Row(NamedTuple):
    """Which network, on how many sequences of T steps; of D numbers, or tokens out of D."""

    kind: str
    H: int
    D: int
    sequences: int
    T: int
    tokens: bool = False

    @property
    def label(self) -> str:
        what = f"{self.D} tokens" if self.tokens else str(self.D)
        return f"{self.kind} {self.H}, {what}, {self.sequences}, {self.T}"

    def network(self) -> Any:
        return getattr(rc, self.kind)(self.D, self.H, 1, loss="bce", seed=0)

    def data(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        shape = (self.sequences, self.T)
        x: Array = rng.integers(0, self.D, shape) if self.tokens else rng.standard_normal(
            (*shape, self.D), np.float32
        )  # fmt: skip
        return x, rng.integers(0, 2, self.sequences).astype(np.float32)


ROWS = (
    Row("RNN", 32, 8000, 640, 40, tokens=True),
    Row("GRU", 32, 8000, 640, 40, tokens=True),
    Row("GRU", 4, 1, 96, 50),
    Row("LSTM", 16, 8, 640, 50),
)
QUICK = (Row("GRU", 4, 20, 64, 5, tokens=True), Row("RNN", 3, 2, 64, 5))


def by_rnncore(row: Row, x: Array, y: Array) -> tuple[Epoch, Epoch]:
    """The first epochs, one by one; and `EPOCHS` of them in a call."""
    options: dict[str, Any] = {
        "batch_size": BATCH, "lr": LR, "optimizer": "adam", "shuffle": False, "threads": 1,
    }  # fmt: skip
    trained = row.network()
    losses = iter(row.network().fit(x, y, epochs=3, **options).loss)
    return lambda: float(next(losses)), lambda: float(
        trained.fit(x, y, epochs=EPOCHS, **options).loss[-1]
    )


def by_torch(row: Row, x: Array, y: Array) -> Epoch:
    """Eager, with the fused Adam."""
    import torch

    torch.set_num_threads(1)
    net = row.network()
    state = {name: torch.from_numpy(values.copy()) for name, values in net.state_dict().items()}
    width = len(state["weight_ih_l0"]) if row.tokens else row.D
    layer = getattr(torch.nn, row.kind)(width, row.H, batch_first=True)
    head = torch.nn.Linear(row.H, 1)
    head.load_state_dict(
        {k.removeprefix("head."): state.pop(k) for k in list(state) if "head" in k}
    )
    embedding = None
    if row.tokens:
        embedding = torch.nn.Embedding.from_pretrained(state["weight_ih_l0"].T.contiguous(), False)
        state["weight_ih_l0"] = torch.eye(width)
    layer.load_state_dict(state)
    trained = [*layer.parameters(), *head.parameters()]
    if embedding is not None:
        layer.weight_ih_l0.requires_grad_(False)
        trained = [embedding.weight, *(p for p in trained if p.requires_grad)]
    optimiser = torch.optim.Adam(trained, lr=LR, fused=True)
    given, targets = torch.from_numpy(x), torch.from_numpy(y)
    criterion = torch.nn.functional.binary_cross_entropy_with_logits

    def epoch() -> float:
        total = 0.0
        for at in range(0, len(y), BATCH):
            part, target = given[at : at + BATCH], targets[at : at + BATCH]
            optimiser.zero_grad()
            last = layer(part if embedding is None else embedding(part))[1]
            h = last[0] if isinstance(last, tuple) else last
            loss = criterion(head(h[0])[:, 0], target)
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(target)
        return total / len(y)

    return epoch


def by_jax(row: Row, x: Array, y: Array) -> Epoch | None:
    """An epoch compiled whole; of the cells that `jax_populations` has."""
    import jax

    jnp = jax.numpy
    if row.kind not in ("RNN", "GRU"):
        return None
    mean = jax_populations.losses_of(jax, row.kind, "bce", row.tokens)
    net = row.network()
    step, state = jax_populations.optimised(
        jax, jax.value_and_grad(mean), dict(net.parameters()), LR
    )
    batches = [(jnp.asarray(v).reshape(-1, BATCH, *v.shape[1:])) for v in (x, y)]

    def run(state: Any, batches: Any) -> Any:
        return jax.lax.scan(lambda state, batch: step(state, *batch), state, tuple(batches))

    compiled = jax.jit(run)

    def epoch() -> float:
        nonlocal state
        state, losses = compiled(state, batches)
        return float(losses.mean())

    return epoch


def compare(rows: tuple[Row, ...], rounds: int, at_least: float) -> list[str]:
    """A table in Markdown: milliseconds of an epoch, and how many times as long others take."""
    lines = ["| network, D, sequences, T | rnncore, ms | torch, times | jax, times |",
             "|---|---|---|---|"]  # fmt: skip
    print("\n".join(lines))
    for row in rows:
        x, y = row.data()
        first, ours = by_rnncore(row, x, y)
        expected = np.array([first() for _ in range(3)])
        calls: dict[str, Epoch] = {"rnncore": ours}
        for name, made in (("torch", by_torch), ("jax", by_jax)):
            try:
                call = made(row, x, y)
            except ImportError:
                continue
            if call is None:
                continue
            got = np.array([call() for _ in range(3)])
            if not np.allclose(got, expected, rtol=TOLERANCE):
                raise RuntimeError(f"{row.label}: {name}: losses are {got}, not {expected}")
            calls[name] = call
        with timing.pinned():
            found = timing.in_turns(calls, rounds, at_least)
        mine = found["rnncore"].median / EPOCHS
        cells = [f"{found[n].median / mine:.1f}" if n in found else "" for n in ("torch", "jax")]
        lines.append(f"| {row.label} | {1e3 * mine:.2f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines
