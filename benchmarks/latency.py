"""Percentiles of single calls beside numba's, and calls that only rnncore has: two tables.

    python -m pip install '.[peers]'
    python benchmarks/latency.py --json latency.json

Everything it does is in ``rnncore._bench.latency`` and ``rnncore._bench.calls``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from rnncore._bench import arguments, command


def main(line: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_common(parser)
    arguments.add_json(parser)
    parser.add_argument("--quick", action="store_true", help="tiny rows: does it run?")
    args = parser.parse_args(line)
    command.single_calls(args.dtype, args.rounds, args.json, quick=args.quick)


if __name__ == "__main__":
    main()
