"""Recurrent dropout and zoneout against overfitting: a character model of very little text.

    python examples/recurrent_dropout.py [--hidden 32] [--epochs 40] [--figure overfitting.png]

A GRU learns from 149 pieces of 51 characters of Python's help pages, far fewer than it has
parameters, and after every epoch is measured on as many others. Without noise it learns its pieces
by heart, and the loss of the others rises again. Three networks, alike but for the noise. Under a
minute; the figure needs matplotlib.
"""

import argparse

import numpy as np
from characters import encoded, text

import rnncore as rc

STEPS = 50
NOISE = {
    "none": {},
    "recurrent_dropout=0.3": {"recurrent_dropout": 0.3},
    "zoneout=0.1": {"zoneout": 0.1},
}


def histories(x, y, K, hidden, epochs, seed):
    """What the fits recorded, by the noise."""
    held = np.arange(len(x)) % 2 == 1
    found = {}
    for name, noise in NOISE.items():
        net = rc.GRU(
            K, hidden, K, loss="cross_entropy", readout="all", init="orthogonal", seed=seed, **noise
        )
        found[name] = net.fit(
            x[~held], y[~held], epochs=epochs, batch_size=8, lr=0.01, clip_norm=1.0,
            validation=(x[held], y[held]), rng=seed,
        )  # fmt: skip
    return found


def plot(found, file):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, history in found.items():
        (line,) = axes.plot(history.validation / np.log(2), label=name)
        axes.plot(history.loss / np.log(2), ":", color=line.get_color())
    axes.set(xlabel="epoch", ylabel="bits a character", title="held out, and dotted in training")
    axes.legend()
    figure.savefig(file, dpi=150)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--most", type=int, default=30_000, help="characters, half held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure")
    options = parser.parse_args(argv)
    pages = text()[: options.most]
    letters = np.unique(list(pages))
    sequences = encoded(pages, letters)[:, : STEPS + 1]
    found = histories(
        sequences[:, :-1], sequences[:, 1:], len(letters), options.hidden, options.epochs,
        options.seed,
    )  # fmt: skip
    print("bits a character      in training   held out: best   at the end   seconds")
    for name, history in found.items():
        best, last = history.validation.min() / np.log(2), history.validation[-1] / np.log(2)
        print(f"{name:22}{history.loss[-1] / np.log(2):10.2f}{best:17.2f}{last:13.2f}"
              f"{history.seconds.sum():10.1f}")  # fmt: skip
    if options.figure:
        plot(found, options.figure)
    return found


if __name__ == "__main__":
    main()
