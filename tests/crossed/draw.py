"""Random examples in which all options of a network and of its calls are crossed.

An example is the same for every build and precision: its numbers are float32, so that the
reference has to be formed once.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

import rnncore as rc


@dataclass
class Example:
    """A network to be made, its input and targets, and what the calls are to be given."""

    number: int
    cell: str
    sizes: tuple[int, int, int | None]  # inputs, hidden units, outputs
    options: dict[str, Any]  # of the network
    flat: np.ndarray
    rows: np.ndarray  # (B, T, D), of tokens one-hot
    tokens: np.ndarray | None
    lengths: np.ndarray | None  # (B,)
    mask: np.ndarray | None  # (B, T)
    listed: bool
    h0: Any  # (B, states, H), of an LSTM two of them; None
    y: np.ndarray  # (B, K), (B, T, K); of classes without the last axis
    dy: np.ndarray  # (B, K) or (B, T, K)
    target_mask: np.ndarray | None  # as y, or without its last axis
    as_nan: bool  # it is passed as NaN in y
    sample_weight: np.ndarray | None  # (B,), (B, T) or as y
    truncate: int | None
    rng: int | None  # for dropout and zoneout
    threads: int
    reduction: str
    shown: dict[str, Any] = field(default_factory=dict)

    def __str__(self):
        parts = ", ".join(f"{k}={v}" for k, v in (self.options | self.shown).items() if v)
        return f"example {self.number}: {self.cell}{self.sizes}, {parts}"

    @property
    def soft(self):
        """Whether targets are probabilities of classes."""
        return self.options["loss"] == "cross_entropy" and self.y.dtype.kind == "f"

    @property
    def every_step(self):
        return self.options["readout"] != "last"

    @property
    def counts(self):
        """(B, T): true where a step counts."""
        B, T, _ = self.rows.shape
        counts = np.ones((B, T), bool) if self.mask is None else self.mask.copy()
        if self.lengths is not None:
            counts &= np.arange(T) < self.lengths[:, None]
        return counts

    @property
    def target_weights(self):
        """Shaped as y with its K: what the loss of a target is multiplied by, 0 where it does not
        count."""
        y = self.y
        if self.soft:
            y = y[..., 0]  # which is at least 0
        if self.options["loss"] == "cross_entropy":
            y = y[..., None]
        weights = (y >= 0 if self.options["loss"] == "cross_entropy" else np.ones(y.shape)) * 1.0
        for given in (self.target_mask, self.sample_weight):
            if given is not None:
                weights = weights * given.reshape(*given.shape, *[1] * (y.ndim - given.ndim))
        return weights * self.counts[..., None] if self.every_step else weights

    def network(self, dtype):
        net = getattr(rc, self.cell)(*self.sizes, **self.options, dtype=dtype, seed=0)
        net.flat[:] = self.flat
        return net

    def cut(self, values):
        """(B, T, ...) in the form of x."""
        if not self.listed:
            return values
        return [row[:n] for row, n in zip(values, self.lengths, strict=True)]

    def arguments(self, dtype):
        """x and the options that every call takes, in a precision."""
        x = self.rows.astype(dtype) if self.tokens is None else self.tokens
        options = {}
        if self.lengths is not None and not self.listed:
            options["lengths"] = self.lengths
        if self.mask is not None:
            options["mask"] = self.cut(self.mask)
        if self.h0 is not None:
            options["h0"] = self.h0
        return self.cut(x), options

    def targets(self):
        """y and the options of calls with targets."""
        y, mask, options = self.y, self.target_mask, {}
        cut = self.cut if self.every_step else (lambda values: values)
        if mask is not None and self.as_nan:
            full = mask.reshape(*mask.shape, *[1] * (y.ndim - mask.ndim))
            y = np.where(full, y, np.nan)
            options["target_mask"] = "nan"
        elif mask is not None:
            options["target_mask"] = cut(mask)
        if self.sample_weight is not None:
            weights = self.sample_weight
            options["sample_weight"] = cut(weights) if weights.ndim > 1 else weights
        return cut(y), options


#: What goes with a switching network.
ALONE = {"skip": None, "reset": "after"}


def draw(number: int) -> Example:
    rng = np.random.default_rng([number, 42])

    def one_in(n):
        return bool(rng.integers(n) == 0)

    def pick(*values):
        return values[rng.integers(len(values))]

    cell = pick("RNN", "RNN", "LSTM", "GRU")
    if cell == "GRU" and number % 2:
        cell = "MGU"
    B, T, D, H = rng.integers(1, 5), rng.integers(1, 10), rng.integers(1, 4), rng.integers(1, 5)
    K = pick(None, 1, 2, 3)
    options = {
        "num_layers": int(pick(1, 1, 2, 3)), "bidirectional": one_in(3), "bias": not one_in(4),
        "readout": pick("last", "all"), "loss": pick("bce", "mse", "cross_entropy"),
        "trainable_h0": one_in(4),
    }  # fmt: skip
    kind = rng.integers(24)
    if kind == 0:  # several blocks
        B, T = rng.integers(17, 75), rng.integers(1, 4)
    elif kind == 1:  # rows of weights that fill vectors
        H, D, T, B = rng.integers(7, 20), rng.integers(1, 9), rng.integers(1, 5), rng.integers(1, 3)
        options["num_layers"] = 1
    elif kind == 2:  # one unit, chunks of time
        cell, H, B, T, K = "RNN", 1, rng.integers(1, 5), rng.integers(60, 400), pick(None, 1)
        options |= {"num_layers": 1, "bidirectional": one_in(8)}
    elif kind == 3:  # several segments
        B, T, H, D = rng.integers(1, 3), rng.integers(200, 600), rng.integers(1, 3), 1
        options["num_layers"] = 1
    B, T, D, H = int(B), int(T), int(D), int(H)
    if cell == "RNN":
        options["nonlinearity"] = pick("tanh", "relu", "sigmoid", "identity")
        options["skip"] = pick(None, None, 1, 2, 3, 4, 12)
    if cell in ("GRU", "MGU"):
        options["nonlinearity"] = pick("tanh", "tanh", "relu")
    if cell == "GRU":
        options["reset"] = ("before", "after")[number // 2 % 2]
    if number % 6 == 5 and kind != 2:
        D += number // 6 % 4
        options |= {"switching": True, "num_layers": 1, "bidirectional": False}
        options |= {name: value for name, value in ALONE.items() if name in options}
    if options["num_layers"] > 1 and one_in(3):
        options["dropout"] = pick(0.2, 0.5)
    if K is not None:
        options["readout_bias"] = (None, None, False, True)[number * 7 // 3 % 4]
    if options["readout"] == "all" and not options["bidirectional"] and number % 3 == 0:
        options["readout"] = "before"
    probe = getattr(rc, cell)(D, H, K, **options, seed=rng)
    scale = pick(0.5, 1.0, 1.0) if T > 50 or options.get("skip") else pick(0.5, 1, 1, 2)
    if T > 50 and options.get("nonlinearity") in ("relu", "identity"):
        scale = 0.3  # or states overflow
    flat = (probe.flat * np.float32(scale)).astype(np.float32)
    tokens = rng.integers(0, D, (B, T)) if one_in(4) or "switching" in options else None
    rows = rng.standard_normal((B, T, D)).astype(np.float32)
    if tokens is not None:
        rows = np.eye(D, dtype=np.float32)[tokens]
    ragged = pick("", "", "lengths", "mask", "both", "list", "list mask")
    lengths = mask = None
    if ragged in ("lengths", "both", "list", "list mask"):
        lengths = rng.integers(1, T + 1, B)
        lengths[rng.integers(B)] = T
    if ragged in ("mask", "both", "list mask"):
        mask = rng.random((B, T)) < pick(0.3, 0.6, 0.9)
    states = probe._model.spec.state_rows
    h0 = None
    if one_in(2):
        h0 = rng.standard_normal((B, states, H)).astype(np.float32)
        if cell == "LSTM":
            h0 = (h0, rng.standard_normal((B, states, H)).astype(np.float32))
    width = K or probe._model.spec.width
    leading = (B, T) if options["readout"] != "last" else (B,)
    if options["loss"] == "cross_entropy":
        y = rng.integers(-1, width, leading)
    elif options["loss"] == "bce":
        y = rng.random((*leading, width)).astype(np.float32)
    else:
        y = rng.standard_normal((*leading, width)).astype(np.float32)
    target_mask = None
    if one_in(3):
        target_mask = rng.random(y.shape if one_in(2) else leading) < 0.6
    truncate = pick(None, 1, 2, 3, T, T + 1, int(rng.integers(1, T + 2)))
    y, sample_weight = further(np.random.default_rng([number, 43]), options, width, y)
    if target_mask is not None and target_mask.ndim > len(leading):
        target_mask = target_mask[..., : y.shape[-1]]
    y = softened(np.random.default_rng([number, 44]), options, width, y)
    options |= noise(np.random.default_rng([number, 45]), cell)
    drawing = is_random(options) and not ("dropout" not in options and number % 3 == 0)
    return Example(
        number, cell, (D, H, K), options, flat, rows, tokens, lengths, mask,
        ragged.startswith("list"), h0, y,
        rng.standard_normal((*leading, width)).astype(np.float32), target_mask, one_in(3),
        sample_weight, truncate, int(rng.integers(2**31)) if drawing else None,
        int(pick(1, 2, 3)), pick("mean", "sum"),
        {"B": B, "T": T, "ragged": ragged, "tokens": tokens is not None, "h0": h0 is not None,
         "target_mask": target_mask is not None, "truncate": truncate,
         "sample_weight": sample_weight is not None},
    )  # fmt: skip


def noise(rng, cell):
    """Of some examples recurrent dropout, zoneout, or both."""
    options = {}
    if rng.integers(4) == 0:
        options["recurrent_dropout"] = float(rng.choice([0.1, 0.5]))
    if rng.integers(4) == 0:
        options["zoneout"] = float(rng.choice([0.2, 0.6]))
        if cell == "LSTM" and rng.integers(2):
            options["zoneout"] = ((0.0, 0.5), (0.3, 0.0), (0.1, 0.7))[rng.integers(3)]
    return options


def is_random(options):
    return any(options.get(name) for name in ("dropout", "recurrent_dropout", "zoneout"))


def softened(rng, options, width, y):
    """Of some examples with classes probabilities instead, some of them 0 and 1."""
    if options["loss"] != "cross_entropy" or rng.integers(3):
        return y
    p = rng.exponential(size=(*y.shape, width)) * (rng.random((*y.shape, width)) < 0.8)
    p[..., 0] += rng.random(y.shape) < 0.3
    p = np.where(p.sum(axis=-1, keepdims=True) > 0, p, 1)
    return (p / p.sum(axis=-1, keepdims=True)).astype(np.float32)


def further(rng, options, width, y):
    """Of some examples another loss with its targets, and weights of targets."""
    leading = y.shape if options["loss"] == "cross_entropy" else y.shape[:-1]
    if rng.integers(3) == 0:
        options["loss"] = ("huber", "poisson", "gaussian_nll")[rng.integers(2 + (width % 2 == 0))]
        if options["loss"] == "gaussian_nll":
            width //= 2
        y = (3 * rng.standard_normal((*leading, width))).astype(np.float32)
        if options["loss"] == "poisson":
            y = np.abs(y).round()
    if rng.integers(4):
        return y, None
    shape = (leading[:1], leading, y.shape)[rng.integers(3)]
    weights = rng.random(shape).astype(np.float32)
    return y, np.where(weights < 0.2, 0, weights).astype(np.float32)
