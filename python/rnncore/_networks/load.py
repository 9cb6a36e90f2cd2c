"""``rnncore.load``: a network from a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.configuration import MOST_LAYERS
from rnncore._model.parameters import parameter_shapes
from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.mgu import MGU
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN
from rnncore._storage import files
from rnncore._storage.saving import FORMAT
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore.population import Population

CLASSES: dict[str, type[Network]] = {cls._cell.name: cls for cls in (RNN, LSTM, GRU, MGU)}


def load(path: str | os.PathLike[str]) -> Network | Population:
    """Make a network or a population from a file that ``net.save`` or ``pop.save`` wrote.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    RNN, LSTM, GRU, MGU or Population

    Raises
    ------
    OSError
        If there is no such file, it is a folder, a pipe or a device, or it cannot be read.
    ImportError
        If its name ends in ".safetensors", and the package is not installed.
    ValueError
        If it is not such a file, or is damaged. For files of PyTorch and some others the error says
        how to take parameters from them. Nothing in a file is ever executed.

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
        shapes = parameter_shapes(CLASSES[kind]._cell, config)
        if "members" in header:
            members = check.whole("members", header["members"], 1)
            shapes = {name: (members, *shape) for name, shape in shapes.items()}
        if sizes != shapes:  # a forged header could otherwise ask for any amount of memory
            raise ValueError(f"its arrays are {sizes}, its header says {shapes}")
        net = CLASSES[kind](**config, seed=0)
        if "members" in header:
            return population_of(net, [arrays[name] for name in shapes])
        net.load_state_dict(arrays)
    except (OSError, ImportError):
        raise
    except Exception as error:  # whatever a damaged or forged header leads to
        from rnncore._storage import foreign

        damage = f"no {error}" if isinstance(error, KeyError) else error
        why = foreign.explanation(path) or damage
        raise ValueError(f"path: expected a file written by save, got {path!r}: {why}") from None
    return net


def population_of(like: Network, arrays: list[Array]) -> Population:
    from rnncore.population import Population

    for name, values in zip(like._model.shapes, arrays, strict=True):
        check.all_finite(name, check.array(name, values))
    flat = np.concatenate([values.reshape(len(values), -1) for values in arrays], axis=1)
    return Population._of(like, np.ascontiguousarray(flat, like.dtype))
