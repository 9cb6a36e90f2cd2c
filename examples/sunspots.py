"""Sunspot numbers ten years ahead, with intervals from thirty networks.

    python examples/sunspots.py [--seeds 30] [--figure sunspots.png]

Thirty GRUs, alike but for their first parameters, learn next year's sunspot number from those until
now, all years before the forecast. Then each goes on from its own outputs: a path is what it
generates with noise of the size of its errors added to every step. The middle of the paths is the
forecast, and shares of them are the intervals. It is made for the last ten years of the series, and
compared with them, at several other ends, and with repeating the cycle 11 years before.

Some ten seconds. The figure needs matplotlib.
"""

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np

import rnncore as rc

AHEAD, SCALE = 10, 100
LEVELS = (5, 25, 50, 75, 95)


def series():
    """(years, numbers)."""
    with files("rnncore._demo").joinpath("sunspots.csv").open(encoding="ascii") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)


def ensemble(z, seeds, epochs):
    """Networks that have learnt the series z (T,)."""
    x, y = z[None, :-1, None], z[None, 1:, None]
    pop = rc.Population(
        rc.GRU, members=seeds, input_size=1, hidden_size=8, output_size=1, loss="mse",
        readout="all", seed=0,
    )  # fmt: skip
    pop.fit(x, y, epochs=epochs, batch_size=None, lr=0.01, weight_decay=0.01,
            optimizer="adamw", rng=0)  # fmt: skip
    return [pop[i] for i in range(seeds)]


def paths(net, z, count, rng):
    """(count, AHEAD) ways to go on from z, in which every step has an error like those before."""
    errors = (net(z[None, :-1, None]).y[0, :, 0] - z[1:])[20:]
    noise = rng.choice(errors, (AHEAD, count, 1))
    start = np.tile(z[:, None], (count, 1, 1))
    made = net.generate(start, AHEAD, feedback=lambda y, t: y + noise[t])
    return made.values[:, :, 0] + noise[:, :, 0].T


def forecast(numbers, seeds, epochs, count=20):
    """(levels, AHEAD) quantiles of the next numbers."""
    z = np.sqrt(np.maximum(numbers, 0) / SCALE)  # errors grow with the numbers
    rng = np.random.default_rng(0)
    made = [paths(net, z, count, rng) for net in ensemble(z, seeds, epochs)]
    return np.percentile(SCALE * np.maximum(np.concatenate(made), 0) ** 2, LEVELS, axis=0)


def draw(path, years, numbers, at):
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 3.2), layout="constrained")
    axes.plot(years[-60:], numbers[-60:], color="black", lw=1, label="observed")
    for k, (end, levels) in enumerate(at.items()):
        when = years[end - 1] + 1 + np.arange(AHEAD)
        low, lower, middle, upper, high = levels
        axes.fill_between(when, low, high, color="tab:orange", alpha=0.2, lw=0,
                          label=None if k else "90 % of the paths")  # fmt: skip
        axes.fill_between(when, lower, upper, color="tab:orange", alpha=0.4, lw=0,
                          label=None if k else "half of them")  # fmt: skip
        axes.plot(when, middle, color="tab:red", label=None if k else "forecast")
    axes.set(xlabel="year", ylabel="sunspot number")
    axes.legend(frameon=False, ncols=4, fontsize=8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument(
        "--ends", type=int, default=3, help="forecasts, from ten years earlier each"
    )
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args(argv)
    years, numbers = series()
    T, at = len(numbers), {}
    print("from    mean error   of the cycle before   within 90 %   within half")
    for k in range(options.ends, 0, -1):
        end = T - AHEAD * k
        at[end] = levels = forecast(numbers[:end], options.seeds, options.epochs)
        true, before = numbers[end : end + AHEAD], numbers[end - 11 : end - 11 + AHEAD]
        low, lower, middle, upper, high = levels
        print(f"{years[end]:.0f} {np.abs(middle - true).mean():14.1f} "
              f"{np.abs(before - true).mean():21.1f} "
              f"{((low <= true) & (true <= high)).sum():11d} / 10 "
              f"{((lower <= true) & (true <= upper)).sum():8d} / 10")  # fmt: skip
    at[T] = levels = forecast(numbers, options.seeds, options.epochs)
    print(f"\n{'year':6s}" + "".join(f"{level:7d} %" for level in LEVELS))
    for t in range(AHEAD):
        print(f"{years[-1] + 1 + t:<6.0f}" + "".join(f"{value:9.0f}" for value in levels[:, t]))
    if options.figure:
        draw(options.figure, years, numbers, at)
    return at


if __name__ == "__main__":
    main()
