"""
Vanishing, exploding, and what helps
====================================

How much of the slope at the last step arrives at each step before it: networks as they are first
drawn, over 100 steps.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

rng = np.random.default_rng(0)
T = 100
x, y = 0.3 * rng.standard_normal((64, T, 3)), rng.integers(0, 8, 64)
x[:, 0] = rng.choice([-1.0, 1.0], (64, 3))  # what the answer depends on comes first

# %%
# The same 16 units, made in seven ways. The remedies are arguments of the constructors.

options = {"loss": "cross_entropy", "seed": 0}
networks = {
    "tanh": rc.RNN(3, 16, 8, **options),
    "sigmoid": rc.RNN(3, 16, 8, nonlinearity="sigmoid", **options),
    "relu, identity": rc.RNN(3, 16, 8, nonlinearity="relu", init="identity", **options),
    "relu, 1.1 identity": rc.RNN(
        3, 16, 8, nonlinearity="relu", init="identity", init_scale=1.1, **options
    ),
    "tanh, skip=10": rc.RNN(3, 16, 8, skip=10, **options),
    "LSTM": rc.LSTM(3, 16, 8, **options),
    "LSTM, forget_bias=4": rc.LSTM(3, 16, 8, forget_bias=4, **options),
}
flows = {name: net.gradient_flow(x, y) for name, net in networks.items()}
for name, flow in flows.items():
    print(f"{name:20s} {flow.verdict:10s} reaches back {flow.horizon:3d} steps")

# %%
# ``state_norms[t]`` is the norm of dL/dh_t. A straight line on this scale is a constant factor per
# step: downwards to the left the gradient vanishes, upwards it explodes.

figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for name, flow in flows.items():
    axis.semilogy(np.arange(T + 1), flow.state_norms / flow.state_norms[-1], label=name)
axis.axhline(0.01, color="0.7", lw=0.8, zorder=0)
axis.set(xlabel="time step t", ylabel="|dL/dh_t| / |dL/dh_T|", ylim=(1e-12, 1e6))
axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %%
# ``remedies`` says what to try for the network at hand.

for remedy in flows["tanh"].remedies:
    print("-", remedy)
