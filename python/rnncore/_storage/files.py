"""Files of a header and arrays: .npz archives or, where the name ends so, safetensors files.

Reading one executes nothing that it contains: no pickle is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array

#: The name of the header: an entry of an .npz archive, or of the metadata of a safetensors file.
HEADER = "rnncore"
SAFETENSORS = ".safetensors"

#: Endings of other formats, under which no network is saved. Any other ending is allowed.
ENDINGS = {
    ".onnx": "an ONNX model",
    ".pt": "a file of PyTorch", ".pth": "a file of PyTorch",
    ".keras": "a Keras model", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file",
    ".tflite": "a TensorFlow Lite model", ".pb": "a TensorFlow model",
    ".pkl": "a pickle", ".pickle": "a pickle", ".joblib": "a pickle",
    ".npy": "a single array", ".mat": "a MATLAB file", ".json": "a JSON file",
    ".h": "a C header", ".hpp": "a C++ header", ".c": "a C file", ".cpp": "a C++ file",
}  # fmt: skip

#: What a path can be instead of a regular file, by the letter that `stat.filemode` has for it.
KINDS = {"d": "a folder", "p": "a pipe", "s": "a socket", "b": "a device", "c": "a device"}


def write(path: str | os.PathLike[str], header: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Write the file completely or not at all."""
    import json

    path = check.path(path)
    check_target("path", path)
    package = safetensors() if is_safetensors(path) else None  # of a link, its own name decides
    text = json.dumps(header)
    with replacing(path) as file:
        if package is not None:
            plain = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
            file.write(package.save(plain, metadata={HEADER: text}))
        else:
            entries: dict[str, Any] = {HEADER: np.array(text), **arrays}
            np.savez(file, **entries)


@contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is written: a temporary one next to it, which
    is moved over it at the end, or removed where anything raises."""
    import tempfile

    path = os.path.realpath(path)
    mode = os.stat(path).st_mode if os.path.exists(path) else 0o666 & ~umask()
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".rnncore-")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(part, stat.S_IMODE(mode))
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def is_safetensors(path: str | os.PathLike[str]) -> bool:
    return os.fsdecode(path).lower().endswith(SAFETENSORS)


def safetensors() -> Any:
    """The package safetensors, or an error that says how to install it."""
    try:
        import safetensors.numpy as package
    except ImportError:
        raise ImportError(
            "path: expected the package safetensors for a file of that name, which is not "
            "installed (python -m pip install safetensors); files named otherwise do without"
        ) from None
    return package


def check_place(path: str) -> None:
    """Raise an error where a checkpoint of that name could not be written."""
    import tempfile

    check_target("checkpoint", path)
    if is_safetensors(path):
        safetensors()
    tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))).close()


def check_target(name: str, path: str) -> None:
    """Raise an error where the name is that of another format, or of something that is no file."""
    ending = os.path.splitext(path)[1].lower()
    if ending in ENDINGS:
        raise ValueError(
            f"{name}: expected the name of an .npz or a {SAFETENSORS} file, got "
            f"{check.shown(path)}, which is that of {ENDINGS[ending]}"
        )
    with suppress(FileNotFoundError):
        check_regular(name, path)


def check_regular(name: str, path: str | os.PathLike[str]) -> None:
    """Raise an error where the path is no regular file: others cannot be read from any position,
    and opening a pipe would block."""
    letter = stat.filemode(os.stat(path).st_mode)[0]
    if letter != "-":
        what = KINDS.get(letter, "something else")
        raise OSError(f"{name}: expected a file, got {check.shown(path)}, which is {what}")


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Array]]:
    """The header and the arrays of a file. Whatever is wrong with it is a ValueError."""
    import json

    check_regular("path", path)
    package = safetensors() if is_safetensors(path) else None
    with open(path, "rb") as file:
        try:
            if package is not None:
                data = file.read()
                entries = package.load(data)  # checks that all arrays of its header are there
                size = int.from_bytes(data[:8], "little")
                header = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][HEADER])
            else:
                if file.read(2) != b"PK":  # numpy would take it for a pickle
                    raise ValueError("it is no .npz archive")
                file.seek(0)
                with np.load(file, allow_pickle=False) as archive:
                    if HEADER not in archive.files:  # then no other entry is read
                        raise ValueError("it has no header")
                    sizes = [entry.file_size for entry in archive.zip.infolist()]
                    if (
                        sum(sizes) > os.fstat(file.fileno()).st_size
                    ):  # such a file could fill the memory
                        raise ValueError("it says it holds more than it does, or is compressed")
                    entries = {key: archive[key] for key in archive.files}
                header = json.loads(str(entries.pop(HEADER)[()]))
            if not isinstance(header, dict):
                raise ValueError("its header is not one")
            for name, values in entries.items():
                if not isinstance(values, np.ndarray):
                    raise ValueError(f"its {name} is no array")
        except Exception as error:  # numpy, zip and their codecs raise many types
            raise ValueError(str(error) or type(error).__name__) from None
    return header, entries
