"""``python -m rnncore demo``: what the package does, in a few seconds and with numpy alone."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from time import perf_counter
from typing import Any

import numpy as np

import rnncore as rc
from rnncore._demo import plain
from rnncore._types import Array

WORDS = ("cat", "mat", "rat")
SENTENCES = {"cat mat rat": 1, "rat rat mat": 1, "mat mat cat": 0}
FIGURE = "rnncore-demo.png"


def main() -> None:
    begun = perf_counter()
    rc.show_config()
    print()
    toy = sentiment()
    print()
    forecast = sunspots()
    print()
    comparison()
    print()
    figure(toy, forecast)
    print(f"All of it took {perf_counter() - begun:.1f} s.")


def weights(net: rc.RNN) -> tuple[list[float], float, float]:
    """w_i, w_h and w_o of a network with one unit."""
    p = net.parameters()
    w_i = p["weight_ih_l0"][0].tolist()
    return w_i, float(p["weight_hh_l0"][0, 0]), float(p["head.weight"][0, 0])


def sentiment() -> dict[str, Array]:
    """Three sentences, three words, one hidden unit; returns the terms of the first gradient."""
    print("1. A sentence is good (1) or bad (0): one hidden unit, many to one")
    print("   o_t = tanh(x_t w_i + o_t-1 w_h),  o_0 = 0,  y = logistic(o_3 w_o)\n")
    x = np.array([[WORDS.index(word) for word in text.split()] for text in SENTENCES])
    y = np.array(list(SENTENCES.values()))
    net = rc.RNN(3, 1, 1, loss="bce", bias=False, dtype="float64", seed=0)

    _, grads = net.loss_and_grad(x, y)
    by_step = {"weight_ih_l0": np.zeros((3, 3)), "weight_hh_l0": np.zeros(3)}
    w_o_terms = np.zeros(3)
    for tokens, d in zip(x, y, strict=True):
        _, d_i, d_h, d_o = plain.terms(*weights(net), np.eye(3)[tokens].tolist(), int(d))
        by_step["weight_ih_l0"] += np.array(d_i) / 3
        by_step["weight_hh_l0"] += np.array(d_h) / 3
        w_o_terms[2] += d_o / 3
    rows = [
        *((f"dL/dw_i[{w}]", by_step["weight_ih_l0"][:, k], grads["weight_ih_l0"][0, k])
          for k, w in enumerate(WORDS)),
        ("dL/dw_h", by_step["weight_hh_l0"], grads["weight_hh_l0"][0, 0]),
        ("dL/dw_o", w_o_terms, grads["head.weight"][0, 0]),
    ]  # fmt: skip
    print("   Before training, each gradient as the sum of its three time-step terms:")
    print(f"   {'':12s} {'t=1':>10s}  {'t=2':>10s}  {'t=3':>10s}    {'sum':>10s}   {'core':>10s}")
    for name, steps, got in rows:
        parts = "  ".join(f"{v:+10.6f}" for v in steps)
        print(f"   {name:12s} {parts}  = {steps.sum():+10.6f}   {got:+10.6f}")
        if abs(steps.sum() - got) > 1e-12:
            raise AssertionError(f"{name}: the terms do not sum to the gradient")

    history = net.fit(x, y, epochs=2000, batch_size=3, optimizer="sgd", lr=0.5, rng=0)
    took = 1e3 * history.seconds.sum()
    print(
        f"\n   Plain gradient descent, {len(history)} epochs in {took:.2f} ms: "
        f"loss {history.loss[0]:.3f} -> {history.loss[-1]:.4f}"
    )
    for text, d, p in zip(SENTENCES, y, net.predict_proba(x)[:, 0], strict=True):
        print(f"   {text}: {p:.3f}, should be {d}")
    return {name: steps for name, steps, _ in rows}


def sunspots() -> tuple[Array, Array, Array]:
    """Next year's sunspot number from the last twelve; returns test years, numbers, forecast."""
    print("2. Yearly sunspot numbers: next year's from the last 12, trained up to 1920")
    with files(__package__).joinpath("sunspots.csv").open(encoding="ascii") as file:
        years, numbers = np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)
    window, scale = 12, 100
    x = np.lib.stride_tricks.sliding_window_view(numbers / scale, window)[:-1, :, None]
    y, when = numbers[window:] / scale, years[window:]
    train = when <= 1920
    net = rc.RNN(1, 8, 1, loss="mse", seed=0)
    history = net.fit(x[train], y[train], epochs=200, lr=0.01, rng=0)
    test = ~train
    forecast = net.predict(x[test]) * scale
    last = x[test][:, -1, 0] * scale
    actual = y[test] * scale

    def error(guess: Array) -> float:
        return float(np.sqrt(np.mean((guess - actual) ** 2)))

    print(
        f"   8 hidden units, {len(history)} epochs of {train.sum()} windows in "
        f"{1e3 * history.seconds.sum():.0f} ms"
    )
    print(
        f"   root mean square error {when[test][0]:.0f}-{when[test][-1]:.0f}: "
        f"{error(forecast):.1f}; of the guess 'as this year': {error(last):.1f}"
    )
    if error(forecast) >= error(last):
        raise AssertionError("the network forecasts no better than persistence")
    return when[test], actual, forecast


