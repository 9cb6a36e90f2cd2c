"""The whole grid, side by side with every peer: a table as rows finish, then files.

    python -m pip install '.[peers,plot]'
    python benchmarks/run.py --out results

Everything it does is in ``rnncore._bench``; what the numbers mean is in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rnncore._bench import command, grid
from rnncore._bench.modes import ISAS, Mode


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--peers", default="all", help="names with commas between: " + ", ".join(command.RIVALS)
    )
    parser.add_argument("--rows", nargs="+", default=[], metavar="H,D,B,T", help="only these")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--threads", choices=("1", "all", "both"), default="1")
    parser.add_argument("--isa", choices=tuple(ISAS), help="hold everyone to an instruction set")
    parser.add_argument("--rounds", type=int, default=7, help="timings of each contestant")
    parser.add_argument("--seconds", type=float, default=0.02, help="per timing, at least")
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    parser.add_argument("--out", type=Path, help="folder for JSON, Markdown and pictures")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    peers = command.RIVALS if args.peers == "all" else args.peers.split(",")
    every = os.cpu_count() or 1
    kinds = [
        Mode(count, args.dtype, args.isa)
        for count in {"1": [1], "all": [every], "both": [1, every]}[args.threads]
    ]
    rows, flat = grid.FULL, [row for rows in grid.FLAT.values() for row in rows]
    if args.quick or args.rows:
        rows, flat = [grid.parse(text) for text in args.rows] or grid.QUICK, []
    document = command.measure(
        kinds, rows, peers, flat=flat, rounds=args.rounds, at_least=args.seconds
    )
    if args.out is not None:
        command.write(document, args.out)
        print(f"Written to {args.out}.")


if __name__ == "__main__":
    main()
