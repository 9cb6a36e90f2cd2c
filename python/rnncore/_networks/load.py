"""Networks from files."""

from __future__ import annotations

import os

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model import parameters
from rnncore._model.model import FORMAT, MOST_LAYERS
from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.mgu import MGU
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN
from rnncore._storage import files

CLASSES: dict[str, type[Network]] = {cell._kind: cell for cell in (RNN, LSTM, GRU, MGU)}


def load(path: str | os.PathLike[str]) -> Network:
    """Make a network from a file that ``net.save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    RNN, LSTM, GRU or MGU

    Raises
    ------
    OSError
        Where there is no such file, or it is a folder, a pipe or a device, or cannot be read.
    ImportError
        Where its name ends in ".safetensors", and the package is not installed.
    ValueError
        Where it is not such a file, or is damaged; of files of PyTorch and some others the error
        says how to take parameters from them. Nothing in it is ever executed.

    Examples
    --------
    >>> import os, tempfile, rnncore as rc
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "net.npz")
    ...     rc.RNN(2, 3, seed=0).save(path)
    ...     rc.load(path).hidden_size
    3
    """
    path = check.path(path)
    try:
        header, arrays = files.read(path)
        if "checkpoint" in header:
            raise ValueError("it is a checkpoint; fit(checkpoint=path) goes on from it")
        kind, version, config = header["class"], header["format"], header["config"]
        if version != FORMAT or kind not in CLASSES:
            raise ValueError(f"it holds a {kind} of format {version}, this version reads {FORMAT}")
        check.whole("num_layers", config.get("num_layers", 1), 1, MOST_LAYERS)
        sizes = {name: np.shape(values) for name, values in arrays.items()}
        shapes = parameters.parameter_shapes(kind, config)
        if sizes != shapes:  # before a header that lies can ask for memory
            raise ValueError(f"its arrays are {sizes}, its header says {shapes}")
        net = CLASSES[kind](**config, seed=0)
        net.load_state_dict(arrays)
    except (OSError, ImportError):
        raise
    except Exception as error:  # whatever a forged header leads to
        from rnncore._storage import foreign

        damage = f"no {error}" if isinstance(error, KeyError) else error
        why = foreign.explanation(path) or damage
        raise ValueError(f"path: expected a file written by save, got {path!r}: {why}") from None
    return net
