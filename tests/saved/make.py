"""Files as this version saves them, to be read by every later one: python tests/saved/make.py

Files of versions before stay as they are; only the present version's are written.
"""

from pathlib import Path

import numpy as np

import rnncore as rc

HERE = Path(__file__).parent
OPTIONS = {"readout": "all", "loss": "mse", "dtype": "float64"}


def main() -> None:
    made = {
        "rnn": rc.RNN(2, 3, 1, skip=2, seed=0, **OPTIONS),
        "lstm": rc.LSTM(2, 3, 1, num_layers=2, seed=1, **OPTIONS),
        "gru": rc.GRU(2, 3, 1, reset="before", trainable_h0=True, seed=2, **OPTIONS),
        "mgu": rc.MGU(2, 3, 1, bidirectional=True, readout_bias=False, seed=3, **OPTIONS),
        "population": rc.Population(rc.GRU, 3, 2, 3, 1, seed=4, **OPTIONS),
    }
    x = np.random.default_rng(0).standard_normal((2, 5, 2))
    for name, network in made.items():
        path = HERE / f"{rc.__version__}-{name}.npz"
        network.save(path)
        out = network(x)
        with open(path.with_suffix(".answer"), "wb") as file:
            np.savez(file, x=x, y=out.y, hidden=out.hidden)


if __name__ == "__main__":
    main()
