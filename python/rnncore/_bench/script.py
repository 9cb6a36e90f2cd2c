"""What the scripts in ``benchmarks/`` that print tables have in common: two options, one thread."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

#: For jax, which reads it when it is imported.
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def run(doc: str, quick: Callable[[], object], whole: Callable[[int], object]) -> None:
    """Print the tables: tiny rows for ``--quick``, else all with so many rounds."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7, help="timings of each contestant")
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    args = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"{ONE_THREAD} {os.environ.get('XLA_FLAGS', '')}".strip()
    if args.quick:
        quick()
    else:
        whole(args.rounds)
