"""Fit the quotient of polynomials that is tanh in exported C code without libm.

    python tools/fit_export_tanh.py

tanh(x) / x = P(x^2) / Q(x^2) for |x| <= 8, beyond which tanh is 1 within 3e-7. Least squares on
P - Q tanh(x) / x, weighted again and again with the last Q and with the error that is left, until
the largest relative error is the least. Prints the float32 coefficients of
`python/rnncore/_export/templates.py`, constant term first.
"""

import numpy as np

LIMIT = 8.0
OF_P, OF_Q = 3, 4  # degrees


def fitted():
    """The largest relative error, and the coefficients of P and Q."""
    x = LIMIT / 2 * (1 - np.cos(np.linspace(0, np.pi, 4001)))[1:]
    ratio, u = np.tanh(x) / x, (x / LIMIT) ** 2
    powers_p, powers_q = (np.vander(u, n + 1, increasing=True) for n in (OF_P, OF_Q))
    system = np.concatenate([powers_p, -ratio[:, None] * powers_q[:, 1:]], axis=1)
    weight, q, best = np.ones_like(x), np.ones_like(x), (np.inf, None, None)
    for _ in range(200):
        scale = np.sqrt(weight) / (q * ratio)
        found = np.linalg.lstsq(system * scale[:, None], ratio * scale, rcond=None)[0]
        of_p, of_q = found[: OF_P + 1], np.append(1, found[OF_P + 1 :])
        q = powers_q @ of_q
        error = np.abs(powers_p @ of_p / q / ratio - 1)
        best = min(best, (error.max(), of_p, of_q), key=lambda fit: fit[0])
        weight *= (error / error.max() + 1e-3) ** 0.7
        weight /= weight.mean()
    return best


def main():
    error, *polynomials = fitted()
    for name, coefficients in zip("PQ", polynomials, strict=True):
        values = coefficients / LIMIT ** (2 * np.arange(len(coefficients)))
        print(name, *(f"{value:.9g}" for value in values.astype(np.float32)))
    print(f"largest relative error {error:.2g} before rounding")


if __name__ == "__main__":
    main()
