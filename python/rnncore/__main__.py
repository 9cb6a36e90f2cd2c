"""Command line: ``python -m rnncore demo`` and ``python -m rnncore info``."""

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
    if parser.parse_args(arguments).command == "demo":
        from rnncore import _demo

        _demo.main()
    else:
        rnncore.show_config()


if __name__ == "__main__":
    main()