def comparison() -> None:
    """The compiled core and the same equations in plain Python, on the same work."""
    B, T, D = 32, 50, 3
    print(f"3. Loss and all gradients of a one-unit network: {B} sequences, {T} steps, {D} inputs")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((B, T, D))
    y = rng.integers(0, 2, B).astype(float)
    net = rc.RNN(D, 1, 1, loss="bce", bias=False, dtype="float64", seed=0)
    rows, targets, w = x.tolist(), y.tolist(), weights(net)
    loss, grads = net.loss_and_grad(x, y)
    plain_loss, d_i, d_h, d_o = plain.loss_and_grad(*w, rows, targets)
    flat = np.concatenate([g.ravel() for g in grads.values()])
    if not np.allclose([loss, *flat], [plain_loss, *d_i, d_h, d_o], rtol=1e-12, atol=1e-15):
        raise AssertionError("the core and plain Python disagree")
    python = best_time(lambda: plain.loss_and_grad(*w, rows, targets), 5)
    core = best_time(lambda: net.loss_and_grad(x, y), 500)
    print(
        f"   the same numbers to 12 digits: plain Python {1e6 * python:.0f} us, "
        f"rnncore {1e6 * core:.1f} us, {python / core:.0f} times faster"
    )


def best_time(call: Callable[[], Any], times: int) -> float:
    """Seconds of the fastest of so many calls."""
    best = float("inf")
    for _ in range(times):
        begun = perf_counter()
        call()
        best = min(best, perf_counter() - begun)
    return best


def figure(toy: dict[str, Array], forecast: tuple[Array, Array, Array]) -> None:
    """Draw both results, if matplotlib is installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("(With matplotlib installed this also draws a figure.)")
        return
    fig = Figure(figsize=(10, 4), layout="constrained")
    left, right = fig.subplots(1, 2, width_ratios=(2, 3))
    places, width = np.arange(1, 4), 0.8 / len(toy)
    for k, (name, steps) in enumerate(toy.items()):
        left.bar(places + (k - (len(toy) - 1) / 2) * width, steps, width, label=name)
    left.axhline(0, color="black", linewidth=0.8)
    left.set(
        xticks=places, xlabel="time step", ylabel="term of the gradient",
        title="Which step the gradient comes from",
    )  # fmt: skip
    left.set_ylim(top=1.6 * max(steps.max() for steps in toy.values()))  # space for the legend
    left.legend(frameon=False, loc="upper left", ncols=2)
    years, actual, guess = forecast
    right.plot(years, actual, color="0.6", linewidth=3, label="observed")
    right.plot(years, guess, color="C3", label="forecast one year ahead")
    right.set(xlabel="year", ylabel="sunspot number", title="Sunspots, trained up to 1920")
    right.set_ylim(0, 1.25 * max(actual.max(), guess.max()))
    right.legend(frameon=False, loc="upper left", ncols=2)
    fig.savefig(FIGURE, dpi=120)
    print(f"Figure written to {FIGURE}.")
