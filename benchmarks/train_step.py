"""One train step (forward, BPTT, all gradients) of a many-to-one tanh network, side by side.

    python benchmarks/train_step.py

Each contestant is timed through its own public call, on one thread, in float32, after its loss
and gradients were checked against rnncore's; medians of interleaved rounds, with their spread.
PyTorch takes part where it is installed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

import rnncore as rc

#: H, D, B, T
ROWS = [
    (1, 1, 1, 1000),
    (1, 3, 32, 50),
    (1, 1, 1024, 50),
    (4, 8, 32, 50),
    (16, 8, 32, 50),
    (32, 16, 32, 100),
    (64, 32, 32, 100),
    (128, 64, 32, 100),
]
Contestant = Callable[[], tuple[float, dict[str, np.ndarray]]]


def with_torch(net: rc.RNN, x: np.ndarray, y: np.ndarray) -> Contestant | None:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    rnn = torch.nn.RNN(net.input_size, net.hidden_size, batch_first=True)
    head = torch.nn.Linear(net.hidden_size, 1)
    named = dict(rnn.named_parameters()) | {f"head.{n}": p for n, p in head.named_parameters()}
    with torch.no_grad():
        for name, value in net.state_dict().items():
            named[name].copy_(torch.from_numpy(value))
    x_t, y_t = torch.from_numpy(x), torch.from_numpy(y)[:, None]

    def step() -> tuple[float, dict[str, np.ndarray]]:
        rnn.zero_grad()
        head.zero_grad()
        z = head(rnn(x_t)[0][:, -1])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y_t)
        loss.backward()
        return loss.item(), {name: p.grad.numpy() for name, p in named.items()}

    return step


def seconds(call: Contestant, at_least: float) -> float:
    """Mean seconds of a call, over as many as take so long."""
    calls = 1
    while True:
        begun = perf_counter()
        for _ in range(calls):
            call()
        spent = perf_counter() - begun
        if spent > at_least:
            return spent / calls
        calls *= 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.02, help="per timing, at least")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"rnncore {rc.__version__}, build {rc.show_config('dicts')['isa']}, float32, one thread")
    print(f"{'H, D, B, T':>20s}  {'rnncore us':>18s}  {'torch us':>18s}  ratio")
    rng = np.random.default_rng(0)
    for H, D, B, T in ROWS:
        net = rc.RNN(D, H, 1, loss="bce", seed=0)
        x = rng.standard_normal((B, T, D)).astype(np.float32)
        y = rng.integers(0, 2, B).astype(np.float32)
        calls = {"rnncore": lambda net=net, x=x, y=y: net.loss_and_grad(x, y)}
        other = with_torch(net, x, y)
        if other is not None:
            calls["torch"] = other
            (loss, grads), (expected, wanted) = calls["rnncore"](), other()
            assert np.isclose(loss, expected, rtol=1e-4)
            for name, grad in grads.items():
                assert np.abs(grad - wanted[name]).max() <= 1e-3 * np.abs(wanted[name]).max()
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(args.rounds):
            for name, call in calls.items():
                times[name].append(1e6 * seconds(call, args.seconds))
        cells = [
            f"{median(t):9.1f} +-{50 * (max(t) - min(t)) / median(t):4.0f} %"
            for t in times.values()
        ]
        ratio = f"{median(times['torch']) / median(times['rnncore']):.1f}" if other else ""
        print(f"{f'{H}, {D}, {B}, {T}':>20s}  " + "  ".join(f"{c:>18s}" for c in cells), ratio)


if __name__ == "__main__":
    main()
