"""Learning at every step from its definition: the derivative of the state by every parameter is
carried from step to step,

    ds_t/dp = (ds_t/ds_{t-1}) ds_{t-1}/dp + (ds_t/dp at fixed s_{t-1})        s: h, or h and c

and both factors are formed by complex steps of the cell's equations: an analytic function at
a + i e has the imaginary part e f'(a).

rtrl    this matrix
snap1   of the column of a parameter, only what is of the unit whose own it is (Menick et al. 2021)
eprop   the same, and in the first factor what other units and the unit itself see of s_{t-1}, by
        way of W_hh, is fixed: e_t = (ds_t/ds_{t-1} at fixed z_{t-1}) e_{t-1} + ds_t/dp (Bellec et
        al. 2020, eq. 13, of which the learning signal is dL_t/dh_t)
uoro    an outer product of two vectors, by algorithm 1 of Tallec and Ollivier 2018
"""

from copy import deepcopy
from math import hypot, sqrt

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


class Signs:
    """1 and -1 by the highest bits of SplitMix64 (Steele, Lea and Flood 2014)."""

    def __init__(self, random):
        self.random = random

    def __call__(self, count):
        return [self.draw() for _ in range(count)]

    def draw(self):
        self.random = (self.random + 0x9E3779B97F4A7C15) % 2**64
        z = self.random
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        return -1 if (z ^ z >> 31) >> 63 else 1


class Learner:
    """``step`` returns the loss and the gradient by entry; parameters stay as they are until they
    are given to ``put``. signs: a function that returns so many, for "uoro"."""

    def __init__(self, p, cell, nonlinearity, loss, method="rtrl", *, readout="all", signs=None):
        self.p, self.kind, self.loss = deepcopy(p), (cell, nonlinearity), loss
        self.before, self.method, self.signs = readout == "before", method, signs
        self.hidden = len(p["weight_hh_l0"][0])
        self.s = [0.0] * (self.hidden * (2 if cell == "LSTM" else 1))
        keys = [key for key in entries(p) if not key[0].startswith("head")]
        self.influence = {key: [0.0] * len(self.s) for key in keys}
        self.direction, self.factor = [0.0] * len(self.s), dict.fromkeys(keys, 0.0)
        for name, first in (("h0", 0), ("c0", self.hidden)):
            if name in p and method == "uoro":
                self.direction[first : first + self.hidden] = signs(self.hidden)
            for i, value in enumerate(p[name][0] if name in p else []):
                self.s[first + i] = value
                self.influence[name, 0, i][first + i] = 1.0
                self.factor[name, 0, i] = self.direction[first + i]
        if method == "uoro":
            self.multiply()

    def put(self, values):
        """New parameters, in the order of `entries`."""
        for key, value in zip(entries(self.p), values, strict=True):
            add(self.p, key, value - of(self.p, key))

    def step(self, x, target):
        result = self.read(target) if self.before else None
        direct = {key: self.direct(key, x) for key in self.influence}
        if self.method == "uoro":
            self.one_product(x, direct)
        else:
            self.carry(x, direct)
        self.s = [complex(v).real for v in step(self.p, *self.kind, x, self.s)]
        return result or self.read(target)

    def direct(self, key, x):
        """The derivative of the next state by one parameter, at the same state before it."""
        if key[0] in ("h0", "c0"):
            return [0.0] * len(self.s)
        shifted = {**self.p, key[0]: deepcopy(self.p[key[0]])}
        add(shifted, key, TINY * 1j)
        return imaginary(step(shifted, *self.kind, x, self.s))

    def along(self, p, x, way):
        """The derivative of the next state along a direction of the state before it."""
        shifted = [v + TINY * 1j * w for v, w in zip(self.s, way, strict=True)]
        return imaginary(step(p, *self.kind, x, shifted))

    def blind(self):
        """Parameters with which W_hh sees the state as it is, whatever it is then given."""
        seen = times(self.p["weight_hh_l0"], self.s[: self.hidden])
        none = [0.0] * len(seen)
        return {
            **self.p, "weight_hh_l0": [[0.0] * self.hidden for _ in seen],
            "bias_ih_l0": self.p.get("bias_ih_l0", none),
            "bias_hh_l0": plus(seen, self.p.get("bias_hh_l0", none)),
        }  # fmt: skip

    def carry(self, x, direct):
        p = self.blind() if self.method == "eprop" else self.p
        size = len(self.s)
        columns = [self.along(p, x, [float(i == j) for i in range(size)]) for j in range(size)]
        for key, old in self.influence.items():
            new = direct[key]
            for column, factor in zip(columns, old, strict=True):
                new = plus(new, [factor * v for v in column])
            unit = key[-1] if key[0] in ("h0", "c0") else key[1] % self.hidden
            if self.method != "rtrl":
                new = [v if k % self.hidden == unit else 0.0 for k, v in enumerate(new)]
            self.influence[key] = new

    def one_product(self, x, direct):
        moved, nu = self.along(self.p, x, self.direction), self.signs(len(self.s))
        pushed = {
            key: sum(n * v for n, v in zip(nu, column, strict=True))
            for key, column in direct.items()
        }  # fmt: skip
        rho0, rho1 = (
            sqrt(hypot(*factor.values()) / (hypot(*way) + 1e-7)) + 1e-7
            for factor, way in ((self.factor, moved), (pushed, nu))
        )
        self.direction = [rho0 * v + rho1 * n for v, n in zip(moved, nu, strict=True)]
        self.factor = {key: v / rho0 + pushed[key] / rho1 for key, v in self.factor.items()}
        self.multiply()

    def multiply(self):
        """The outer product."""
        for key, factor in self.factor.items():
            self.influence[key] = [v * factor for v in self.direction]

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
