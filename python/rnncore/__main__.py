"""Command line: ``python -m rnncore`` with ``demo``, ``info`` or ``bench``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import rnncore


def main(line: Sequence[str] | None = None) -> None:
    from rnncore._bench import arguments

    parser = argparse.ArgumentParser(
        prog="python -m rnncore", description="Small recurrent networks on the CPU."
    )
    parser.add_argument("--version", action="version", version=rnncore.__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="an example, a forecast and a comparison, in a few seconds")
    commands.add_parser("info", help="version and instruction set in use")
    bench = commands.add_parser(
        "bench", help="compare with other libraries that are installed, in a minute"
    )
    arguments.add(bench)
    arguments.add_json(bench)
    bench.add_argument(
        "--latency", action="store_true",
        help="instead, percentiles of single calls, and calls that no other library has",
    )  # fmt: skip
    options = parser.parse_args(line)
    if options.command == "demo":
        from rnncore._demo import demo

        demo.main()
    elif options.command == "bench":
        from rnncore._bench import command

        if options.latency:
            command.single_calls(options.dtype, options.rounds, options.json)
        else:
            command.light(options.rows, options.dtype, options.rounds, options.json)
    else:
        rnncore.show_config()


if __name__ == "__main__":
    main()
