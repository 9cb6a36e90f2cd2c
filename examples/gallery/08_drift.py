"""
Learning online while the rule changes
======================================

A stream whose rule turns slowly and jumps half-way. A network that was fitted to its beginning goes
wrong; the same network, learning at every step by exact gradients, keeps up.
"""

import copy

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

STEPS, BEGINNING = 8000, 1000
rng = np.random.default_rng(0)
u = rng.standard_normal(STEPS + 2).astype(np.float32)
t = np.arange(STEPS)
angle = 2 * np.pi * t / 8000 + np.where(t < STEPS // 2, 0.0, 2.0)
a, b, c = np.cos(angle), np.sin(angle), np.cos(1.5 * angle + 1)
y = np.tanh(a * u[2:] + b * u[1:-1] + c * u[:-2]).astype(np.float32)[:, None]
x = u[2:, None]

# %%
# The beginning, cut into pieces, is for an ordinary fit.

start = rc.GRU(1, 8, 1, readout="all", loss="mse", seed=0)
start.fit(x[:BEGINNING].reshape(-1, 50, 1), y[:BEGINNING].reshape(-1, 50, 1), epochs=200,
          batch_size=10, lr=0.01, rng=0)  # fmt: skip

# %%
# Then one copy is left as it is, and two learn on: each step predicts, is told, and changes the
# parameters at once. Nothing of the past is stored.

rest = slice(BEGINNING, None)
errors = {"left as it is": (start.run_stream(x[rest])[0] - y[rest])[:, 0] ** 2}
for method in ("snap1", "rtrl"):
    learner = copy.deepcopy(start).online(lr=0.05, method=method, clip_norm=1.0)
    losses = [learner.step(x_t, y_t) for x_t, y_t in zip(x[rest], y[rest], strict=True)]
    errors[f'online, method="{method}"'] = np.array(losses)
for name, values in errors.items():
    print(f"{name:26s} mean squared error {values.mean():.4f}")

# %%
figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
for name, values in errors.items():
    smooth = values.reshape(-1, 100).mean(axis=1)
    axis.semilogy(BEGINNING + 100 * np.arange(len(smooth)), smooth, label=name)
axis.axvline(STEPS // 2, color="0.7", lw=0.8)
axis.set(xlabel="step", ylabel="squared error, mean of 100 steps")
axis.legend(frameon=False, fontsize=8)
plt.show()
