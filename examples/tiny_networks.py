"""Many tiny networks: which of many subjects learns by a delta rule, and which repeats what won?

    python examples/tiny_networks.py [--figures FOLDER]

Subjects play a two-armed bandit whose better arm changes without notice. Half of them learn the
value of each arm by a delta rule and choose by a softmax (Q-learning); the other half stay where
they won and leave where they lost, with lapses. Nobody tells the networks. For every subject, GRUs
of one and two units are fitted to predict the next choice from the last choice and its outcome,
with nested cross-validation, several seeds and penalties: some thousand fits. What tells the two
kinds of subject apart is how much of the logit is left after one more trial (after Ji-An, Benna and
Mattar, "Discovering cognitive strategies with tiny recurrent neural networks", Nature 2025).

Some ten seconds. Figures need matplotlib.
"""

import argparse
import time
from pathlib import Path

import numpy as np

import rnncore as rc
from rnncore import dynamics

# What a network sees of a trial is one of four tokens: 2 * choice + won.
LABELS = ["left, lost", "left, won", "right, lost", "right, won"]
NETWORK = {"input_size": 4, "output_size": 1, "loss": "bce", "readout": "all"}
FIT = {"epochs": 300, "patience": 15, "batch_size": None, "optimizer": "adamw", "lr": 0.05}


class Bandit:
    """Two arms for many sessions: the better one pays with probability 0.8, the other with 0.2."""

    def __init__(self, sessions, rng):
        self.better = rng.integers(0, 2, sessions)

    def __call__(self, choices, trial, rng):
        self.better ^= rng.random(len(choices)) < 0.05
        won = rng.random(len(choices)) < np.where(choices == self.better, 0.8, 0.2)
        return np.eye(4)[2 * choices + won]


def play(kind, blocks, trials, rng):
    """What one subject did and got, as tokens (blocks, trials)."""
    rate, sharpness, lapse = rng.uniform(0.2, 0.4), rng.uniform(4, 6), rng.uniform(0.05, 0.15)
    bandit, values = Bandit(blocks, rng), np.full((blocks, 2), 0.5)
    choices, played = rng.integers(0, 2, blocks), []
    for trial in range(trials):
        tokens, each = bandit(choices, trial, rng).argmax(axis=1), np.arange(blocks)
        played.append(tokens)
        won = tokens % 2
        values[each, choices] += rate * (won - values[each, choices])
        if kind == "Q-learning":
            p = 1 / (1 + np.exp(-sharpness * (values[:, 1] - values[:, 0])))
            choices = (rng.random(blocks) < p).astype(int)
        else:
            stays = (won == 1) ^ (rng.random(blocks) < lapse)
            choices = np.where(stays, choices, 1 - choices)
    return np.stack(played, axis=1)


def simulated(subjects, blocks, trials, rng):
    """(x, y, whose): inputs, next choices and the subject of each block; and each one's kind."""
    kinds = np.array(["Q-learning", "win-stay"])[np.arange(subjects) % 2]
    played = np.concatenate([play(kind, blocks, trials + 1, rng) for kind in kinds])
    return played[:, :-1], played[:, 1:] // 2, np.repeat(range(subjects), blocks), kinds


def memory(net, x):
    """How much of a difference between two logits is left after one more trial, on average over the
    states that the network was in and what it then saw."""
    portrait, hidden = dynamics.phase_portrait(net, np.eye(4)), net(x).hidden[:, :-1, 0]
    kept, seen = 1 - portrait.learning_rate, x[:, 1:]
    parts = [np.interp(hidden[seen == i], portrait.state, kept[i]) for i in range(4)]
    return float(np.concatenate(parts).mean())


def figures(folder, found, kinds, memories, nets):
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    for kind in ("Q-learning", "win-stay"):
        m = int(np.flatnonzero(kinds == kind)[0])
        figure = dynamics.phase_portrait(nets[m], np.eye(4)).plot(LABELS)
        figure.axes[0].set_title(f"a subject of the kind {kind}", fontsize="small")
        figure.savefig(folder / f"portrait_{kind}.png", dpi=150)
    means = found.compare("hidden_size")
    figure, axes = pyplot.subplots(1, 2, figsize=(6.8, 2.6), layout="constrained")
    axes[0].errorbar(means["value"], means["mean"], means["sem"], fmt="o", capsize=3)
    axes[0].set(xlabel="units", ylabel="loss per held-out choice", xticks=means["value"])
    for kind in ("Q-learning", "win-stay"):
        axes[1].hist(memories[kinds == kind], np.linspace(-0.2, 1.1, 27), alpha=0.7, label=kind)
    axes[1].set(xlabel="part of the logit left after a trial", ylabel="subjects")
    axes[1].legend(frameon=False, fontsize="small")
    figure.savefig(folder / "recovered.png", dpi=150)
    pyplot.close("all")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=40)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--figures", type=Path)
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    x, y, whose, kinds = simulated(args.subjects, args.blocks, args.trials, rng)
    begun = time.perf_counter()
    found = rc.sweep(
        rc.GRU, x, y, subjects=whose, folds=3, inner=3, seeds=args.seeds,
        grid={"hidden_size": [1, 2], "l1": [1e-5, 1e-3]}, **NETWORK, **FIT,
    )  # fmt: skip
    seconds = time.perf_counter() - begun
    print(f"{len(found)} fits in {seconds:.1f} s: {1e3 * seconds / len(found):.2f} ms each\n")
    means = found.compare("hidden_size")
    for units, mean, sem in zip(means["value"], means["mean"], means["sem"], strict=True):
        print(
            f"{units} unit{'s' if units > 1 else ''}: {mean:.4f} +- {sem:.4f} per held-out choice"
        )
    of_one = np.where(found["hidden_size"] == 1, found["validation_loss"], np.nan)
    found.table["of_one"] = of_one
    nets = [found.network(row) for row in found.best("of_one", per="subject")]
    memories = np.array([memory(net, x[whose == m]) for m, net in enumerate(nets)])
    guess = np.where(memories > 0.35, "Q-learning", "win-stay")
    print(f"\nkind of subject recovered for {np.sum(guess == kinds)} of {len(kinds)}")
    for kind in ("Q-learning", "win-stay"):
        left = memories[kinds == kind]
        print(f"{kind:11} {left.mean():5.2f} +- {left.std():.2f} of the logit left after a trial")
    print("\nhow often a choice is repeated after a win, after a loss")
    for kind in ("Q-learning", "win-stay"):
        m = int(np.flatnonzero(kinds == kind)[0])
        mine = x[whose == m]
        own = dynamics.simulate(nets[m], Bandit(200, rng), 60, sessions=200, rng=rng).x[:, 1:]
        own = own.argmax(axis=2)
        print(f"{kind:11} subject {repeats(mine)}, its network on its own {repeats(own)}")
    if args.figures:
        figures(args.figures, found, kinds, memories, nets)
    return found, kinds, guess


def repeats(x):
    """How often the next choice is the last one, after a win and after a loss."""
    same, won = x[:, 1:] // 2 == x[:, :-1] // 2, x[:, :-1] % 2 == 1
    return f"{same[won].mean():.2f} {same[~won].mean():.2f}"


if __name__ == "__main__":
    main()
