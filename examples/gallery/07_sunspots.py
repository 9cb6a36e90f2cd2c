"""
Sunspots ten years ahead, with intervals
========================================

Twenty small networks learn next year's number from those until now; each then goes on from its own
outputs, with errors like its own added at every step. The middle of all these paths is the
forecast, and their spread is the interval.
"""

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

with files("rnncore._demo").joinpath("sunspots.csv").open(encoding="ascii") as file:
    years, numbers = np.loadtxt(file, delimiter=",", skiprows=1, unpack=True)
AHEAD = 10
known = len(numbers) - AHEAD
z = np.sqrt(numbers / 100)  # errors grow with the numbers, less so with their roots

# %%
# Networks alike but for their seeds, trained together on all years but the last ten.

pop = rc.Population(rc.GRU, members=20, input_size=1, hidden_size=8, output_size=1, loss="mse",
                    readout="all", seed=0)  # fmt: skip
x, y = z[None, : known - 1, None], z[None, 1:known, None]
pop.fit(x, y, epochs=400, lr=0.01, weight_decay=0.01, optimizer="adamw", rng=0)

# %%
# ``generate`` feeds back what comes out, through a function that adds the noise.

rng = np.random.default_rng(0)
paths = []
for net in pop:
    errors = (net(x).y - y)[0, 20:]
    noise = rng.choice(errors, (AHEAD, 20))
    start = np.tile(z[None, :known, None], (20, 1, 1))
    made = net.generate(start, AHEAD, feedback=lambda out, t, noise=noise: out + noise[t])
    paths.append(made.values[:, :, 0] + noise[:, :, 0].T)
paths = 100 * np.maximum(np.concatenate(paths), 0) ** 2
low, lower, middle, upper, high = np.percentile(paths, [5, 25, 50, 75, 95], axis=0)
true = numbers[known:]
print(
    f"mean error {np.abs(middle - true).mean():.1f}, "
    f"of the numbers 11 years before {np.abs(numbers[known - 11 : -11] - true).mean():.1f}"
)

# %%
# No year on the right of the line was seen in training.

figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
axis.plot(years[-60:], numbers[-60:], color="black", lw=1, label="observed")
axis.fill_between(years[known:], low, high, color="tab:orange", alpha=0.2, lw=0, label="90 %")
axis.fill_between(years[known:], lower, upper, color="tab:orange", alpha=0.4, lw=0, label="half")
axis.plot(years[known:], middle, color="tab:red", label="forecast")
axis.axvline(years[known] - 0.5, color="0.7", lw=0.8)
axis.set(xlabel="year", ylabel="sunspot number", ylim=(0, 230))
axis.legend(frameon=False, ncols=4, fontsize=8, loc="upper right")
plt.show()
