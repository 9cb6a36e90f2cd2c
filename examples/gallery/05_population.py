"""
One hundred networks at once
============================

A population trains many small networks side by side, each with its own learning rate, its own first
parameters and its own end of training.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

# %%
# Is there an even number of ones among the last three bits? Two units can do it, if training finds
# the way: here with five learning rates and twenty seeds.

rng = np.random.default_rng(0)
bits = rng.integers(0, 2, (160, 20))
x = bits[:, :, None].astype(float)
y = np.cumsum(bits, axis=1)
y = (y - np.pad(y, ((0, 0), (3, 0)))[:, :-3]) % 2

rates = np.geomspace(0.003, 0.1, 5)
pop = rc.Population(rc.GRU, members=100, input_size=1, hidden_size=4, output_size=1, loss="bce",
                    readout="all", seed=0)  # fmt: skip
history = pop.fit(x, y, train=np.arange(120), validation=np.arange(120, 160), epochs=100,
                  batch_size=20, patience=25, lr=np.repeat(rates, 20), rng=0)  # fmt: skip
print(f"{len(pop)} networks in {history.seconds:.1f} s; the best has a validation loss of "
      f"{history.best.min():.3f}")  # fmt: skip

# %%
# All learning curves, and what became of each learning rate.

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
colours = plt.cm.viridis(np.linspace(0, 0.9, 5))
for k in range(5):
    members = slice(20 * k, 20 * k + 20)
    left.plot(history.validation[:, members], color=colours[k], lw=0.5, alpha=0.6)
    left.plot([], color=colours[k], label=f"lr {rates[k]:.3f}")
left.set(xlabel="epoch", ylabel="validation loss", ylim=(0, 0.9))
left.legend(frameon=False, fontsize=8)
losses = history.best.reshape(5, 20)
right.semilogx(rates, losses, ".", color="0.6")
right.semilogx(rates, np.median(losses, axis=1), color="tab:red", label="median of 20 seeds")
right.set(xlabel="learning rate", ylabel="best validation loss")
right.legend(frameon=False)
plt.show()
