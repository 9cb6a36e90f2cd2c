"""
Fixed points of a flip-flop
===========================

A network that remembers the sign of the last pulse has two states in which it rests, and between
them a point that parts the ways to the one and to the other.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

rng = np.random.default_rng(0)
pulse = rng.choice([-1.0, 0.0, 1.0], size=(300, 40), p=[0.1, 0.8, 0.1])
pulse[:, 0] = rng.choice([-1.0, 1.0], 300)
x, y = pulse[:, :, None], np.empty((300, 40))
for t in range(40):
    y[:, t] = np.where(pulse[:, t] != 0, pulse[:, t] > 0, y[:, t - 1])

net = rc.GRU(1, 2, 1, loss="bce", readout="all", seed=4)
net.fit(x, y, epochs=150, lr=0.02, rng=0)
print("right:", (net.predict(x) == y).mean())

# %%
# Fixed points while there is no pulse, with the eigenvalues of the Jacobian that say how they are.

found = net.fixed_points([0.0])
print(found)

# %%
# With the states of some sequences, which live around the two stable points and cross from one to
# the other at a pulse.

figure, axis = plt.subplots(figsize=(5.5, 4.6), layout="constrained")
states = net(x[:40]).hidden
for path, answers in zip(states, y, strict=False):
    axis.plot(*path.T, color="0.85", lw=0.5, zorder=0)
    axis.scatter(*path.T, c=answers, cmap="coolwarm", s=6)
for kind, marker, colour in (("stable", "o", "black"), ("saddle", "X", "tab:green")):
    points = found.points[found.stability == kind]
    axis.plot(*points.T, marker, color=colour, ms=9, mec="white", label=kind)
axis.legend(frameon=False)
axis.set(xlabel="h_1", ylabel="h_2")
plt.show()
