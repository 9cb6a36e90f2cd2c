"""Options of networks, right and wrong."""

from __future__ import annotations

import numpy as np

from fuzz import strategies
from fuzz.strategies import RECORD, RUBBISH, UNKNOWN, Value, numbers, raising, rubbish


def networks(r, share=0.0):
    """(class name, arguments as Values); a share of them wrong."""
    kind = r.choice(["RNN", "RNN", "LSTM", "GRU"])
    H = r.choice([1, 1, 2, 3])
    options = {
        "input_size": r.choice([1, 1, 2, 3]),
        "hidden_size": H,
        "output_size": r.choice([None, 1, 1, 2, 3]),
        "num_layers": r.choice([1, 1, 1, 2, 3]),
        "bidirectional": r.random() < 0.25,
        "bias": r.random() < 0.7,
        "readout": r.choice(["last", "all", "all", "before"]),
        "loss": r.choice([None, "bce", "mse", "mse", "cross_entropy"]),
        "dtype": r.choice(["float32", "float64", np.float32, "f8", np.dtype("f8")]),
        "trainable_h0": r.random() < 0.25,
        "init": r.choice(["torch", "torch", "glorot", "orthogonal"]),
        "init_scale": r.choice([1.0, 0.5]),
        "seed": r.choice([0, 1, None, np.int32(3), 2**100]),
    }
    options["bidirectional"] &= options["readout"] != "before"
    if options["num_layers"] > 1:
        options["dropout"] = r.choice([0.0, 0.5])
    if kind == "RNN":
        options["nonlinearity"] = r.choice(["tanh", "relu", "sigmoid", "identity"])
        options["skip"] = r.choice([None, None, 1, 2, 3])
        if r.random() < 0.1:
            options["init"] = "unit" if H == 1 else "identity"
    if kind == "GRU":
        options["nonlinearity"] = r.choice(["tanh", "relu"])
        options["reset"] = r.choice(["after", "before"])
    if options["output_size"] is not None:
        options["readout_bias"] = r.choice([None, None, True, False, np.False_])
    if kind == "LSTM" and options["bias"]:
        options["forget_bias"] = r.choice([None, 1, 0.5, -1.0])
    if r.random() < 0.1:
        options["init"] = lambda name, shape, rng: rng.uniform(-1, 1, shape)
    elif r.random() < 0.1:
        options["init"] = {
            "weight_hh_l0": numbers(r, ({"RNN": 1, "LSTM": 4, "GRU": 3}[kind] * H, H))
        }
    values = {name: Value(given, given) for name, given in options.items()}
    if r.random() < share:
        for _ in range(r.choice([1, 1, 2])):
            values[r.choice(list(values))] = bad_option(r)
    for name in ("input_size", "hidden_size", "output_size"):
        size = values[name].given
        if isinstance(size, int) and 1000 < size < 2**31 and not strategies.LIMITED:
            values[name] = Value(2**31, UNKNOWN)
    return kind, values


def bad_option(r):
    """Something that some option will not like; some of these make a network too large to be."""
    what = r.randrange(8)
    if what == 0:
        return Value(r.choice([2**31 - 1, 2**31, 2**30, 64, 65, 33]), UNKNOWN)
    if what == 1:
        return Value(
            r.choice(
                [
                    raising,
                    lambda n, s, g: None,
                    lambda n, s, g: np.ones(s) * 1e300,
                    lambda n, s, g: "a",
                ]
            ),
            UNKNOWN,
        )
    if what == 2:
        return Value({"weight_hh_l0": r.choice(RUBBISH)()}, UNKNOWN)
    if what == 3:
        return Value(
            r.choice(
                [
                    "float16",
                    "g",
                    ">f8",
                    ">f4",
                    "O",
                    "c16",
                    "S",
                    "f4,f4",
                    "M8",
                    RECORD,
                    np.dtype(">f8"),
                    float,
                    int,
                    "=f8",
                    "<f4",
                ]
            ),
            UNKNOWN,
        )
    return rubbish(r)
