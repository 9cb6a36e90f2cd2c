"""A character model: a GRU learns the help pages of Python, and writes one of its own.

    python examples/characters.py [--hidden 64] [--epochs 6] [--temperature 0.6] [--seed 0]

The text is what ``help("for")`` and the like show, `pydoc_data.topics` of the standard library: it
is cut into sequences that are read side by side, each by truncated backpropagation through time.
Under a minute.
"""

import argparse

import numpy as np

import rnncore as rc

STEPS, WINDOW = 100, 50


def text():
    """The help pages, one after another, with rare characters left out."""
    from pydoc_data.topics import topics

    pages = "\n".join(page.replace("\r", "") for _, page in sorted(topics.items()))
    kept = {c for c in set(pages) if pages.count(c) >= 50}
    return "".join(c for c in pages if c in kept)


def encoded(pages, letters):
    """The numbers of characters, as sequences (B, STEPS + 1)."""
    numbers = np.searchsorted(letters, np.array(list(pages)))
    count = len(numbers) // (STEPS + 1)
    return numbers[: count * (STEPS + 1)].reshape(count, STEPS + 1)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--most", type=int, default=200_000, help="characters to learn from")
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--length", type=int, default=400, help="characters to write")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    pages = text()[: options.most]
    letters = np.unique(list(pages))
    sequences = encoded(pages, letters)
    x, y = sequences[:, :-1], sequences[:, 1:]
    held = np.arange(len(x)) % 10 == 9
    K = len(letters)
    print(f"{len(pages)} characters, {K} different ones, {len(x)} sequences of {STEPS}")
    net = rc.GRU(
        K, options.hidden, K, loss="cross_entropy", readout="all", init="orthogonal",
        seed=options.seed,
    )  # fmt: skip
    history = net.fit(
        x[~held], y[~held], epochs=options.epochs, batch_size=16, lr=0.01, truncate=WINDOW,
        clip_norm=1.0, validation=(x[held], y[held]), rng=options.seed,
    )  # fmt: skip
    bits = history.validation / np.log(2)
    print(f"bits a character of held-out text: {bits[0]:.2f} after one epoch, {bits[-1]:.2f} at "
          f"the end, {history.seconds.sum():.0f} s")  # fmt: skip
    start = np.searchsorted(letters, list("The "))
    made = net.generate(start, options.length, temperature=options.temperature, rng=options.seed)
    print(f"\nThe {''.join(letters[made.values])}\n")
    surprise = -made.log_probabilities.mean() / np.log(2)
    print(f"{surprise:.2f} bits a character at temperature {options.temperature}")
    return history, made


if __name__ == "__main__":
    main()
