"""Problems for the gradient tests: a network, its input and targets, and the oracle's answer."""

import pickle
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import oracle

import rnncore as rc

#: What the oracle has said of a problem: it takes most of the time, and is the same on every build.
ANSWERS: dict[bytes, tuple[float, dict[str, Any]]] = {}


@dataclass
class Case:
    """What to build; ``ragged`` is how steps come not to count."""

    cell: str = "RNN"
    batch: int = 3
    time: int = 4
    inputs: int = 2
    hidden: int = 3
    outputs: int | None = 2
    nonlinearity: str = "tanh"
    bias: bool = True
    readout: str = "last"
    loss: str = "mse"
    h0: bool = False
    tokens: bool = False
    ragged: str = ""  # "", "list", "lengths", "mask"
    scale: float = 1.0
    layers: int = 1
    bidirectional: bool = False
    skip: int | None = None
    trainable: bool = False
    readout_bias: bool | None = None
    reset: str = ""
    switching: bool = False  # of tokens

    def __str__(self):
        parts = [self.cell + self.reset] if self.cell != "RNN" else []
        parts += [f"B{self.batch}", f"T{self.time}", f"D{self.inputs}", f"H{self.hidden}"]
        parts += [f"K{self.outputs}", self.nonlinearity, self.readout, self.loss, self.ragged]
        parts += [f"L{self.layers}"] if self.layers > 1 else []
        parts += [f"skip{self.skip}"] if self.skip else []
        names = ("bias", "h0", "tokens", "bidirectional", "trainable", "switching")
        parts += [name for name in names if getattr(self, name)]
        parts += [] if self.readout_bias is None else [f"readout_bias{self.readout_bias}"]
        return "-".join(str(part) for part in parts if part)

    @property
    def every_step(self):
        return self.readout != "last"

    @property
    def kind(self):
        """The cell by the oracle's name."""
        return "GRU before" if self.reset == "before" else self.cell

    @property
    def stacked(self):
        """Whether only `oracle.stack` has it."""
        return (
            self.readout == "before"
            or self.layers > 1
            or self.bidirectional
            or bool(self.skip)
            or self.trainable
            or self.switching
        )

    @property
    def spec(self):
        """As `oracle.stack` takes it."""
        return {
            "cell": self.kind, "nonlinearity": self.nonlinearity, "layers": self.layers,
            "bidirectional": self.bidirectional, "skip": self.skip, "readout": self.readout,
            "switching": self.switching,
        }  # fmt: skip

    @property
    def directions(self):
        return 2 if self.bidirectional else 1

    @property
    def state_rows(self):
        return self.layers * self.directions * (self.skip or 1)


