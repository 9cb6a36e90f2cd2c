"""Headers and arrays in files: an .npz archive in which nothing is executed."""

from __future__ import annotations

import os
import stat
from typing import Any

import numpy as np

from rnncore import _checks as check
from rnncore._checks import Array

HEADER = "rnncore"  # the archive's entry that says what it is


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file whole or not at all: beside the target first, then moved over it."""
    import json
    import tempfile

    path = os.path.realpath(check.path(path))
    mode = os.stat(path).st_mode if os.path.exists(path) else 0o666 & ~umask()
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".rnncore-")
    try:
        with os.fdopen(handle, "wb") as file:
            entries: dict[str, Any] = {HEADER: np.array(json.dumps(header)), **arrays}
            np.savez(file, **entries)
        os.chmod(part, stat.S_IMODE(mode))
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """Header and arrays of a file, or a ValueError for whatever is wrong with it."""
    import json

    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                entries = {key: archive[key] for key in archive.files}
            header = json.loads(str(entries.pop(HEADER)[()]))
            if not isinstance(header, dict):
                raise ValueError("its header is not one")
        except Exception as error:  # numpy, zip and their codecs each have errors of their own
            raise ValueError(str(error) or type(error).__name__) from None
    return header, entries
