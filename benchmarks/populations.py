"""Many tiny networks at once, beside jax and beside one network after another, and sent to other
processes: three tables.

    python -m pip install '.[peers]'
    python benchmarks/populations.py

Everything it does is in ``populations`` and ``executors`` of ``rnncore._bench``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

# Before jax is imported: everyone has one thread.
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    + os.environ.get("XLA_FLAGS", "")
)

from rnncore._bench import executors, populations


def main(line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timings of each contestant")
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    args = parser.parse_args(line)
    if args.quick:
        populations.compare(populations.QUICK, 1, 0.001, steps=3)
        populations.whole_fits(9, 10, 8, folds=1)
        executors.overheads(9, 10, 8, rounds=1)
    else:
        populations.compare(populations.ROWS, args.rounds, 0.05)
        populations.whole_fits(165, 89, 64, folds=3)
        executors.overheads(660, 89, 64, rounds=3)


if __name__ == "__main__":
    main()
