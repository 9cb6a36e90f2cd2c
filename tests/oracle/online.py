"""Real-time recurrent learning from its definition: the derivative of the state by every parameter
is carried from step to step,

    ds_t/dp = (ds_t/ds_{t-1}) ds_{t-1}/dp + (ds_t/dp at fixed s_{t-1})        s: h, or h and c

and both factors are formed by complex steps of the cell's equations: an analytic function at
a + i e has the imaginary part e f'(a).
"""

from copy import deepcopy
from math import sqrt

from oracle.gated import CELLS, complex_logistic, read_out
from oracle.recurrence import LOSSES, plus, times
from oracle.stack import COMPLEX

TINY = 1e-150


def step(p, cell, nonlinearity, x, s):
    """The state after a step, [h] or [h, c] in one list, from the one before it."""
    f = COMPLEX["f"][nonlinearity]
    if cell == "RNN":
        a = plus(times(p["weight_ih_l0"], x), times(p["weight_hh_l0"], s))
        if "bias_ih_l0" in p:
            a = plus(a, p["bias_ih_l0"], p["bias_hh_l0"])
        return [f(v) for v in a]
    function, _, states = CELLS[cell]
    size = len(s) // states
    new, _ = function(p, x, [s[k * size : (k + 1) * size] for k in range(states)],
                      complex_logistic, f)  # fmt: skip
    return [v for part in new for v in part]


def entries(p):
    """(name, index..) of every parameter."""
    for name, values in p.items():
        for i, row in enumerate(values):
            if isinstance(row, list):
                yield from ((name, i, j) for j in range(len(row)))
            else:
                yield name, i


def of(p, key):
    value = p[key[0]]
    for k in key[1:]:
        value = value[k]
    return value


def add(p, key, value):
    row = p[key[0]]
    for k in key[1:-1]:
        row = row[k]
    row[key[-1]] += value


def imaginary(values):
    return [complex(v).imag / TINY for v in values]


class Learner:
    """``step`` returns the loss before the update and the gradient by entry; with ``own``, only
    the influence of a parameter on the unit whose own it is, is kept."""

    def __init__(self, p, cell, nonlinearity, loss, *, lr=0.0, clip_norm=None, decay=0.0,
                 readout="all", own=False):  # fmt: skip
        self.p, self.kind, self.loss = deepcopy(p), (cell, nonlinearity), loss
        self.lr, self.clip_norm, self.decay = lr, clip_norm, decay
        self.before, self.own = readout == "before", own
        self.hidden = len(p["weight_hh_l0"][0])
        self.s = [0.0] * (self.hidden * (2 if cell == "LSTM" else 1))
        self.influence = {
            key: [0.0] * len(self.s) for key in entries(p) if not key[0].startswith("head")
        }
        for name, first in (("h0", 0), ("c0", self.hidden)):
            for i, value in enumerate(p[name][0] if name in p else []):
                self.s[first + i] = value
                self.influence[name, 0, i][first + i] = 1.0

    def step(self, x, target):
        result = self.read(target) if self.before else None
        self.move(x)
        loss, gradient = result or self.read(target)
        self.update(gradient)
        return loss, gradient

    def move(self, x):
        columns = []
        for j in range(len(self.s)):
            shifted = list(self.s)
            shifted[j] += TINY * 1j
            columns.append(imaginary(step(self.p, *self.kind, x, shifted)))
        for key, old in self.influence.items():
            new = [0.0] * len(self.s)
            if key[0] not in ("h0", "c0"):
                shifted = {**self.p, key[0]: deepcopy(self.p[key[0]])}
                add(shifted, key, TINY * 1j)
                new = imaginary(step(shifted, *self.kind, x, self.s))
            for column, factor in zip(columns, old, strict=True):
                new = plus(new, [factor * v for v in column])
            unit = key[-1] if key[0] in ("h0", "c0") else key[1] % self.hidden
            if self.own:
                new = [v if k % self.hidden == unit else 0.0 for k, v in enumerate(new)]
            self.influence[key] = new
        self.s = [complex(v).real for v in step(self.p, *self.kind, x, self.s)]

    def read(self, target):
        h = self.s[: self.hidden]
        loss, dy = LOSSES[self.loss](read_out(self.p, h), target)
        head, gradient = self.p.get("head.weight"), {}
        dh = dy if head is None else [
            sum(d * row[j] for d, row in zip(dy, head, strict=True)) for j in range(self.hidden)
        ]  # fmt: skip
        for key in entries(self.p):
            if key[0] == "head.weight":
                gradient[key] = dy[key[1]] * h[key[2]]
            elif key[0] == "head.bias":
                gradient[key] = dy[key[1]]
            else:
                gradient[key] = sum(
                    d * v for d, v in zip(dh, self.influence[key][: self.hidden], strict=True)
                )
        return loss, gradient

    def update(self, gradient):
        norm = sqrt(sum(value**2 for value in gradient.values()))
        factor = 1.0 if self.clip_norm is None else min(1.0, self.clip_norm / (norm + 1e-6))
        for key, value in gradient.items():
            add(self.p, key, -self.lr * (factor * value + self.decay * of(self.p, key)))
