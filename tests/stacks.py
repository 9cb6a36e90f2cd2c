"""Cases and networks of several layers, both directions, skip connections and first states."""

from cases import Case
from fits import KINDS

import rnncore as rc

SHAPES = [
    {"layers": 2},
    {"bidirectional": True},
    {"layers": 3, "hidden": 2},
    {"layers": 2, "bidirectional": True},
]
VARIANTS = [
    {},
    {"h0": True, "readout": "all", "loss": "bce", "bias": False},
    {"ragged": "mask", "h0": True, "readout": "all", "batch": 4, "time": 6},
    {"ragged": "list", "batch": 5, "time": 6, "readout": "all"},
    {"ragged": "lengths", "batch": 4, "time": 5, "trainable": True, "loss": "bce"},
    {"tokens": True, "inputs": 5, "loss": "cross_entropy", "ragged": "mask", "time": 5},
    {"tokens": True, "inputs": 4, "readout": "all", "ragged": "list", "hidden": 1},
    {"outputs": None, "readout": "all", "ragged": "mask", "trainable": True},
    {"outputs": None, "hidden": 1, "inputs": 1, "h0": True, "batch": 2},
    {"readout_bias": False, "readout": "all", "trainable": True},
    {"readout_bias": True, "bias": False, "loss": "bce"},
    {"batch": 1, "time": 1, "inputs": 2, "hidden": 1, "outputs": 1, "loss": "bce"},
]
SKIPS = [
    {},
    {"h0": True, "readout": "all"},
    {"ragged": "mask", "h0": True, "batch": 4, "time": 9},
    {"ragged": "lengths", "batch": 4, "time": 9, "readout": "all", "bidirectional": True},
    {"ragged": "mask", "batch": 4, "time": 8, "bidirectional": True, "h0": True},
    {"layers": 2, "ragged": "list", "batch": 5, "time": 7, "trainable": True, "hidden": 1},
    {"layers": 2, "bidirectional": True, "tokens": True, "inputs": 5, "h0": True},
    {"bias": False, "nonlinearity": "sigmoid", "readout": "all", "loss": "bce", "outputs": None},
]
STACKED = [
    Case(cell, **{**shape, **variant})
    for cell in ("RNN", "LSTM", "GRU")
    for shape in SHAPES
    for variant in VARIANTS
]
STACKED += [
    Case("GRU", reset="before", **shape, **variant)
    for shape, variant in zip(SHAPES, VARIANTS[2:], strict=False)
]
STACKED += [
    Case(**{"time": 7, **variant, "skip": skip}) for skip in (1, 2, 3, 12) for variant in SKIPS
]
STACKED += [
    Case(cell, readout="before", **options)
    for cell in ("RNN", "LSTM", "GRU", "MGU")
    for options in (
        {"h0": True},
        {"batch": 1, "time": 1, "inputs": 1, "hidden": 1, "outputs": 1, "bias": False},
        {"trainable": True, "ragged": "mask", "batch": 4, "time": 7, "loss": "bce"},
        {"layers": 2, "ragged": "list", "batch": 5, "time": 6, "trainable": True},
        {"outputs": None, "ragged": "lengths", "batch": 4, "time": 5, "h0": True},
        {"tokens": True, "inputs": 4, "outputs": 3, "h0": True, "loss": "cross_entropy"},
    )
]
STACKED += [
    Case(skip=2, readout="before", time=6, h0=True, ragged=ragged, layers=layers)
    for ragged, layers in (("", 1), ("mask", 1), ("lengths", 2))
]
STACKED += [
    Case(cell, tokens=True, switching=True, **options)
    for cell in ("RNN", "LSTM", "GRU", "MGU")
    for options in (
        {"h0": True, "inputs": 4, "time": 7},
        {"batch": 1, "time": 1, "inputs": 1, "hidden": 1, "outputs": 1, "bias": False},
        {"batch": 1, "time": 9, "inputs": 3, "hidden": 5, "readout": "all", "loss": "bce"},
        {"trainable": True, "ragged": "mask", "batch": 4, "time": 7, "readout": "before"},
        {"outputs": None, "ragged": "lengths", "batch": 5, "time": 6, "hidden": 1, "inputs": 6},
        {"bias": False, "ragged": "list", "batch": 5, "readout": "all", "loss": "cross_entropy"},
    )
]
STACKED += [Case(cell, trainable=True, time=5) for cell in ("RNN", "LSTM", "GRU")]
STACKED += [Case(hidden=1, trainable=True, bias=False, readout="all", outputs=1)]

