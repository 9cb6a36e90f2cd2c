"""The remedies against vanishing and exploding gradients, measured over 100 steps.

    python examples/remedies.py                       # three seeds, one thread, a minute
    python examples/remedies.py --out remedies.png    # and a figure (matplotlib)
    python examples/remedies.py --choose              # how the learning rates were chosen

Problem A, recall: which of eight signs (three numbers, each 1 or -1) stood at the first of 100
steps? The other 99 are noise, normal with standard deviation 0.3. Problem B, adding: of 100 pairs
of a uniform number and a marker, which numbers did the two markers stand at, one in each half?
The answer is their sum. (Both after Hochreiter and Schmidhuber, Neural Computation 9, 1997.)

Every method has 16 units (but for the one of one unit) and the same budget: 6400 sequences in
batches of 32, 20 epochs, Adam, clip_norm=1. The network of the epoch with the least
loss on 1000 validation sequences is kept; a problem is solved where its loss on 1000 others is less
than a tenth of what the best constant answer has, ln 8 or 1/6. The learning rate of each method and
problem was chosen among 0.0003, 0.001, 0.003 and 0.01, on other sequences and from other seeds.

The last part starts from a network whose gradients explode: relu, recurrent matrix 1.1 times the
identity, problem B.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

import rnncore as rc

STEPS, UNITS, BATCH = 100, 16, 32
RATES = (0.0003, 0.001, 0.003, 0.01)
SOLVED = 0.1  # of the loss of the best constant answer
SAMPLE = 100  # sequences of which gradients are taken apart
CHOICE = 1000  # where the seeds begin with which learning rates are chosen

Data = tuple[np.ndarray, np.ndarray]


def recall(count: int, rng: np.random.Generator) -> Data:
    x = 0.3 * rng.standard_normal((count, STEPS, 3))
    bits = rng.integers(0, 2, (count, 3))
    x[:, 0] = 2 * bits - 1
    return x, bits @ [4, 2, 1]


def adding(count: int, rng: np.random.Generator) -> Data:
    x = np.zeros((count, STEPS, 2))
    x[:, :, 0] = rng.random((count, STEPS))
    row, half = np.arange(count), STEPS // 2
    first, second = rng.integers(0, half, count), rng.integers(half, STEPS, count)
    x[row, first, 1] = x[row, second, 1] = 1
    return x, x[row, first, 0] + x[row, second, 0]


class Problem(NamedTuple):
    draw: Callable[[int, np.random.Generator], Data]
    inputs: int
    outputs: int
    loss: str
    constant: float  # loss of the best constant answer
    epochs: int


PROBLEMS = {
    "A": Problem(recall, 3, 8, "cross_entropy", float(np.log(8)), 20),
    "B": Problem(adding, 2, 1, "mse", 1 / 6, 20),
}


class Method(NamedTuple):
    cell: Callable
    options: dict
    rates: dict[str, float]  # by problem, as --choose found them
    units: int = UNITS

    def new(self, problem: Problem, seed: int) -> rc.RNN | rc.GRU | rc.LSTM:
        sizes = problem.inputs, self.units, problem.outputs
        return self.cell(*sizes, loss=problem.loss, seed=seed, **self.options)


METHODS = {
    "tanh, one unit": Method(rc.RNN, {}, {"A": 0.01, "B": 0.01}, units=1),
    "tanh": Method(rc.RNN, {}, {"A": 0.01, "B": 0.01}),
    "sigmoid": Method(rc.RNN, {"nonlinearity": "sigmoid"}, {"A": 0.001, "B": 0.01}),
    "relu, identity": Method(
        rc.RNN, {"nonlinearity": "relu", "init": "identity"}, {"A": 0.0003, "B": 0.01}
    ),
    "tanh, skip=10": Method(rc.RNN, {"skip": 10}, {"A": 0.01, "B": 0.003}),
    "GRU": Method(rc.GRU, {}, {"A": 0.003, "B": 0.01}),
    # z = s(4): h_t = (1 - z) n + z h_{t-1} keeps 98 % of h
    "GRU, update_bias=4": Method(rc.GRU, {"update_bias": 4}, {"A": 0.01, "B": 0.01}),
    "LSTM": Method(rc.LSTM, {}, {"A": 0.003, "B": 0.01}),
    "LSTM, forget_bias=4": Method(rc.LSTM, {"forget_bias": 4}, {"A": 0.003, "B": 0.01}),
}

#: Against explosion: scale of the recurrent matrix at the start, and what fit gets.
MEASURES = {
    "none": (1.1, {}),
    "clip_norm=1": (1.1, {"clip_norm": 1}),
    "clip_value=0.1": (1.1, {"clip_value": 0.1}),
    "lr / 100": (1.1, {"lr": 1e-4}),
    "w_h = 1": (1.0, {}),
    "w_h = 1, clip_norm=1": (1.0, {"clip_norm": 1}),
}


class Run(NamedTuple):
    """One fit of one network."""

    curve: np.ndarray  # validation loss by epoch, over that of the best constant answer
    loss: float  # on the test sequences, likewise
    before: rc.GradientFlow
    after: rc.GradientFlow
    right: float  # share of right answers, or NaN
    error: bool  # fit raised FloatingPointError

    @property
    def solved(self) -> bool:
        return not self.error and self.loss < SOLVED

    @property
    def epochs(self) -> float:
        below = np.flatnonzero(self.curve < SOLVED)
        return float(below[0] + 1) if self.solved and len(below) else np.nan


def run(net, problem: Problem, sets: list[Data], epochs: int, seed: int, **options) -> Run:
    train, held, (x, y) = sets
    before, error = net.gradient_flow(x[:SAMPLE], y[:SAMPLE]), False
    try:
        history = net.fit(
            *train, epochs=epochs, batch_size=BATCH, validation=held, patience=epochs, rng=seed,
            threads=1, **options,
        )  # fmt: skip
    except FloatingPointError as caught:
        history, error = caught.history, True
    return Run(
        curve=history.validation / problem.constant,
        loss=net.loss(x, y) / problem.constant,
        before=before,
        after=net.gradient_flow(x[:SAMPLE], y[:SAMPLE]),
        right=float((net.predict(x) == y).mean()) if problem.outputs > 1 else np.nan,
        error=error,
    )


def data(problem: Problem, args: argparse.Namespace, seed: int) -> list[Data]:
    """Sequences to train, to validate and to test."""
    rng = np.random.default_rng(seed)
    return [problem.draw(count, rng) for count in (args.sequences, args.held, args.held)]


def reach(flow: rc.GradientFlow) -> float:
    """|dL/dh| at the first step over that at the last."""
    first, last = flow.state_norms[[1, -1]]
    return float(first / last) if last else 0.0


def middle(values) -> float:
    values = np.array(list(values), float)
    return float(np.median(values[~np.isnan(values)])) if not np.isnan(values).all() else np.nan


def row(name: str, rate: str, runs: list[Run]) -> str:
    """A line of the table: medians over the seeds."""
    epochs, right = middle(r.epochs for r in runs), middle(r.right for r in runs)
    end = "error" if all(r.error for r in runs) else f"{middle(r.loss for r in runs):.2g}"
    cells = [
        f"{name:20s} {rate:>6s} {sum(r.solved for r in runs):>3d}/{len(runs)}",
        f"{'-' if np.isnan(epochs) else f'{epochs:.0f}':>6s} {end:>9s}",
        f"{'' if np.isnan(right) else f'{right:.3f}':>8s}",
        f"{middle(r.before.horizon for r in runs):7.0f}",
        f"{middle(r.after.horizon for r in runs):5.0f}",
        f"{middle(reach(r.before) for r in runs):9.0e}",
        f"{middle(reach(r.after) for r in runs):7.0e}",
    ]
    return " ".join(cells)


HEAD = (
    "                            solved epochs      loss accuracy  horizon     |dL/dh_1/dL/dh_T|\n"
    "                         lr           to it /constant          before after    before   after"
)


def measure_horizons() -> None:
    """How far back the gradient of a network of one unit reaches, by its recurrent weight."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((SAMPLE, STEPS, 1)), rng.standard_normal(SAMPLE)
    print(f"o_t = tanh(x_t + w_h o_{{t-1}}), {STEPS} steps of noise: steps with 99 % of the terms")
    print("w_h                 " + "".join(f"{w:7.1f}" for w in WEIGHTS))
    for spread in (0.01, 0.3, 1.0):
        found = []
        for w in WEIGHTS:
            net = rc.RNN(1, 1, 1, bias=False, loss="mse", seed=0)
            net.flat[:] = 1, w, 1  # w_i, w_h, w_o
            found.append(net.gradient_flow(spread * x, y).horizon)
        print(f"noise of spread {spread:<4g}" + "".join(f"{n:7d}" for n in found))
    print("ln 0.01 / ln w_h    " + "".join(
        f"{np.log(0.01) / np.log(w):7.1f}" if w < 1 else "      -" for w in WEIGHTS
    ))  # fmt: skip


