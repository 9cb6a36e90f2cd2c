"""
A loss of your own
==================

Any function of the outputs and states can be minimised, if you can say its slope: ``linearize``
runs the network forward once, and what it returns takes slopes backward, as often as you like. Here
a quantile loss, which the package does not have.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

# %%
# A series whose noise grows and shrinks with a period of its own, and three outputs that are to be
# the 10 %, 50 % and 90 % quantiles of the next value.

rng = np.random.default_rng(0)
t = np.arange(1201)
series = np.sin(0.2 * t) + (0.1 + 0.4 * np.sin(0.05 * t) ** 2) * rng.standard_normal(1201)
x, target = series[:-1].reshape(12, 100, 1), series[1:].reshape(12, 100, 1)
levels = np.array([0.1, 0.5, 0.9])


def quantile_loss(y):
    """The loss and its slope by y (B, T, 3)."""
    error = target - y
    loss = np.maximum(levels * error, (levels - 1) * error).mean()
    return loss, (np.where(error > 0, -levels, 1 - levels) / y.size).astype(y.dtype)


# %%
# A step of training: forward, the slope of the loss, backward, and Adam by hand.

net = rc.GRU(1, 8, 3, readout="all", seed=0)
mean = square = np.zeros_like(net.flat)
losses = []
for update in range(1, 601):
    out, pull = net.linearize(x)
    loss, dy = quantile_loss(out.y)
    grads, _, _ = pull(dy=dy, dx=False)
    gradient = np.concatenate([g.ravel() for g in grads.values()])
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient**2
    rate = 0.01 * np.sqrt(1 - 0.999**update) / (1 - 0.9**update)
    net.flat[:] -= rate * mean / (np.sqrt(square) + 1e-8)
    losses.append(loss)
y = net(x).y
print("share of values below each:", (target < y).mean(axis=(0, 1)).round(2))

# %%
figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
low, middle, high = y[5:9].reshape(-1, 3).T
axis.plot(target[5:9].ravel(), "k.", ms=2.5, label="next value")
axis.fill_between(np.arange(len(low)), low, high, alpha=0.3, lw=0, label="10 % to 90 %")
axis.plot(middle, color="tab:red", lw=1, label="median")
axis.set(xlabel="step")
axis.legend(frameon=False, ncols=3, fontsize=8)
plt.show()
