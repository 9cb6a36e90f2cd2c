"""Calls and fits by the hundred thousand: memory must stay flat.

    python tools/soak.py [--rounds 100000]

Every round makes a network of another kind and size, calls it, forms gradients, fits it, streams,
lets it learn online and generate, looks at its dynamics, and throws it away; the resident memory
after a tenth of the rounds and at the end is compared.
"""

import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import rnncore.dynamics
import rnncore.export

import rnncore as rc

METHODS = ("rtrl", "snap1", "eprop", "uoro")


def resident():
    """Bytes of this process in memory (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def one_round(k, rng):
    kind = (rc.RNN, rc.LSTM, rc.GRU)[k % 3]
    options = {"num_layers": 1 + k % 2, "bidirectional": k % 5 == 0, "trainable_h0": k % 7 == 0}
    if kind is rc.RNN and k % 4 == 0:
        options["skip"] = 1 + k % 3
    net = kind(2, 1 + k % 9, 1, loss="mse", dtype=("float32", "float64")[k % 2], seed=k, **options)
    x, y = rng.standard_normal((3, 4 + k % 5, 2)), rng.standard_normal(3)
    net(x)
    net.loss_and_grad(x, y, lengths=[1, 2, 3])
    net.vjp([x[0], x[1, :2]], np.ones((2, 1)))
    net.fit(x, y, epochs=2, batch_size=2, rng=k, validation=0.4)
    if not options["bidirectional"]:
        _, state = net.run_stream(x[0])
        net.step(x[0, 0], state)
    out, pull = net.linearize(x)
    pull(out.y)
    net.per_sample_grad(x, y)
    trainer = net.trainer()
    trainer.step(x, y)
    if k % 100 == 0:
        net.gradient_flow(x, y).to_dict()
        net.hvp(x, y, np.ones(net.flat.size))
    for bad in (x[:, :, :1], x * np.nan):
        with contextlib.suppress(ValueError):
            net(bad)
        with contextlib.suppress(ValueError):
            net.per_sample_grad(bad, y)
        with contextlib.suppress(ValueError):
            trainer.step(bad, y)


def one_live_round(k, rng, folder):
    """What works step by step, and what is read from one step."""
    kind, H = (rc.RNN, rc.LSTM, rc.GRU, rc.MGU)[k % 4], 1 + k % 9
    net = kind(2, H, 2, readout="all", loss="mse", seed=k, trainable_h0=k % 3 == 0)
    x, y = rng.standard_normal((2, 6, 2))
    learner = net.online(
        lr=0.01, method=METHODS[k // 4 % 4], optimizer=("sgd", "adam")[k % 2], rng=k
    )
    for x_t, y_t in zip(x, y, strict=True):
        learner.step(x_t, y_t)
    learner.load_state_dict(learner.state_dict())
    for bad in (x[0] * np.nan, x[0, :1], x):
        with contextlib.suppress(ValueError):
            learner.step(bad, y[0])
    streams = net.streams(1 + k % 20)
    streams.step(np.ones((len(streams), 2)))
    streams.reset([0])
    net.generate(x, 5, feedback=None if k % 2 else lambda y, t: y)
    if k % 20 == 0:
        net.jacobian(net(x[None]).final, x[0])
        net.lyapunov(x)
        net.fixed_points(x[0], 4)
        net.prune(range(H - 1))
        rnncore.export.c(net, os.path.join(folder, "net"), dtype=("float32", "int8")[k % 40 // 20])
        rnncore.dynamics.flow_field(rc.RNN(1, 1 + k % 40 // 20, seed=k), [0.0], points=5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100_000)
    rounds = parser.parse_args().rounds
    rng, begun = np.random.default_rng(0), 0
    with tempfile.TemporaryDirectory() as folder:
        for k in range(rounds):
            one_round(k, rng)
            one_live_round(k, rng, folder)
            if k == rounds // 10:
                begun = resident()
            if k % (rounds // 10) == 0:
                print(f"{k:8d} rounds  {resident() / 1e6:8.2f} MB", flush=True)
    grown = resident() - begun
    print(f"grown by {grown / 1e6:.2f} MB in {rounds - rounds // 10} rounds")
    return grown > 5_000_000


if __name__ == "__main__":
    sys.exit(main())
