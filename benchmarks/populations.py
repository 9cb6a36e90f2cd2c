"""Many tiny networks at once, beside jax and beside one network after another, and sent to other
processes: three tables.

    python -m pip install '.[peers,cluster]'
    python benchmarks/populations.py

Everything it does is in ``populations`` and ``executors`` of ``rnncore._bench``.
"""

from rnncore._bench import executors, populations
from rnncore._bench.script import run


def quick() -> None:
    populations.compare(populations.QUICK, 1, 0.001, steps=3)
    populations.whole_fits(9, 10, 8, folds=1)
    executors.overheads(9, 10, 8, rounds=1)


def whole(rounds: int) -> None:
    populations.compare(populations.ROWS, rounds, 0.05)
    populations.whole_fits(165, 89, 64, folds=3)
    executors.overheads(660, 89, 64, rounds=5)


if __name__ == "__main__":
    run(__doc__, quick, whole)