WEIGHTS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def measure_methods(letter: str, args: argparse.Namespace) -> dict[str, list[Run]]:
    problem, found = PROBLEMS[letter], {}
    epochs = args.epochs or problem.epochs
    sets = [data(problem, args, seed) for seed in range(args.seeds)]
    print(f"\nProblem {letter}, {problem.draw.__name__}\n{HEAD}")
    for name, method in METHODS.items():
        rate = method.rates[letter]
        found[name] = [
            run(method.new(problem, seed), problem, sets[seed], epochs, seed, lr=rate, clip_norm=1)
            for seed in range(args.seeds)
        ]
        print(row(name, f"{rate:g}", found[name]), flush=True)
    return found


def measure_explosion(args: argparse.Namespace) -> dict[str, list[Run]]:
    problem, shown = PROBLEMS["B"], {}
    epochs = args.epochs or problem.epochs
    sets = [data(problem, args, seed) for seed in range(args.seeds)]
    for optimizer in ("adam", "sgd"):
        print(f"\nProblem B from an exploding start, optimizer={optimizer!r}\n{HEAD}")
        for name, (scale, options) in MEASURES.items():
            found = []
            for seed in range(args.seeds):
                net = rc.RNN(
                    2, UNITS, 1, nonlinearity="relu", init="identity", init_scale=scale,
                    loss="mse", seed=seed,
                )  # fmt: skip
                chosen = {"lr": 0.01, "optimizer": optimizer} | options
                found.append(run(net, problem, sets[seed], epochs, seed, **chosen))
            print(row(name, f"{chosen['lr']:g}", found), flush=True)
            if optimizer == "adam":
                shown[name] = found
    return shown


