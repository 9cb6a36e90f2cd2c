"""The state of a fit in a file, from which the fit can be continued."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._storage import files
from rnncore._types import Array

#: The version of checkpoint files.
FORMAT = 1


def data_fingerprint(*arrays: Array | None) -> str:
    """A hash of the data of a fit: different data have different fingerprints."""
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        if array is not None:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update(b";")
    return digest.hexdigest()


def write(path: str, fit: dict[str, Any], seed: int, records: Array, state: dict[str, Any]) -> None:
    """`fit` is the fingerprint of the fit: only one with an equal fingerprint is continued."""
    header = {"checkpoint": FORMAT, "fit": fit, "seed": seed}
    files.write(path, header, {"records": records, **state})


def read(path: str, fit: dict[str, Any]) -> tuple[int, Array, dict[str, Any]] | None:
    """(seed, records, state) of the fit, or None if there is no such file yet."""
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
    """Raise an error where the contents cannot come from a fit, as of a damaged or forged file."""
    if not isinstance(fit, dict) or type(seed) is not int or not 0 <= seed < 2**63:
        raise ValueError("its header is not one")
    if records.dtype != np.float64 or records.ndim != 2 or not len(records):
        raise ValueError(f"its records are {records.shape} of {records.dtype}")
    for name in ("parameters", "best"):
        check.all_finite(f"its {name}", check.array(f"its {name}", state[name]))
