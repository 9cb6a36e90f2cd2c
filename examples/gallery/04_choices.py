"""
How a subject chooses: two units, looked at from above
======================================================

A GRU of two units learns the choices of a simulated subject in a two-armed bandit. Its state is a
point in the plane, so all that it does can be drawn: where each outcome of a trial moves that
point.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc
from rnncore import dynamics

# %%
# The subject learns the value of each arm by a delta rule, and chooses by a softmax. What a network
# sees is the choice and the reward of a trial; what it predicts is the next choice.


def subject(sessions, trials, rng, rate=0.4, temperature=0.3):
    choices, rewards = np.zeros((2, sessions, trials + 1))
    values, good = np.full((sessions, 2), 0.5), np.zeros(sessions)
    each = np.arange(sessions)
    for t in range(trials + 1):
        good = np.where(rng.random(sessions) < 0.05, 1 - good, good)  # it reverses unannounced
        p = 1 / (1 + np.exp((values[:, 0] - values[:, 1]) / temperature))
        choice = (rng.random(sessions) < p).astype(int)
        reward = rng.random(sessions) < np.where(choice == good, 0.8, 0.2)
        values[each, choice] += rate * (reward - values[each, choice])
        choices[:, t], rewards[:, t] = choice, reward
    return np.stack([choices[:, :-1], rewards[:, :-1]], axis=2), choices[:, 1:]


x, y = subject(60, 150, np.random.default_rng(0))
net = rc.GRU(2, 2, 1, loss="bce", readout="all", seed=0)
net.fit(x[:40], y[:40], epochs=150, batch_size=8, lr=0.02, validation=(x[40:], y[40:]), patience=30)
print(f"loss per choice {net.loss(x[40:], y[40:]):.3f}, of a coin {np.log(2):.3f}")

# %%
# Shades are the logit of choosing the second arm; arrows, where the state goes after each outcome.

outcomes = [[0, 0], [0, 1], [1, 0], [1, 1]]
names = ["first arm, lost", "first arm, won", "second arm, lost", "second arm, won"]
field = dynamics.vector_field(net, outcomes)
figure = field.plot(names)
plt.show()
