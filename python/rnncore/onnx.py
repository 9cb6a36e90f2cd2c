"""Networks to and from ONNX: graphs of its RNN, LSTM and GRU nodes.

Needs the package onnx: ``pip install rnncore[onnx]``.

Examples
--------
>>> import os, tempfile, numpy as np, rnncore as rc
>>> import rnncore.onnx
>>> net = rc.GRU(3, 4, 2, num_layers=2, bidirectional=True, readout="all", seed=0)
>>> with tempfile.TemporaryDirectory() as folder:
...     path = os.path.join(folder, "net.onnx")
...     rnncore.onnx.export(net, path)
...     other = rnncore.onnx.load(path)
>>> bool((other.flat == net.flat).all())
True
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._model.configuration import dtype_name
from rnncore._networks.network import Network

try:
    import onnx
except ImportError:
    raise ImportError(
        "rnncore.onnx: expected the package onnx to be installed: pip install rnncore[onnx]"
    ) from None

from rnncore._onnx import reading, writing
from rnncore._onnx.layers import ORDERS

__all__ = ["export", "load", "to_model"]

#: The least opset of what is written here.
LEAST_OPSET = 14


def to_model(
    net: Network,
    *,
    opset: int = 17,
    lengths: bool = False,
    states: bool = False,
    tokens: bool = False,
    dtype: npt.DTypeLike | None = None,
) -> Any:
    """The ONNX model of a network.

    Parameters
    ----------
    net : RNN, LSTM or GRU
        With any number of layers, one direction or both, any read-out, nonlinearity and ``reset``.
        Dropout, also recurrent, does nothing outside a fit and is left out.
    opset : int
        Of the graph, at least 14.
    lengths : bool
        Whether the graph has the input ``lengths``.
    states : bool
        Whether it has the input ``h0``, and of an LSTM ``c0``. Without them a sequence starts from
        zeros or, with ``trainable_h0=True``, from these parameters.
    tokens : bool
        Whether ``x`` are integers, which stand for one-hot rows.
    dtype : {"float32", "float64"}, optional
        Of the graph; by default the network's. onnxruntime runs recurrent nodes in float32 only.

    Returns
    -------
    onnx.ModelProto
        With the inputs

        * ``x`` (batch, time, D), of `dtype`; of tokens (batch, time), int64;
        * ``h0`` and ``c0`` (batch, R, H), as in a call of the network, see `rnncore.RNN`;
        * ``lengths`` (batch,), int32: how many steps of each row count, from 1;

        and the outputs ``y`` (batch, K) or (batch, time, K), ``hidden`` (batch, time, directions
        times H), ``final`` and, of an LSTM, ``final_c`` (batch, R, H), as in `Output`: y are
        logits.

    Raises
    ------
    TypeError, ValueError
        The error names the argument. ONNX has no node for an MGU or a skip connection.

    Examples
    --------
    >>> import rnncore as rc, rnncore.onnx
    >>> model = rnncore.onnx.to_model(rc.LSTM(3, 4, 1, seed=0), states=True)
    >>> [value.name for value in model.graph.input]
    ['x', 'h0', 'c0']
    >>> [value.name for value in model.graph.output]
    ['y', 'hidden', 'final', 'final_c']
    """
    check_expressible(net)
    opset = check.whole("opset", opset, LEAST_OPSET, onnx.defs.onnx_opset_version())
    given = {"tokens": tokens, "states": states, "lengths": lengths}
    flags = {name: check.flag(name, value) for name, value in given.items()}
    real = np.dtype(dtype_name(net.dtype if dtype is None else dtype))
    net._model.check_finite()
    return writing.model_of(writing.graph_of(net, real, **flags), opset)


def check_expressible(net: Any) -> None:
    """Raise an error where ONNX has no nodes for a network."""
    if not isinstance(net, Network):
        raise TypeError(f"net: expected a network of rnncore, got {check.kind(net)}")
    name = net._cell.name
    if name not in ORDERS:
        raise ValueError(f"net: expected an RNN, LSTM or GRU, got an {name}: ONNX has no such node")
    config = net.config
    refused = {
        "skip": (None,), "update": ("n",), "readout": ("last", "all"), "zoneout": (0.0,),
        "switching": (False,),
    }  # fmt: skip
    for option, known in refused.items():
        if config.get(option, known[0]) not in known:
            expected = " or ".join(repr(value) for value in known)
            raise ValueError(
                f"net: expected {option}={expected}, got {config[option]!r}: ONNX has no such node"
            )


def export(net: Network, path: str | os.PathLike[str], **options: Any) -> None:
    """Write a network to a file as an ONNX model.

    Parameters
    ----------
    net : RNN, LSTM or GRU
    path : str or path-like
    **options
        As for `to_model`: ``opset``, ``lengths``, ``states``, ``tokens``, ``dtype``.

    Raises
    ------
    TypeError, ValueError
        As `to_model`.
    OSError
        If the file cannot be written.
    """
    path = check.path(path)
    onnx.save_model(to_model(net, **options), path)


def load(model: Any, *, output: str | None = None, loss: str | None = None) -> Network:
    """A network from an ONNX model that consists of RNN, LSTM or GRU nodes and a linear read-out.

    Models that `export` wrote are read, those that ``torch.onnx.export`` writes of ``nn.RNN``,
    ``nn.LSTM``, ``nn.GRU`` and a linear layer (of ``nn.RNN`` with ``dynamo=False``), and others of
    the same form. What lies between the nodes, and around them, is run on random numbers: the
    network must give the outputs of the graph, or the graph is refused.

    Parameters
    ----------
    model : str, path-like, bytes or onnx.ModelProto
        A file, its content, or the model.
    output : str, optional
        Which output of the graph is y; by default the first.
    loss : str, optional
        As for `rnncore.RNN`: a graph has none.

    Returns
    -------
    RNN, LSTM or GRU
        Its arrays are batch first, whatever the layout of the graph. Where the graph takes first
        states or lengths as inputs, the network takes them in its calls, as ``h0`` and
        ``lengths``; constant first states become the parameters of ``trainable_h0``.

    Raises
    ------
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If the graph has something that a network does not have: the error names the node and
        what it is, such as peepholes, clip or another activation.

    Examples
    --------
    >>> import rnncore as rc, rnncore.onnx
    >>> net = rc.GRU(3, 4, 2, reset="before", seed=0)
    >>> rnncore.onnx.load(rnncore.onnx.to_model(net)).config == net.config
    True
    """
    return reading.network_of(reading.taken(model), output, loss)
