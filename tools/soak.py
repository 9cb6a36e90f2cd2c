"""Calls and fits by the hundred thousand: memory must stay flat.

    python tools/soak.py [--rounds 100000]

Every round makes a network of another kind and size, calls it, forms gradients, fits it, streams
and throws it away; the resident memory after a tenth of the rounds and at the end is compared.
"""

import argparse
import contextlib
import sys
from pathlib import Path

import numpy as np

import rnncore as rc


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
    if k % 100 == 0:
        net.gradient_flow(x, y).to_dict()
    for bad in (x[:, :, :1], x * np.nan):
        with contextlib.suppress(ValueError):
            net(bad)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=100_000)
    rounds = parser.parse_args().rounds
    rng, begun = np.random.default_rng(0), 0
    for k in range(rounds):
        one_round(k, rng)
        if k == rounds // 10:
            begun = resident()
        if k % (rounds // 10) == 0:
            print(f"{k:8d} rounds  {resident() / 1e6:8.2f} MB", flush=True)
    grown = resident() - begun
    print(f"grown by {grown / 1e6:.2f} MB in {rounds - rounds // 10} rounds")
    return grown > 5_000_000


if __name__ == "__main__":
    sys.exit(main())