# Several blocks and segments; rows of weights that fill vectors; tapes formed twice.
LARGE_STACKED = [
    Case("RNN", batch=37, time=4, hidden=9, inputs=3, layers=2, readout="all", h0=True),
    Case("RNN", batch=40, time=5, hidden=20, bidirectional=True, ragged="mask", h0=True),
    Case("RNN", batch=70, time=3, hidden=1, inputs=1, outputs=1, layers=3, bidirectional=True),
    Case("RNN", batch=2, time=2500, hidden=3, layers=2, tokens=True, ragged="mask", h0=True),
    Case("RNN", batch=2, time=400, hidden=1, inputs=4, trainable=True),
    Case("RNN", batch=1, time=300, hidden=1, inputs=1, trainable=True, readout="all"),
    Case("RNN", batch=3, time=600, hidden=6, layers=2, bidirectional=True, readout="all"),
    Case("RNN", batch=35, time=6, hidden=17, layers=2, skip=2, ragged="mask", h0=True),
    Case("RNN", batch=2, time=3000, hidden=2, skip=5, readout="all", trainable=True),
    Case("LSTM", batch=33, time=4, hidden=16, inputs=5, layers=2, ragged="list", readout="all"),
    Case("LSTM", batch=20, time=150, hidden=4, layers=2, bidirectional=True, trainable=True),
    Case("GRU", batch=17, time=3, hidden=16, inputs=6, outputs=9, bidirectional=True, h0=True),
    Case("GRU", batch=18, time=200, hidden=5, layers=3, readout="all", ragged="lengths"),
    Case("RNN", batch=1, time=900, hidden=1, inputs=1, outputs=2, trainable=True, readout="before"),
    Case("RNN", batch=2, time=2500, hidden=3, tokens=True, ragged="mask", readout="before"),
    Case("LSTM", batch=33, time=4, hidden=16, inputs=5, layers=2, readout="before", h0=True),
    Case("GRU", batch=2, time=300, hidden=17, readout="before", loss="cross_entropy"),
    Case("GRU", reset="before", batch=17, time=3, hidden=16, inputs=6, bidirectional=True, h0=True),
    Case("GRU", reset="before", batch=18, time=200, hidden=5, layers=3, ragged="lengths"),
    Case("GRU", tokens=True, switching=True, inputs=7, batch=70, time=3, hidden=2, readout="all"),
    Case("GRU", tokens=True, switching=True, batch=2, time=3000, hidden=2, readout="all"),
    Case("GRU", tokens=True, switching=True, inputs=21, batch=3, time=4, hidden=19, trainable=True),
    Case("LSTM", tokens=True, switching=True, batch=17, time=90, hidden=9, ragged="mask", h0=True),
]

# Options of networks that a stream can run, and of those it cannot.
FORWARDS = [
    {"num_layers": 2}, {"num_layers": 3, "trainable_h0": True}, {"skip": 1}, {"skip": 4},
    {"skip": 3, "num_layers": 2},
]  # fmt: skip
BOTH = [{"bidirectional": True}, {"bidirectional": True, "num_layers": 2}]


def combinations(options):
    return [(k, o) for k in KINDS for o in options if k == "RNN" or "skip" not in o]


def network(kind, D=3, H=5, K=2, seed=0, **options):
    net = getattr(rc, kind)(D, H, K, seed=seed, **options)
    if options.get("trainable_h0"):
        for name in ("h0", "c0"):
            if name in net.parameters():
                net.parameters()[name][:] = 0.3
    return net
