"""The whole grid, side by side with every peer: a table as rows finish, then files.

    python -m pip install '.[peers,plot]'
    python benchmarks/run.py --out results

Everything it does is in ``rnncore._bench``; what the numbers mean is in docs/project/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from rnncore._bench import arguments, command, grid
from rnncore._bench.arguments import checked, some_of
from rnncore._bench.modes import ISAS, Mode
from rnncore._runtime import builds as _builds


def options(line: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add(parser)
    parser.add_argument(
        "--peers", type=checked(some_of(command.RIVALS)), default="all", metavar="NAMES",
        help="with commas between, of: " + ", ".join(command.RIVALS),
    )  # fmt: skip
    parser.add_argument("--threads", choices=("1", "all", "both"), default="1")
    parser.add_argument(
        "--isa", choices=[isa for isa in ISAS if isa in _builds.available()],
        help="hold everyone to an instruction set",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=checked(arguments.seconds), default=0.02, help="per timing, at least"
    )
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    parser.add_argument(
        "--out", type=checked(arguments.folder), help="folder for JSON, Markdown and pictures"
    )
    return parser.parse_args(line)


def main(line: Sequence[str] | None = None) -> None:
    args = options(line)
    every = os.cpu_count() or 1
    kinds = [
        Mode(count, args.dtype, args.isa)
        for count in {"1": [1], "all": [every], "both": [1, every]}[args.threads]
    ]
    rows, flat = grid.FULL, [row for rows in grid.FLAT.values() for row in rows]
    if args.quick or args.rows:
        rows, flat = args.rows or grid.QUICK, []
    document = command.measure(
        kinds, rows, args.peers, flat=flat, rounds=args.rounds, at_least=args.seconds
    )
    if args.out is not None:
        command.write(document, args.out)
        print(f"Written to {args.out}.")


if __name__ == "__main__":
    main()
