"""Layers of `rnncore.torch` beside those of ``torch.nn``, in the same training loop.

A row is one step of training: forward pass, a linear head, the loss, backward pass, fused Adam.
Both begin with the same parameters, and the losses of the first steps are compared. Of the row's
time, ``all but the layer`` is what the loop takes with constant numbers in the place of the layer's
states and gradients. ``At most`` is how many times faster the loop could be if the layer took no
longer than `net.loss_and_grad` of the same network. A second table has `net.linearize` and one pull
beside `net.loss_and_grad`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import rnncore as rc
from rnncore._bench import timing

TOLERANCE = 1e-3


class Row(NamedTuple):
    """Which layer, on B sequences of T steps and D inputs, packed or not."""

    kind: str
    H: int
    D: int = 8
    B: int = 32
    T: int = 50
    packed: bool = False

    @property
    def label(self) -> str:
        packed = ", packed" if self.packed else ""
        return f"{self.kind} {self.H}, {self.D}, {self.B}, {self.T}{packed}"


ROWS = (
    *(Row("GRU", H) for H in (4, 16, 32, 64, 128)),
    *(Row("LSTM", H) for H in (4, 16, 32, 64, 128)),
    *(Row("RNN", H) for H in (4, 16, 128)),
    Row("GRU", 16, packed=True),
    Row("LSTM", 16, packed=True),
)
QUICK = (Row("GRU", 4, 2, 4, 5), Row("LSTM", 3, 2, 4, 5, packed=True))


def training_step(make: Any, row: Row, without: bool = False) -> Callable[[], float]:
    """A call that makes one step and returns the loss before it; without the layer's own work, but
    with the optimiser's for its parameters."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence

    torch.manual_seed(0)
    layer = make(row.D, row.H, batch_first=True)
    head = torch.nn.Linear(row.H, 1)
    x, y = torch.randn(row.B, row.T, row.D), torch.randn(row.B, 1)
    lengths = torch.randint(row.T // 2, row.T + 1, (row.B,))
    given = pack_padded_sequence(x, lengths, True, enforce_sorted=False) if row.packed else x
    own = list(layer.parameters())
    optimiser = torch.optim.Adam([*own, *head.parameters()], lr=0.001, fused=True)
    features = torch.randn(row.B, row.H, requires_grad=True)
    constant = [torch.zeros_like(parameter) for parameter in own]

    def call() -> float:
        optimiser.zero_grad()
        h = features
        if not without:
            _, last = layer(given)
            h = last[0][-1] if isinstance(last, tuple) else last[-1]
        loss = torch.nn.functional.mse_loss(head(h), y)
        loss.backward()
        if without:
            for parameter, gradient in zip(own, constant, strict=True):
                parameter.grad = gradient
        optimiser.step()
        return float(loss.detach())

    return call


def core_alone(row: Row) -> Callable[[], object]:
    """A call that computes loss and gradients of the network that the layer has inside."""
    net = getattr(rc, row.kind)(row.D, row.H, 1, loss="mse", seed=0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((row.B, row.T, row.D), np.float32), np.zeros((row.B, 1), np.float32)
    lengths = rng.integers(row.T // 2, row.T + 1, row.B) if row.packed else None
    return lambda: net.loss_and_grad(x, y, lengths=lengths, threads=1)


def compare(rows: tuple[Row, ...], rounds: int, at_least: float) -> list[str]:
    """A table in Markdown: microseconds of a step, and how many times as long torch.nn takes."""
    import torch

    from rnncore import torch as layers

    torch.set_num_threads(1)
    lines = ["| layer, D, B, T | rnncore.torch, us | torch.nn, times | at most "
             "| all but the layer, us |", "|---|---|---|---|---|"]  # fmt: skip
    print("\n".join(lines))
    for row in rows:
        own, other = getattr(layers, row.kind), getattr(torch.nn, row.kind)
        steps = {"ours": training_step(own, row), "theirs": training_step(other, row)}
        first = np.array([[call() for _ in range(5)] for call in steps.values()])
        if not np.allclose(first[0], first[1], rtol=TOLERANCE):
            raise RuntimeError(f"{row.label}: the losses of the first steps differ: {first}")
        calls: dict[str, Callable[[], object]] = {
            **steps, "rest": training_step(own, row, without=True), "core": core_alone(row),
        }  # fmt: skip
        with timing.pinned():
            found = timing.in_turns(calls, rounds, at_least)
        ours, theirs, rest, core = (found[name].median for name in calls)
        lines.append(
            f"| {row.label} | {1e6 * ours:.0f} | {theirs / ours:.1f} "
            f"| {theirs / (rest + core):.1f} | {1e6 * rest:.0f} |"
        )
        print(lines[-1], flush=True)
    return lines


def pulls(sizes: tuple[int, ...], rounds: int, at_least: float) -> list[str]:
    """A table of `linearize` and one pull beside `loss_and_grad` and beside a call and `vjp`."""
    lines = ["| GRU, D = 8, B = 32, T = 50 | loss_and_grad, us | linearize and pull, times | "
             "call and vjp, times |", "|---|---|---|---|"]  # fmt: skip
    print("\n".join(lines))
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((32, 50, 8), np.float32), np.zeros((32, 1), np.float32)
    for H in sizes:
        net = rc.GRU(8, H, 1, loss="mse", seed=0)

        def in_two(net: rc.GRU = net) -> None:
            out, pull = net.linearize(x, threads=1, hidden=False)
            pull((out.y - y) / 16, dx=False)

        def twice(net: rc.GRU = net) -> None:
            net.vjp(x, (net(x, threads=1).y - y) / 16, threads=1)

        def at_once(net: rc.GRU = net) -> None:
            net.loss_and_grad(x, y, threads=1)

        with timing.pinned():
            found = timing.in_turns({"one": at_once, "two": in_two, "vjp": twice}, rounds, at_least)
        one, two, vjp = (found[name].median for name in ("one", "two", "vjp"))
        lines.append(f"| {H} units | {1e6 * one:.0f} | {two / one:.2f} | {vjp / one:.2f} |")
        print(lines[-1], flush=True)
    return lines
