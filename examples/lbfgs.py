"""A tiny network trained by L-BFGS: all sequences at once, with curvature.

    python examples/lbfgs.py

For a few dozen parameters and a full batch, a quasi-Newton method from scipy needs hundreds of
evaluations where Adam needs thousands of updates, and no learning rate. Here a GRU of two units
learns a choice task: two options pay off with probabilities that reverse without notice, an agent
learns by a delta rule and chooses by a softmax, and the network sees what it chose and what it got
and predicts its next choice (after Ji-An, Benna and Mattar, Nature 2025, who fit such networks to
animals by the thousand).

Needs scipy. Some seconds.
"""

import argparse
import time

import numpy as np

import rnncore as rc


def sessions(count, trials, rng, rate=0.4, temperature=0.3):
    """(x, y): x[s, t] = [choice, reward] of trial t, y[s, t] the choice of the next trial."""
    choices, rewards = np.zeros((2, count, trials + 1))
    for s in range(count):
        values, good = np.full(2, 0.5), 0
        for t in range(trials + 1):
            if rng.random() < 0.05:
                good = 1 - good
            p = 1 / (1 + np.exp((values[0] - values[1]) / temperature))
            choice = int(rng.random() < p)
            reward = float(rng.random() < (0.8 if choice == good else 0.2))
            values[choice] += rate * (reward - values[choice])
            choices[s, t], rewards[s, t] = choice, reward
    x = np.stack([choices[:, :-1], rewards[:, :-1]], axis=2)
    return x, choices[:, 1:]


def network(seed):
    return rc.GRU(2, 2, 1, readout="all", loss="bce", dtype="float64", seed=seed)


def by_lbfgs(x, y, seed, evaluations=300):
    """(network, evaluations of loss and gradient)"""
    from scipy.optimize import minimize

    net = network(seed)
    result = minimize(
        net.objective(x, y), net.flat, jac=True, method="L-BFGS-B",
        options={"maxfun": evaluations, "maxiter": evaluations},
    )  # fmt: skip
    net.flat[:] = result.x
    return net, result.nfev


def by_adam(x, y, seed, epochs):
    net = network(seed)
    net.fit(x, y, epochs=epochs, batch_size=len(x), lr=0.01, rng=seed)
    return net


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--evaluations", type=int, default=300)
    args = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    train, test = sessions(args.sessions, 200, rng), sessions(args.sessions, 200, rng)
    print("loss per choice on new sessions (a coin: 0.693)\n")
    print("seed  L-BFGS         Adam, as often   Adam, 10 times as often")
    for seed in range(args.seeds):
        cells = []
        begun = time.perf_counter()
        net, count = by_lbfgs(*train, seed, args.evaluations)
        cells.append(f"{net.loss(*test):.4f} {time.perf_counter() - begun:4.2f} s")
        for epochs in (count, 10 * count):
            begun = time.perf_counter()
            net = by_adam(*train, seed, epochs)
            cells.append(f"{net.loss(*test):.4f} {time.perf_counter() - begun:4.2f} s")
        print(f"{seed:<4}  {cells[0]}  {cells[1]}    {cells[2]}")


if __name__ == "__main__":
    main()
