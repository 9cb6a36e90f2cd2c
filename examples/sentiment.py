"""Is a movie review good or bad? A small recurrent network on 10 604 review snippets.

    python examples/sentiment.py                      # three seeds
    python examples/sentiment.py --compare torch      # the same against PyTorch, timed

The snippets (Hutto and Gilbert, ICWSM 2014; MIT licence) come with the source distribution of
vaderSentiment 3.3.2, which is fetched from the package index on the first run and kept in
examples/data. A snippet's label is the sign of its mean rating; words are those that occur at
least twice in the training part. The network reads one word per step (an integer token: the
one-hot row it stands for is never formed) and answers after the last one.
"""

from __future__ import annotations

import argparse
import io
import re
import tarfile
import time
from collections import Counter

import numpy as np
from _data import fetch

import rnncore as rc

SOURCE = "vaderSentiment==3.3.2"
INNER = "hutto_ICWSM_2014.tar.gz"
SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def snippets() -> list[tuple[float, str]]:
    """(mean rating, text) of every snippet."""
    with tarfile.open(fetch(SOURCE, ".tar.gz")) as outer:
        name = next(n for n in outer.getnames() if n.endswith(INNER))
        inner = io.BytesIO(outer.extractfile(name).read())
    with tarfile.open(fileobj=inner) as archive:
        lines = archive.extractfile(SNIPPETS).read().decode("utf-8", "replace").splitlines()
    rows = [line.split("\t") for line in lines if line.count("\t") == 2]
    return [(float(rating), text) for _, rating, text in rows]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+|[!?]", text.lower())


def split(seed: int = 0):
    """Sequences of tokens and labels, 80 % to train and 20 % to test, and the vocabulary's size.
    Token 0 stands for every word that is not in the vocabulary."""
    rows = snippets()
    order = np.random.default_rng(seed).permutation(len(rows))
    texts = [words(rows[i][1]) for i in order]
    labels = np.array([rows[i][0] > 0 for i in order], int)
    cut = int(0.8 * len(rows))
    counts = Counter(word for text in texts[:cut] for word in text)
    known = {word: n for n, word in enumerate((w for w, c in counts.items() if c >= 2), start=1)}
    x = [np.array([known.get(word, 0) for word in text] or [0]) for text in texts]
    return (x[:cut], labels[:cut]), (x[cut:], labels[cut:]), len(known) + 1


def run_rnncore(train, test, vocabulary: int, args, seed: int) -> tuple[float, float]:
    """(test accuracy, seconds per epoch)"""
    cell = getattr(rc, args.cell.upper())
    net = cell(vocabulary, args.hidden, 1, loss="bce", seed=seed)
    history = net.fit(
        *train, epochs=args.epochs, batch_size=args.batch_size, lr=args.lr, clip_norm=1.0,
        rng=seed, progress=args.progress,
    )  # fmt: skip
    x, y = test
    return float((net.predict(x) == y).mean()), history.seconds.sum() / args.epochs


def run_torch(train, test, vocabulary: int, args, seed: int) -> tuple[float, float]:
    """The same with nn.Embedding and nn.RNN, batches padded on the left, one thread."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(vocabulary + 1, args.hidden, padding_idx=vocabulary)
            cell = getattr(nn, args.cell.upper())
            self.rnn = cell(args.hidden, args.hidden, batch_first=True)
            self.head = nn.Linear(args.hidden, 1)

        def forward(self, x):
            return self.head(self.rnn(self.embedding(x))[0][:, -1])[:, 0]

    def padded(sequences):
        longest = max(map(len, sequences))
        rows = np.full((len(sequences), longest), vocabulary)
        for row, sequence in zip(rows, sequences, strict=True):
            row[longest - len(sequence) :] = sequence
        return torch.from_numpy(rows)

    net, loss_of = Net(), nn.BCEWithLogitsLoss()
    optimiser = torch.optim.Adam(net.parameters(), lr=args.lr)
    (x, y), rng, seconds = train, np.random.default_rng(seed), 0.0
    for _ in range(args.epochs):
        begun = time.perf_counter()
        order = rng.permutation(len(x))
        for first in range(0, len(x), args.batch_size):
            part = order[first : first + args.batch_size]
            optimiser.zero_grad()
            target = torch.from_numpy(y[part].astype(np.float32))
            loss_of(net(padded([x[i] for i in part])), target).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()
        seconds += time.perf_counter() - begun
    x, y = test
    with torch.no_grad():
        answers = np.concatenate([(net(padded([s])) > 0).numpy() for s in x])
    return float((answers == y).mean()), seconds / args.epochs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", choices=["rnn", "lstm", "gru"], default="rnn")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--compare", choices=["torch"])
    parser.add_argument("--quiet", dest="progress", action="store_false")
    args = parser.parse_args()

    train, test, vocabulary = split()
    steps = sum(map(len, train[0]))
    commoner = max(test[1].mean(), 1 - test[1].mean())
    print(
        f"{len(train[0])} snippets to train, {len(test[0])} to test, {steps} words, "
        f"vocabulary {vocabulary}; always the commoner label: {commoner:.3f}"
    )
    runs = {"rnncore": run_rnncore} | ({"torch": run_torch} if args.compare else {})
    each = {}
    for name, run in runs.items():
        results = [run(train, test, vocabulary, args, seed) for seed in range(args.seeds)]
        accuracies, seconds = zip(*results, strict=True)
        each[name] = float(np.median(seconds))
        print(
            f"{name:8s} test accuracy {np.mean(accuracies):.3f} "
            f"({', '.join(f'{a:.3f}' for a in accuracies)}), {each[name]:.3f} s per epoch"
        )
    if args.compare:
        print(f"rnncore is {each['torch'] / each['rnncore']:.1f} times faster per epoch")


if __name__ == "__main__":
    main()
