"""Networks in files: an .npz archive of plain arrays, in which nothing is executed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore import _parameters as parameters

if TYPE_CHECKING:
    from rnncore._model import Model
    from rnncore._rnn import RNN

FORMAT = 1
HEADER = "rnncore"  # the archive's entry that says what it is


def save(net: Model, path: str | os.PathLike[str]) -> None:
    import json
    import tempfile

    header = {"format": FORMAT, "class": type(net).__name__, "config": net.config}
    path = os.fspath(path)
    # Written beside the target and moved over it: a full disk leaves what was there.
    handle, part = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".rnncore-")
    try:
        with os.fdopen(handle, "wb") as file:
            entries: dict[str, Any] = {HEADER: np.array(json.dumps(header)), **net.state_dict()}
            np.savez(file, **entries)
        os.chmod(part, 0o666 & ~umask())
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> RNN:
    """Make a network from a file that ``net.save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    RNN

    Raises
    ------
    OSError
        Where there is no such file, or it cannot be read.
    ValueError
        Where it is not such a file, or is damaged. Nothing in it is ever executed.

    Examples
    --------
    >>> import os, tempfile, rnncore as rc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     rc.RNN(2, 3, seed=0).save(path)
    ...     rc.load(path).hidden_size
    3
    """
    import json
    from zipfile import BadZipFile
    from zlib import error as ZlibError

    name = repr(os.fspath(path))
    with open(path, "rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                entries = {key: archive[key] for key in archive.files}
            header = json.loads(str(entries.pop(HEADER)[()]))
            kind, version = header["class"], header["format"]
            config: dict[str, Any] = header["config"]
        except (
            ValueError, TypeError, KeyError, AttributeError, IndexError, EOFError, OSError,
            NotImplementedError, RuntimeError, MemoryError, SyntaxError, BadZipFile, ZlibError,
        ) as error:  # fmt: skip
            why = str(error) or type(error).__name__
            raise ValueError(f"path: expected a file written by save, got {name}: {why}") from None
    from rnncore._rnn import RNN

    classes = {"RNN": RNN}
    if version != FORMAT or kind not in classes:
        raise ValueError(
            f"path: expected a file of format {FORMAT}, got {name} with a {kind} "
            f"of format {version}: it needs another version of rnncore"
        )
    try:
        sizes = {key: np.shape(values) for key, values in entries.items()}
        shapes = parameters.parameter_shapes(
            config["input_size"], config["hidden_size"], config["output_size"], bias=config["bias"]
        )
        if sizes != shapes:  # before a header that lies can ask for memory
            raise ValueError(f"its arrays are {sizes}, its header says {shapes}")
        net = classes[kind](**config, seed=0)
        net.load_state_dict(entries)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"path: expected a file written by save, got {name}: {error}") from None
    return net