class Problem:
    """A case with numbers in it: ``net``, ``x``, ``y`` and ``options`` for the calls."""

    def __init__(self, case: Case, dtype: str, seed: int = 0) -> None:
        rng = np.random.default_rng([seed, case.batch, case.time, case.hidden])
        self.case = case
        options = {"num_layers": case.layers, "bidirectional": case.bidirectional}
        if case.cell == "RNN":
            options |= {"nonlinearity": case.nonlinearity, "skip": case.skip}
        if case.reset:
            options["reset"] = case.reset
        if case.switching:
            options["switching"] = True
        self.net = getattr(rc, case.cell)(
            case.inputs, case.hidden, case.outputs, **options,
            bias=case.bias, readout=case.readout, loss=case.loss, dtype=dtype, seed=rng,
            trainable_h0=case.trainable, readout_bias=case.readout_bias,
        )  # fmt: skip
        self.net.flat[:] *= case.scale
        if case.trainable:
            for name in ("h0", "c0")[: 1 + (case.cell == "LSTM")]:
                values = self.net.parameters()[name]
                values[:] = rng.standard_normal(values.shape)
        B, T, D = case.batch, case.time, case.inputs
        self.counts = np.ones((B, T), bool)
        self.options: dict[str, Any] = {}
        lengths = rng.integers(1, T + 1, B)
        lengths[rng.integers(B)] = T
        if case.ragged in ("list", "lengths"):
            self.counts = np.arange(T) < lengths[:, None]
        elif case.ragged == "mask":
            self.counts = rng.random((B, T)) < 0.6
            self.options["mask"] = self.counts
        if case.ragged == "lengths":
            self.options["lengths"] = lengths
        if case.tokens:
            self.tokens = rng.integers(0, D, (B, T))
            self.rows = np.eye(D)[self.tokens]
            x = self.tokens
        else:
            self.rows = rng.standard_normal((B, T, D)).astype(dtype)
            x = self.rows
        self.h0 = np.zeros((B, case.state_rows, case.hidden), dtype)
        if case.h0:
            self.h0 = rng.standard_normal(self.h0.shape).astype(dtype)
            self.options["h0"] = self.h0
        if case.cell == "LSTM":
            self.c0 = self.h0[::-1].copy()
            self.h0 = (self.h0, self.c0)
            if case.h0:
                self.options["h0"] = self.h0
        K = case.outputs or case.hidden * case.directions
        leading = (B, T) if case.every_step else (B,)
        if case.loss == "cross_entropy":
            self.y = rng.integers(-1, K, leading)
            self.y[0] = 0  # at least one that counts
        elif case.loss == "bce":
            self.y = rng.integers(0, 2, (*leading, K)).astype(float)
        else:
            self.y = rng.standard_normal((*leading, K)).astype(dtype)
        self.dy = rng.standard_normal((*leading, K)).astype(dtype)
        self.listed = case.ragged == "list"
        self.x = self.cut(x) if self.listed else x

    def cut(self, values):
        """(B, T, ...) as a list with each sequence's own steps."""
        return [row[: counts.sum()] for row, counts in zip(values, self.counts, strict=True)]

    @property
    def targets(self):
        return self.cut(self.y) if self.listed and self.case.every_step else self.y

    @property
    def slopes(self):
        return self.cut(self.dy) if self.listed and self.case.every_step else self.dy

    @property
    def derivations(self):
        """Two that share no code."""
        if self.case.stacked:
            return oracle.stack.loss_and_grad, oracle.stack.by_complex_step
        if self.case.cell == "RNN":
            return oracle.by_recurrence, oracle.by_terms
        return oracle.gated.loss_and_grad, oracle.gated.by_complex_step

    def first_state(self, b):
        """As the oracle takes it."""
        if self.case.stacked:
            pair = self.h0 if self.case.cell == "LSTM" else (self.h0,)
            states = [values[b].astype(float).tolist() for values in pair]
            if self.case.trainable and not self.case.h0:
                s = self.case.skip or 1
                for name, rows in zip(("h0", "c0"), states, strict=False):
                    rows[::s] = self.net.parameters()[name].astype(float).tolist()
            return states
        if self.case.cell == "RNN":
            return self.h0[b, 0].astype(float).tolist()
        pair = self.h0 if self.case.cell == "LSTM" else (self.h0,)
        return [values[b, 0].astype(float).tolist() for values in pair]

    def oracle(self, derive=None, loss=None):
        """(loss, grads) of the mean loss, or with loss="given" of sum(dy * y)."""
        derive = derive or self.derivations[0]
        asked = (derive, loss, self.case, self.net.flat, self.rows, self.h0, self.y, self.dy)
        key = sha256(pickle.dumps((*asked, self.counts))).digest()
        if key not in ANSWERS:
            ANSWERS[key] = self.derived(derive, loss)
        total, grads = ANSWERS[key]
        return total, dict(grads)

    def derived(self, derive, loss):
        """What the oracle says, formed anew."""
        case, T = self.case, self.case.time
        what = case.nonlinearity if case.cell == "RNN" else case.kind
        what = case.spec if case.stacked else what
        name = loss or case.loss
        wanted = self.dy if loss == "given" else self.y
        parameters = {
            k: v.astype(float).tolist()
            for k, v in self.net.parameters().items()
            if k not in ("h0", "c0")
        }
        totals, sums, dx, dh0, count = [], [], [], [], 0
        for b in range(case.batch):
            counts = self.counts[b].tolist()
            steps = [t + 1 for t in range(T) if counts[t]] if case.every_step else [T]
            targets = {}
            for t in steps:
                target = wanted[b, t - 1] if case.every_step else wanted[b]
                if name == "cross_entropy" and target < 0:
                    continue
                targets[t] = np.asarray(target, float).tolist() if np.ndim(target) else int(target)
                count += 1 if name == "cross_entropy" else len(targets[t])
            total, grads = derive(
                parameters, what, self.rows[b].astype(float).tolist(),
                self.first_state(b), counts, name, targets,
            )  # fmt: skip
            totals.append(total)
            dx.append(np.array(grads.pop("x")))
            dh0.append(np.array(grads.pop("h0")))
            sums.append({k: np.array(v) for k, v in grads.items()})
        scale = 1 if loss == "given" else 1 / count
        grads = {k: scale * sum(s[k] if s[k].size else 0 for s in sums) for k in parameters}
        dh0 = scale * np.array(dh0)
        grads["x"], grads["h0"] = scale * np.array(dx), dh0[:, None]
        if case.stacked:  # (B, 1 or 2, states, H)
            grads["h0"] = dh0.swapaxes(0, 1) if case.cell == "LSTM" else dh0[:, 0]
        elif case.cell == "LSTM":  # (2, B, 1, H)
            grads["h0"] = dh0.swapaxes(0, 1)[:, :, None]
        elif case.cell in ("GRU", "MGU"):
            grads["h0"] = dh0
        return scale * sum(totals), grads

    def of_parameter(self, grads, name):
        """Its gradient; of the first states, that of all sequences' together."""
        if name not in ("h0", "c0"):
            return grads[name]
        if self.case.h0:
            return np.zeros_like(self.net.parameters()[name], float)
        pair = grads["h0"] if self.case.cell == "LSTM" else (grads["h0"],)
        return pair[int(name == "c0")].sum(axis=0)[:: self.case.skip or 1]


def difference(got, expected):
    """Largest deviation, relative to the largest entry of the block.

    Where that is below 1e-30 it cannot be asked of float32, which flushes what is smaller than
    1e-38 to zero: the deviation then counts relative to 1e-30.
    """
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape
    if got.size == 0:
        return 0.0
    deviation = np.abs(got - expected).max()
    return float(deviation / max(np.abs(expected).max(), 1e-30))