def choose(args: argparse.Namespace) -> None:
    """The learning rates with the least median validation loss, on other seeds."""
    for letter, problem in PROBLEMS.items():
        epochs = args.epochs or problem.epochs
        seeds = range(CHOICE, CHOICE + args.seeds)
        sets = [data(problem, args, seed) for seed in seeds]
        for name, method in METHODS.items():
            ends = []
            for rate in RATES:
                runs = [
                    run(method.new(problem, s), problem, both, epochs, s, lr=rate, clip_norm=1)
                    for s, both in zip(seeds, sets, strict=True)
                ]
                ends.append(middle(min(r.curve, default=np.inf) for r in runs))
            listed = "  ".join(
                f"{rate:g}: {end:.3g}" for rate, end in zip(RATES, ends, strict=True)
            )
            print(f"{letter} {name:20s} {RATES[int(np.argmin(ends))]:<6g} of  {listed}", flush=True)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", help="where to save the figure")
    parser.add_argument("--quick", action="store_true", help="only to see that it runs")
    parser.add_argument("--choose", action="store_true", help="choose the learning rates")
    args = parser.parse_args(arguments)
    args.sequences, args.held, args.epochs = (64, 100, 2) if args.quick else (6400, 1000, None)
    if args.quick:
        args.seeds = 1
    if args.out and find_spec("matplotlib") is None:
        parser.error("--out: expected matplotlib (pip install matplotlib)")
    if args.choose:
        return choose(args)

    begun = time.perf_counter()
    measure_horizons()
    found = {letter: measure_methods(letter, args) for letter in PROBLEMS}
    explosion = measure_explosion(args)
    print(f"\n{time.perf_counter() - begun:.0f} s")
    if args.out:
        for styles in STYLES.values():
            styles.setdefault("linewidth", 1.1)
        draw(found, explosion, args.out)


