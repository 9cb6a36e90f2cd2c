"""Recognises files of other programs, by their first bytes and the names of their entries.

The error of `rnncore.load` then says what such a file is, and how to take parameters from it.
"""

from __future__ import annotations

import json
import os
import re
from zipfile import ZipFile

from rnncore._storage.files import HEADER, SAFETENSORS, is_safetensors

ARRAYS = "its arrays go into net.load_state_dict with PyTorch's names, shapes and order of gates"
TORCH = (
    "it is a file of PyTorch; net.load_state_dict(torch.load(path, weights_only=True)) takes the "
    "parameters from it"
)
SCRIPT = (
    "it is a TorchScript module; net.load_state_dict(torch.jit.load(path).state_dict()) takes the "
    "parameters from it"
)
KERAS = f"it is a Keras model; {ARRAYS}"
NPZ = (
    "it is an .npz archive without the header of save; net.load_state_dict(np.load(path)) takes "
    "the parameters from it"
)
TENSORS = (
    "it is a safetensors file without the metadata of save; "
    "net.load_state_dict(safetensors.numpy.load_file(path)) takes the parameters from it"
)

#: Files of rnncore that were given another ending.
NAMELESS = f"it is a safetensors file; give it a name that ends in {SAFETENSORS}"
MISNAMED = f"it is an .npz archive; give it a name that does not end in {SAFETENSORS}"

#: First bytes of files, as regular expressions. An ONNX model is a protobuf message, which begins
#: with the number of a field.
BEGINNINGS = {
    rb"\x89HDF\r\n\x1a\n": f"it is an HDF5 file; {ARRAYS}",
    rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19": TORCH,
    rb"\x80[\x02-\x05]": "it is a pickle, which can execute anything, and is not opened here",
    rb"\x93NUMPY": "it is a single array",
    rb"\x08[\x01-\x20][\x12\x1a\x22\x28\x32\x3a\x42]": f"it is an ONNX model; {ARRAYS}",
}

#: Entries of zip archives.
MEMBERS = {r"(.*/)?constants\.pkl": SCRIPT, r"(.*/)?data\.pkl": TORCH, r"model\.weights\.h5": KERAS}


def explanation(path: str) -> str | None:
    """What a file that could not be read is, and how to take parameters from it. None where that
    is not known, or where it is a damaged file of rnncore."""
    try:
        with open(path, "rb") as file:
            start = file.read(32)
            for pattern, text in BEGINNINGS.items():
                if re.match(pattern, start):
                    return text
            if start.startswith(b"PK"):
                return archive_explanation(path)
            size = int.from_bytes(start[:8], "little")
            if start[8:9] != b"{" or size > os.fstat(file.fileno()).st_size:
                return None
            file.seek(8)
            ours = HEADER in dict(json.loads(file.read(size)).get("__metadata__", {}))
    except Exception:  # the file is damaged, or no longer there
        return None
    if not ours:
        return TENSORS
    return None if is_safetensors(path) else NAMELESS


def archive_explanation(path: str) -> str | None:
    """The same for a zip archive."""
    with ZipFile(path) as archive:
        names = archive.namelist()
    for pattern, text in MEMBERS.items():
        if any(re.fullmatch(pattern, name) for name in names):
            return text
    if f"{HEADER}.npy" in names:
        return MISNAMED if is_safetensors(path) else None
    return NPZ if all(name.endswith(".npy") for name in names) else None
