"""Fit the polynomials of rnncore/simd/activations.h and write rnncore/simd/coefficients.h.

Run with mpmath installed:  python tools/fit_activations.py

Each function is written as exact leading terms plus a polynomial, and the
polynomial is the one whose largest *relative* error, measured on the whole
function, is smallest (Remez exchange in 60 digits):

    exp(r)      = 1 + r + r^2 P(r)          |r| <= ln(2) / 2
    tanh(x)     = x + x^3 P(x^2)            |x| <= TANH_SPLIT
    log(1 + e)  = 2 s + s^3 P(s^2)          s = e / (2 + e),  0 <= e <= 1
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.dps = 60

#: Below this |x| tanh is its own polynomial, above it 1 - 2e/(1 + e).
TANH_SPLIT = mp.mpf(5) / 8

Function = Callable[[mp.mpf], mp.mpf]


def horner(coefficients: list[mp.mpf], z: mp.mpf) -> mp.mpf:
    return mp.polyval(coefficients[::-1], z)


def remez(f: Function, weight: Function, low, high, terms: int) -> tuple[list, mp.mpf]:
    """Coefficients (constant term first) minimising max |weight * (f - P)|, and that maximum."""
    low, high = mp.mpf(low), mp.mpf(high)
    middle, half = (low + high) / 2, (high - low) / 2
    grid = [middle - half * mp.cos(mp.pi * k / 600) for k in range(601)]
    values = [(z, f(z), weight(z)) for z in grid if abs(z) > half / 10**4]  # weight(0) = 0
    nodes = [values[k * (len(values) - 1) // terms] for k in range(terms + 1)]
    for _ in range(60):
        # weight * (f - P) = +-level at the nodes: linear in P's coefficients and the level
        matrix = mp.matrix(terms + 1, terms + 1)
        right = mp.matrix(terms + 1, 1)
        for i, (z, fz, wz) in enumerate(nodes):
            for j in range(terms):
                matrix[i, j] = z**j
            matrix[i, terms] = (-1) ** i / wz
            right[i] = fz
        solution = mp.lu_solve(matrix, right)
        coefficients, level = [solution[j] for j in range(terms)], abs(solution[terms])

        errors = [(p, p[2] * (p[1] - horner(coefficients, p[0]))) for p in values]
        extrema: list[tuple] = []  # the largest error of every run of one sign
        for point, error in errors:
            if extrema and (extrema[-1][1] > 0) == (error > 0):
                if abs(error) > abs(extrema[-1][1]):
                    extrema[-1] = (point, error)
            else:
                extrema.append((point, error))
        while len(extrema) > terms + 1:
            extrema.pop(0 if abs(extrema[0][1]) < abs(extrema[-1][1]) else -1)
        worst = max(abs(e) for _, e in errors)
        if len(extrema) < terms + 1 or worst <= level * (1 + mp.mpf("1e-3")):
            return coefficients, worst
        nodes = [point for point, _ in extrema]
    return coefficients, worst


def exp_tail(r):
    return (mp.exp(r) - 1 - r) / r**2 if r else mp.mpf(1) / 2


def exp_weight(r):
    return r**2 / mp.exp(r)


def tanh_tail(z):
    x = mp.sqrt(z)
    return (mp.tanh(x) - x) / x**3 if z else -mp.mpf(1) / 3


def tanh_weight(z):
    x = mp.sqrt(z)
    return x**3 / mp.tanh(x) if z else mp.mpf(0)


def log_tail(z):
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / s**3 if z else mp.mpf(2) / 3


def log_weight(z):
    s = mp.sqrt(z)
    return s**3 / (2 * mp.atanh(s)) if z else mp.mpf(0)


#: name, tail, weight, interval, number of terms in float32 and in float64
FITS = [
    ("EXP", exp_tail, exp_weight, (-mp.log(2) / 2, mp.log(2) / 2), 5, 10),
    ("TANH", tanh_tail, tanh_weight, (0, TANH_SPLIT**2), 5, 11),
    ("LOG1P", log_tail, log_weight, (0, mp.mpf(1) / 9), 4, 10),
]


def main() -> None:
    lines = [
        "/* Polynomials of activations.h, constant term first.",
        "   Written by tools/fit_activations.py: change that, not this. */",
        f"#define TANH_SPLIT ((real){mp.nstr(TANH_SPLIT, 8)})",
    ]
    for guard, precision in (("#ifdef RNN_DOUBLE", "float64"), ("#else", "float32")):
        lines += ["", f"{guard} /* {precision} */"]
        for name, tail, weight, (low, high), single, double in FITS:
            terms = double if precision == "float64" else single
            coefficients, worst = remez(tail, weight, low, high, terms)
            error = mp.nstr(worst, 2)
            print(f"{name:6s} {precision} {terms:2d} terms: largest relative error {error}")
            lines.append(f"/* largest relative error {error} before rounding */")
            lines.append(f"static const real {name}_TAIL[{terms}] = {{")
            lines += [f"    (real){mp.nstr(c, 20)}," for c in coefficients]
            lines.append("};")
    lines.append("#endif")
    target = Path(__file__).resolve().parents[1] / "rnncore" / "simd" / "coefficients.h"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {target.name}")


if __name__ == "__main__":
    main()
