"""A fit's state in a file, so that it can go on where it was."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._storage import files
from rnncore._types import Array

#: Of checkpoint files.
FORMAT = 1


def fingerprint(*arrays: Array | None) -> str:
    """Of the data a fit works on: other numbers, another fingerprint."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(b";")
    return digest.hexdigest()


def write(path: str, fit: dict[str, Any], seed: int, records: Array, state: dict[str, Any]) -> None:
    """`fit` says what the checkpoint is of; nothing else may go on from it."""
    header = {"checkpoint": FORMAT, "fit": fit, "seed": seed}
    files.write(path, header, {"records": records, **state})


def read(path: str, fit: dict[str, Any]) -> tuple[int, Array, dict[str, Any]] | None:
    """(seed, records, state) of the fit, or None where there is no such file yet."""
    if not os.path.exists(path):
        return None
    try:
        header, arrays = files.read(path)
        if header["checkpoint"] != FORMAT:
            raise ValueError(f"its format is {header['checkpoint']}, this version's {FORMAT}")
        theirs, seed, records = header["fit"], header["seed"], arrays.pop("records")
        check_contents(theirs, seed, records, arrays)
    except (KeyError, TypeError, ValueError) as error:
        why = f"no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"checkpoint: expected a file written by fit, got {path!r}: {why}"
        ) from None
    other = [name for name in fit if theirs.get(name) != fit[name]]
    if other:
        parts = [
            "other data" if name == "data" else f"{name}={check.shown(theirs.get(name))}"
            for name in other
        ]
        raise ValueError(
            f"checkpoint: expected one of this fit, got {path!r} of one with {', '.join(parts)}; "
            "give another path, or delete the file to begin anew"
        )
    return seed, records, arrays


def check_contents(fit: Any, seed: Any, records: Array, state: dict[str, Array]) -> None:
    """An error for what no fit has written: the file may be damaged, or somebody else's."""
    if not isinstance(fit, dict) or type(seed) is not int or not 0 <= seed < 2**63:
        raise ValueError("its header is not one")
    if records.dtype != np.float64 or records.ndim != 2 or not len(records):
        raise ValueError(f"its records are {records.shape} of {records.dtype}")
    for name in ("parameters", "best"):
        check.all_finite(f"its {name}", check.array(f"its {name}", state[name]))
