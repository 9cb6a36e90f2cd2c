"""
L-BFGS instead of Adam
======================

For a few dozen parameters and all sequences at once, a quasi-Newton method needs few
evaluations of the gradient, and no learning rate. ``net.objective`` is the function that scipy's
optimisers take.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import minimize

import rnncore as rc

# %%
# The leaky sum of a random input, squashed: a system that two units can identify almost exactly.

rng = np.random.default_rng(0)
x = rng.standard_normal((40, 60, 1))
memory, y = np.zeros(40), np.empty((40, 60))
for t in range(60):
    memory = 0.8 * memory + x[:, t, 0]
    y[:, t] = np.tanh(0.5 * memory) + 0.02 * rng.standard_normal(40)


def network():
    return rc.GRU(1, 2, 1, loss="mse", readout="all", dtype="float64", seed=0)


# %%
# L-BFGS, with a record of every loss it asked for; then Adam, with as many gradients, at three
# learning rates.

losses = {}
net, asked = network(), []
objective = net.objective(x, y)


def recorded(flat):
    loss, gradient = objective(flat)
    asked.append(loss)
    return loss, gradient


result = minimize(recorded, net.flat, jac=True, method="L-BFGS-B", options={"maxfun": 200})
net.flat[:] = result.x
losses["L-BFGS"] = np.minimum.accumulate(asked)
for lr in (0.003, 0.01, 0.03):
    other = network()
    losses[f"Adam, lr={lr}"] = other.fit(x, y, epochs=len(asked), batch_size=40, lr=lr, rng=0).loss
for name, values in losses.items():
    print(f"{name:15s} {values[-1]:.5f} after {len(values)} gradients")

# %%
figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, values in losses.items():
    axis.semilogy(values, label=name, lw=2 if name == "L-BFGS" else 1)
axis.axhline(0.02**2, color="0.7", lw=0.8)
axis.text(0, 0.02**2, " the noise", va="bottom", color="0.5", fontsize=8)
axis.set(xlabel="gradients", ylabel="loss")
axis.legend(frameon=False, fontsize=8)
plt.show()
