"""Command-line arguments of the benchmarks. An error in one of them ends the program with a message
of argparse, before anything is measured."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rnncore._bench import grid
from rnncore._checks import arguments as check

T = TypeVar("T")


def add(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the commands that measure rows of the grid."""
    add_common(parser)
    parser.add_argument(
        "--rows", nargs="+", default=[], type=checked(grid.parse), metavar="H,D,B,T",
        help="only these: hidden units, inputs, sequences, steps; before them 'ragged,', "
        "'forward,', 'step,'; 'lstm,' or 'gru,'; 'x2,' for two layers; 'bi,' for both directions",
    )  # fmt: skip


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that all commands have."""
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument(
        "--rounds", type=checked(rounds), default=7, help="timings of each contestant"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add the argument for a file of results."""
    parser.add_argument(
        "--json", type=checked(file), metavar="FILE", help="also write the results to this file"
    )


def checked(read: Callable[[str], T]) -> Callable[[str], T]:
    """`read` as argparse wants it: an error without the argument's name, which argparse adds."""

    def parse(text: str) -> T:
        try:
            return read(text)
        except OSError as error:
            raise argparse.ArgumentTypeError(f"{error.strerror}: {text!r}") from None
        except (TypeError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error).split(": ", 1)[-1]) from None

    return parse


def rounds(text: str) -> int:
    return check.whole("rounds", as_number(int, text), 1)


def seconds(text: str) -> float:
    return check.number("seconds", as_number(float, text), 0, above=True)


def as_number(kind: type, text: str) -> Any:
    """The number; or the text itself if it is none, which the check then refuses."""
    try:
        return kind(text)
    except ValueError:
        return text


def some_of(known: Sequence[str]) -> Callable[[str], Sequence[str]]:
    """Reads names with commas between, or "all"."""

    def names(text: str) -> Sequence[str]:
        given = known if text == "all" else text.split(",")
        return [check.choice("peers", name, known) for name in given]

    return names


def file(text: str) -> Path:
    """A file that can be written. It is not created yet."""
    path = Path(text)
    new = not path.exists()
    path.open("a").close()
    if new:
        path.unlink()
    return path


def folder(text: str) -> Path:
    """A folder that files can be written to. It is created if necessary."""
    path = Path(text)
    path.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=path).close()
    return path
