"""
The gates of an LSTM, step by step
==================================

A network of two units learns to hold a number until it is asked for it. ``trace`` shows how: the
input gate opens when a value is to be stored, and the forget gate stays open to keep it.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

# %%
# Two inputs: a stream of numbers, and a mark on the one to be held. The target at every step is the
# number that was marked last.

rng = np.random.default_rng(0)
B, T = 256, 40
number = rng.uniform(-1, 1, (B, T))
mark = rng.random((B, T)) < 0.1
mark[:, 0] = True
y = np.empty((B, T))
for t in range(T):
    y[:, t] = np.where(mark[:, t], number[:, t], y[:, t - 1])
x = np.stack([number, mark], axis=2)

net = rc.LSTM(2, 2, 1, loss="mse", readout="all", forget_bias=2, seed=1)
history = net.fit(x, y, epochs=120, lr=0.02, rng=0)
print(history)

# %%
# One sequence, and what the unit with the larger weight in the read-out does in it. Grey lines are
# the marked steps.

unit = np.abs(net.parameters()["head.weight"][0]).argmax()
layer = net.trace(x[:1])["l0"]
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, layout="constrained")
above.plot(number[0], color="0.75", marker=".", lw=0.5, label="input")
above.plot(y[0], color="black", lw=1, label="target")
above.plot(net(x[:1]).y[0, :, 0], color="tab:red", ls="--", label="output")
above.legend(frameon=False, fontsize=8, ncols=3)
names = {"i": "input gate", "f": "forget gate", "o": "output gate"}
for gate, name in names.items():
    below.plot(layer.gates[gate][0, :, unit], label=name)
below.plot(layer.cell[0, :, unit], color="black", lw=1, label="memory c")
below.set(xlabel="time step", ylim=(-0.6, 1.4))
below.legend(frameon=False, fontsize=8, ncols=4, loc="upper right")
for axis in (above, below):
    for t in mark[0].nonzero()[0]:
        axis.axvline(t, color="0.85", zorder=0)
plt.show()
