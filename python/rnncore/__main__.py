"""Command line: ``python -m rnncore`` with ``demo``, ``info`` or ``bench``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import rnncore


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m rnncore", description="Small recurrent networks on the CPU."
    )
    parser.add_argument("--version", action="version", version=rnncore.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="a toy, a forecast and a race, in a few seconds")
    commands.add_parser("info", help="version and instruction set in use")
    bench = commands.add_parser("bench", help="side by side with what is installed, a minute")
    bench.add_argument(
        "--rows", nargs="+", default=[], metavar="H,D,B,T",
        help="hidden units, inputs, sequences, steps; before them 'ragged,', 'forward,', 'step,'; "
        "'lstm,' or 'gru,'; 'x2,' for two layers; 'bi,' for both directions",
    )  # fmt: skip
    bench.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    bench.add_argument("--rounds", type=int, default=7, help="timings of each contestant")
    bench.add_argument("--json", metavar="FILE", help="write the numbers there, too")
    options = parser.parse_args(arguments)
    if options.command == "demo":
        from rnncore import _demo

        _demo.main()
    elif options.command == "bench":
        from rnncore._bench import command

        command.light(options.rows, options.dtype, options.rounds, options.json)
    else:
        rnncore.show_config()


if __name__ == "__main__":
    main()
