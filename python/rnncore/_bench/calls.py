"""What else is said to be fast: steps that learn, generated tokens, what is read from a network.

A row is a call, checked against another way to the same answer before it is timed, and where there
is one a call of rnncore's own to compare it with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import rnncore as rc
import rnncore.dynamics
from rnncore._bench import timing
from rnncore._types import Array

Call = Callable[[], Any]
TOLERANCE = 1e-4


class Work(NamedTuple):
    """A call, how many units of what are in it, and a call of another kind to compare it with."""

    call: Call
    units: int = 1
    unit: str = "call"
    other: Call | None = None
    named: str = ""


class Row(NamedTuple):
    """The name of the work, how to make it, and of what."""

    what: str
    make: Callable[..., Work]
    cell: str
    H: int
    D: int
    more: Any = None

    @property
    def label(self) -> str:
        more = "" if self.more is None else f" {self.more}"
        return f"{self.what}{more}, {self.cell} {self.H}, {self.D}"


def same(got: Any, expected: Any) -> None:
    """Raise an error unless two answers agree."""
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    error = float(np.abs(got - expected).max() / np.abs(expected).max())
    if not error <= TOLERANCE:
        raise RuntimeError(f"answers deviate by {error:.2g}")


def data(B: int, T: int, D: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((B, T, D)).astype(np.float32)
    return x, rng.standard_normal((B, 1)).astype(np.float32)


def online(cell: str, H: int, D: int, method: str) -> Work:
    """`learner.step`; by "rtrl" the gradients of its steps sum to BPTT's, and the losses of all
    methods are those of the whole sequence."""
    net = getattr(rc, cell)(D, H, 1, readout="all", loss="mse", seed=0)
    x, _ = data(1, 50, D)
    y = x[..., :1]
    loss, grads = net.loss_and_grad(x, y, reduction="sum")
    learner, losses, total = net.online(lr=0, method=method, rng=0), 0.0, 0.0
    for x_t, y_t in zip(x[0], y[0], strict=True):
        losses += learner.step(x_t, y_t) or 0.0
        total = total + learner.gradient["weight_hh_l0"]
    same(losses, loss)
    if method == "rtrl":
        same(total, grads["weight_hh_l0"])
    x_t, y_t, state = x[0, 0], y[0, 0], net.step(x[0, 0])[1]
    learner = net.online(lr=1e-6, method=method, rng=0)
    out = (np.empty(1, np.float32), state)
    return Work(
        lambda: learner.step(x_t, y_t), unit="step", other=lambda: net.step(x_t, state, out),
        named="net.step",
    )  # fmt: skip


def generate(cell: str, H: int, D: int, tokens: int) -> Work:
    """Tokens by "argmax", those of a loop over `net.step`."""
    net = getattr(rc, cell)(D, H, D, readout="all", loss="cross_entropy", seed=0)

    def loop() -> list[int]:
        y, state = net.step(0)
        found = []
        for _ in range(tokens):
            found.append(int(y.argmax()))
            y, state = net.step(found[-1], state)
        return found

    def call() -> Any:
        return net.generate([0], tokens, sample="argmax")

    if loop() != call().values.tolist():
        raise RuntimeError("generate: other tokens than those of a loop over steps")
    return Work(call, tokens, "token", loop, "loop over net.step")


def per_sample(cell: str, H: int, D: int, B: int) -> Work:
    net, (x, y) = getattr(rc, cell)(D, H, 1, loss="mse", seed=0), data(B, 50, D)
    together = partial(net.loss_and_grad, x, y, threads=1)
    each = net.per_sample_grad(x, y)[1]
    for name, values in together()[1].items():
        same(each[name].mean(axis=0), values)
    return Work(lambda: net.per_sample_grad(x, y), other=together, named="loss_and_grad")


def hvp(cell: str, H: int, D: int, B: int) -> Work:
    net, (x, y) = getattr(rc, cell)(D, H, 1, loss="mse", seed=0), data(B, 50, D)
    v, w = np.random.default_rng(1).standard_normal((2, net.flat.size))
    same(net.hvp(x, y, v) @ w, net.hvp(x, y, w) @ v)  # the Hessian is symmetric
    return Work(
        lambda: net.hvp(x, y, v, threads=1), named="loss_and_grad",
        other=lambda: net.loss_and_grad(x, y, threads=1),
    )  # fmt: skip


def jacobian(cell: str, H: int, D: int, _: None) -> Work:
    net, x = getattr(rc, cell)(D, H, dtype="float64", seed=0), data(1, 10, D)[0]
    h, x_t = net(x).final[0, 0], x[0, 0].astype(float)
    way = np.random.default_rng(1).standard_normal(H)
    ends = (net.step(x_t, (h + s * way)[None])[1].ravel() for s in (1e-5, -1e-5))
    same(net.jacobian(h, x_t) @ way, (next(ends) - next(ends)) / 2e-5)
    return Work(lambda: net.jacobian(h, x_t))


def flow_field(cell: str, H: int, D: int, points: int) -> Work:
    net, x = getattr(rc, cell)(D, H, dtype="float64", seed=0), np.zeros(D)

    def call() -> Any:
        return rnncore.dynamics.flow_field(net, x, points=points)

    field = call()
    flat = field.state.reshape(-1, 1, H)
    after = net.step(np.broadcast_to(x, (len(flat), D)), flat)[1]
    same(field.change.reshape(-1, H), (after - flat)[:, 0])
    return Work(call, points**H, "state")


def fixed_points(cell: str, H: int, D: int, starts: int) -> Work:
    net, x = getattr(rc, cell)(D, H, dtype="float64", init_scale=3.0, seed=0), np.zeros(D)
    found = net.fixed_points(x, starts)
    points = found.points.reshape(len(found), 1, H)
    same(net.step(np.broadcast_to(x, (len(points), D)), points)[1], points)
    return Work(lambda: net.fixed_points(x, starts), starts, "start")


ROWS = [
    *(Row("online", online, cell, H, 1, method) for cell in ("RNN", "GRU", "LSTM")
      for H in (4, 8, 16) for method in ("rtrl", "snap1")),
    *(Row("online", online, "GRU", 16, 1, method) for method in ("eprop", "uoro")),
    Row("generate", generate, "GRU", 32, 27, 1000),
    Row("generate", generate, "LSTM", 128, 64, 1000),
    *(Row("per_sample_grad", per_sample, cell, H, 8, 32) for cell in ("RNN", "GRU", "LSTM")
      for H in (4, 16)),
    *(Row("hvp", hvp, "GRU", H, 8, 32) for H in (4, 16)),
    *(Row("jacobian", jacobian, "GRU", H, 8) for H in (2, 16)),
    *(Row("flow_field", flow_field, "GRU", 2, 3, points) for points in (25, 101)),
    Row("fixed_points", fixed_points, "GRU", 2, 3, 512),
    Row("fixed_points", fixed_points, "GRU", 16, 3, 512),
]  # fmt: skip
QUICK = [
    Row("online", online, "GRU", 2, 1, "uoro"), Row("online", online, "LSTM", 2, 1, "rtrl"),
    Row("generate", generate, "GRU", 3, 4, 5), Row("per_sample_grad", per_sample, "RNN", 2, 3, 4),
    Row("hvp", hvp, "GRU", 2, 3, 4), Row("jacobian", jacobian, "GRU", 2, 3),
    Row("flow_field", flow_field, "GRU", 2, 3, 3),
    Row("fixed_points", fixed_points, "GRU", 2, 3, 8),
]  # fmt: skip


def compare(rows: list[Row], rounds: int, at_least: float) -> list[dict[str, Any]]:
    """Print a table as rows are measured; returns a dict for each."""
    print("| call, network, H, D | µs | of a | µs | times |\n|---|---|---|---|---|")
    found = []
    for row in rows:
        try:
            work = row.make(row.cell, row.H, row.D, row.more)
        except RuntimeError as error:
            raise RuntimeError(f"{row.label}: {error}") from error
        calls = {"call": work.call} | ({"other": work.other} if work.other else {})
        with timing.pinned():
            times = timing.in_turns(calls, rounds, at_least)
        entry: dict[str, Any] = {
            "label": row.label,
            "unit": work.unit,
            "seconds": times["call"].median / work.units,
            "spread": times["call"].spread / work.units,
        }
        cells = [row.label, f"{1e6 * entry['seconds']:.3g}", work.unit, "", ""]
        if work.other is not None:
            entry |= {"other": work.named, "other_seconds": times["other"].median / work.units}
            cells[3] = f"{1e6 * entry['other_seconds']:.3g} ({work.named})"
            cells[4] = f"{entry['seconds'] / entry['other_seconds']:.2f}"
        print(f"| {' | '.join(cells)} |", flush=True)
        found.append(entry)
    return found