def draw(found: dict[str, dict[str, list[Run]]], explosion: dict[str, list[Run]], path) -> None:
    """Slopes at the start, learning curves, and what was done against explosion: 3.4 inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4, 6.4), layout="constrained")
    axes = figure.subplot_mosaic(
        [["slopes"] * 2, ["names"] * 2, ["A", "B"], ["explosion"] * 2],
        height_ratios=[1.15, 0.62, 1, 1.25],
    )
    lags = np.arange(STEPS)
    for name, runs in found["A"].items():
        norms = runs[0].before.state_norms[:0:-1]
        shown = np.where(norms > 0, norms, np.nan) / norms[0]
        axes["slopes"].plot(lags, shown, label=name, **STYLES[name])
    slopes = axes["slopes"]
    slopes.set(yscale="log", ylim=(1e-12, 3), xlim=(0, STEPS), xlabel="steps back from the last, k")
    slopes.set_title("Before training (A): $|dL/dh_{T-k}|\\,/\\,|dL/dh_T|$")
    slopes.axhline(1e-2, color="#bbbbbb", linewidth=0.6, zorder=0)
    names = axes["names"]
    names.axis("off")
    names.legend(
        *slopes.get_legend_handles_labels(), ncols=2, fontsize=7, frameon=False, loc="center",
        borderaxespad=0, labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip
    for letter in found:
        for name, runs in found[letter].items():
            axes[letter].plot(*curve(runs), **STYLES[name])
        axes[letter].axhline(SOLVED, color="#bbbbbb", linewidth=0.6, zorder=0)
        axes[letter].set(yscale="log", ylim=(1e-5, 4), xlabel="epoch", xticks=EPOCHS)
        axes[letter].set_title(f"{letter}: {PROBLEMS[letter].draw.__name__}")
    axes["A"].set_ylabel("loss / constant's")
    axes["B"].tick_params(labelleft=False)
    for (name, runs), colour in zip(explosion.items(), EXPLOSION, strict=True):
        axes["explosion"].plot(*curve(runs), color=colour, linewidth=1.1, label=name)
    axes["explosion"].set(yscale="log", xlabel="epoch", ylabel="loss / constant's", xticks=EPOCHS)
    axes["explosion"].set_title("B from an exploding start, Adam", pad=40)
    axes["explosion"].axhline(SOLVED, color="#bbbbbb", linewidth=0.6, zorder=0)
    axes["explosion"].legend(
        ncols=2, fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.45, 1.03),
        borderaxespad=0, labelspacing=0.25, columnspacing=1.2,
    )  # fmt: skip
    for name, axis in axes.items():
        axis.title.set_fontsize(8)
        axis.xaxis.label.set_fontsize(8)
        axis.yaxis.label.set_fontsize(8)
        axis.tick_params(labelsize=7)
        if name != "names":
            axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


def curve(runs: list[Run]) -> tuple[np.ndarray, np.ndarray]:
    """Epochs, and the median over the seeds of the loss after each."""
    whole = [r.curve for r in runs if not r.error]
    values = np.median(whole, axis=0) if whole else np.zeros(0)
    return np.arange(1, len(values) + 1), values


STYLES = {
    "tanh, one unit": {"color": "#999999", "linestyle": ":"},
    "tanh": {"color": "#777777"},
    "sigmoid": {"color": "#111111"},
    "relu, identity": {"color": "#d98a00"},
    "tanh, skip=10": {"color": "#5c8a2a"},
    "GRU": {"color": "#1f5fa8", "linestyle": "--"},
    "GRU, update_bias=4": {"color": "#1f5fa8"},
    "LSTM": {"color": "#c0302a", "linestyle": "--"},
    "LSTM, forget_bias=4": {"color": "#c0302a"},
}
EPOCHS = (1, 5, 10, 15, 20)
EXPLOSION = ("#111111", "#c0302a", "#d98a00", "#1f5fa8", "#5c8a2a", "#8a3fa0")


if __name__ == "__main__":
    main()
