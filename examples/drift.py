"""A stream that changes: online learning against networks that are fitted and left as they are.

A signal u_t of random numbers goes through a system with a memory of three steps, whose
coefficients turn slowly and jump half-way:

    y_t = tanh(a_t u_t + b_t u_{t-1} + c_t u_{t-2})

Every network hears u_t and says what y_t is; then y_t becomes known. All are of the same kind, from
the same first parameters, and have been fitted to the beginning of the stream:

    frozen    stays as it is
    refitted  is fitted again to the last 500 steps, every 500 steps
    uoro, eprop, snap1     learn at every step, by approximate gradients
    rtrl      learns at every step, by exact gradients

    python examples/drift.py --out drift.png
"""

from __future__ import annotations

import argparse
import copy

import numpy as np

import rnncore as rc

WINDOW = 500
STREAM_LR = 0.05
METHODS = ("uoro", "eprop", "snap1", "rtrl")


def stream(steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """u and y (steps, 1)."""
    u = rng.standard_normal(steps + 2)
    t = np.arange(steps)
    angle = 2 * np.pi * t / 8000 + np.where(t < steps // 2, 0.0, 2.0)
    a, b, c = np.cos(angle), np.sin(angle), np.cos(1.5 * angle + 1)
    y = np.tanh(a * u[2:] + b * u[1:-1] + c * u[:-2])
    return u[2:, None].astype(np.float32), y[:, None].astype(np.float32)


def fit(net: rc.GRU, u: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Fit to a piece of the stream, cut into sequences of 50 steps."""
    net.fit(
        u.reshape(-1, 50, 1), y.reshape(-1, 50, 1), epochs=epochs, batch_size=10, lr=0.01, rng=0
    )


def frozen(net: rc.GRU, u: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (net.run_stream(u)[0] - y)[:, 0] ** 2


def refitted(net: rc.GRU, u: np.ndarray, y: np.ndarray, epochs: int) -> np.ndarray:
    errors, state = [], None
    for first in range(0, len(u), WINDOW):
        part = slice(first, first + WINDOW)
        outputs, state = net.run_stream(u[part], state)
        errors.append((outputs - y[part])[:, 0] ** 2)
        fit(net, u[part], y[part], epochs)
    return np.concatenate(errors)


def online(net: rc.GRU, u: np.ndarray, y: np.ndarray, method: str) -> np.ndarray:
    learner = net.online(lr=STREAM_LR, method=method, clip_norm=1.0, rng=0)
    return np.array([learner.step(u_t, y_t) for u_t, y_t in zip(u, y, strict=True)])


def main(arguments: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description="Online learning on a stream that changes.")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--hidden", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=200, help="of the fit to the beginning")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", help="where to draw a figure")
    options = parser.parse_args(arguments)
    errors: dict[str, list[np.ndarray]] = {}
    for seed in range(options.seeds):
        u, y = stream(options.steps, np.random.default_rng(seed))
        start = rc.GRU(1, options.hidden, 1, readout="all", loss="mse", seed=seed)
        fit(start, u[: 2 * WINDOW], y[: 2 * WINDOW], options.epochs)
        u, y = u[2 * WINDOW :], y[2 * WINDOW :]
        for name, values in {
            "frozen": frozen(copy.deepcopy(start), u, y),
            "refitted": refitted(copy.deepcopy(start), u, y, max(1, options.epochs // 5)),
            **{name: online(copy.deepcopy(start), u, y, name) for name in METHODS},
        }.items():
            errors.setdefault(name, []).append(values)
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    print("mean squared error over the stream after the fit")
    for name, mean in means.items():
        print(f"{name:9} {mean:.4f}")
    if options.out:
        draw(errors, options.out)
    return means


def draw(errors: dict[str, list[np.ndarray]], path: str) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
    for (name, values), color in zip(errors.items(), COLORS, strict=True):
        mean = np.mean(values, axis=0)
        blocks = mean[: len(mean) // 250 * 250].reshape(-1, 250).mean(axis=1)
        axis.plot(2 * WINDOW + 250 * (np.arange(len(blocks)) + 0.5), blocks, label=name,
                  color=color)  # fmt: skip
    axis.set(xlabel="step", ylabel="squared error, mean of 250 steps", yscale="log")
    axis.legend(frameon=False, ncols=6, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1))
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


COLORS = ("#999999", "#d98a00", "#8c6bb1", "#5aae61", "#1f5fa8", "#c0302a")


if __name__ == "__main__":
    main()
