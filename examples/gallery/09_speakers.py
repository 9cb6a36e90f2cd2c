"""
Sequences of different lengths: who is speaking?
================================================

Each "utterance" is some 7 to 29 steps of twelve numbers, and belongs to one of nine speakers. A
list of arrays goes in as it is: no padding, and no time spent on any. The data are simulated, in
the form of the Japanese vowels that ``examples/japanese_vowels.py`` works with.
"""

import matplotlib.pyplot as plt
import numpy as np

import rnncore as rc

# %%
# A speaker is a path between two vowels in a space of twelve coefficients, at a pace that varies.

rng = np.random.default_rng(0)
begin, end = rng.standard_normal((2, 9, 12))


def utterances(count):
    who = rng.integers(0, 9, count)
    spoken = []
    for speaker in who:
        T = rng.integers(7, 30)
        at = np.linspace(0, 1, T)[:, None] ** rng.uniform(0.7, 1.4)
        path = (1 - at) * begin[speaker] + at * end[speaker]
        spoken.append(0.5 * path + 0.6 * rng.standard_normal((T, 12)))
    return spoken, who


x, y = utterances(270)
x_test, y_test = utterances(370)
print("lengths of the first five:", [len(one) for one in x[:5]])

# %%
# Both directions, the state of each after its own last step.

net = rc.GRU(12, 16, 9, bidirectional=True, loss="cross_entropy", seed=0)
history = net.fit(x, y, epochs=40, batch_size=16, lr=0.01, rng=0, validation=(x_test, y_test))
found = net.predict(x_test)
print(f"right: {(found == y_test).mean():.3f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(history.loss, label="training")
left.plot(history.validation, label="test")
left.set(xlabel="epoch", ylabel="loss", yscale="log")
left.legend(frameon=False)
confused = np.zeros((9, 9), int)
np.add.at(confused, (y_test, found), 1)
shown = right.imshow(confused, cmap="Blues")
right.set(xlabel="speaker found", ylabel="speaker", xticks=range(9), yticks=range(9))
figure.colorbar(shown)
plt.show()
