"""``rnncore.from_torch``: a network from a module, or a state dict, of PyTorch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rnncore._checks import arguments as check
from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.network import Network
from rnncore._networks.rnn import RNN

#: By the number of gates: how many times as many rows as columns weight_hh has.
BY_GATES: dict[int, type[Network]] = {1: RNN, 3: GRU, 4: LSTM}

FIRST = "weight_ih_l0"


def from_torch(
    source: Any,
    *,
    prefix: str | None = None,
    head: str | None = None,
    nonlinearity: str | None = None,
    readout: str = "last",
    loss: str | None = None,
    dropout: float | None = None,
) -> Network:
    """Make a network of a recurrent layer of PyTorch and, if there is one, of its linear read-out.

    Parameters
    ----------
    source : torch.nn.Module, or mapping of str to Tensor or array
        A layer, a module that has one (and perhaps a ``torch.nn.Linear`` after it), or the state
        dict of either.
    prefix : str, optional
        What the names of the layer's parameters begin with, such as ``"rnn."``. May be left out
        where there is one layer.
    head : str, optional
        The name of the linear layer that is the read-out, such as ``"fc"``. Without, ``"head"`` is
        taken where there is one; else the network has no read-out.
    nonlinearity : {"tanh", "relu"}, optional
        Of an RNN: a module has it, a state dict does not ("tanh" then).
    readout, loss
        As of the network's class.
    dropout : float, optional
        Between layers, while training: a module has it, a state dict does not (0 then).

    Returns
    -------
    RNN, LSTM or GRU
        In float64 where the parameters are, else in float32. It has copies of them.

    Raises
    ------
    TypeError, ValueError
        If there is no such layer or more than one, it has projections (``proj_size``), or the
        read-out does not fit it.

    Examples
    --------
    >>> import torch, rnncore as rc
    >>> model = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(3, 5), "fc": torch.nn.Linear(5, 2)})
    >>> net = rc.from_torch(model, head="fc")
    >>> type(net).__name__, net.hidden_size, net.output_size
    ('LSTM', 5, 2)
    """
    state, modules = source, {}
    if not isinstance(source, Mapping) and hasattr(source, "state_dict"):
        state, modules = source.state_dict(), dict(source.named_modules())
    if not isinstance(state, Mapping):
        raise TypeError(
            f"source: expected a module of PyTorch or its state dict, got {check.kind(source)}"
        )
    prefix = layer_in(state, prefix)
    layer = modules.get(prefix.removesuffix("."))
    kind, options = sizes_of(state, prefix)
    if kind is RNN:
        options["nonlinearity"] = nonlinearity or getattr(layer, "nonlinearity", "tanh")
    elif nonlinearity is not None:
        raise ValueError(f"nonlinearity: expected None for a {kind.__name__}, got {nonlinearity!r}")
    if dropout is None:
        dropout = getattr(layer, "dropout", 0.0) if options["num_layers"] > 1 else 0.0
    read = read_out(state, head, modules)
    if read:
        options["output_size"] = len(read["head.weight"])
        options["readout_bias"] = "head.bias" in read
    net = kind(readout=readout, loss=loss, dropout=dropout, seed=0, **options)
    of_layer = {
        name: state[prefix + name] for name in net._model.shapes if not name.startswith("head.")
    }
    net.load_state_dict({**of_layer, **read})
    return net


def layer_in(state: Mapping[str, Any], prefix: str | None) -> str:
    """What the names of the one recurrent layer begin with."""
    found = [name.removesuffix(FIRST) for name in state if str(name).endswith(FIRST)]
    if prefix is not None:
        if prefix not in found:
            raise ValueError(f"prefix: expected one of {found}, got {prefix!r}")
        return prefix
    if len(found) != 1:
        hint = f"; choose one of {found} by prefix=" if found else ""
        raise ValueError(f"source: expected one recurrent layer, got {len(found)}{hint}")
    return found[0]


def sizes_of(state: Mapping[str, Any], prefix: str) -> tuple[type[Network], dict[str, Any]]:
    """The class and the arguments that a layer's parameters tell."""
    names = [str(name).removeprefix(prefix) for name in state if str(name).startswith(prefix)]
    projections = [name for name in names if name.startswith("weight_hr_l")]
    if projections:
        raise ValueError(f"source: expected a layer without projections, got {projections[0]}")
    layers = sum(re.fullmatch(r"weight_ih_l\d+", name) is not None for name in names)
    rows, hidden = state[prefix + "weight_hh_l0"].shape
    if rows % hidden or rows // hidden not in BY_GATES:
        raise ValueError(
            f"source: expected weight_hh_l0 of 1, 3 or 4 gates, got the shape {(rows, hidden)}"
        )
    dtype = str(state[prefix + FIRST].dtype)
    return BY_GATES[rows // hidden], {
        "input_size": state[prefix + FIRST].shape[1],
        "hidden_size": hidden,
        "num_layers": layers,
        "bidirectional": FIRST + "_reverse" in names,
        "bias": "bias_ih_l0" in names,
        "dtype": "float64" if dtype.endswith("float64") else "float32",
    }


def read_out(
    state: Mapping[str, Any], head: str | None, modules: Mapping[str, Any]
) -> dict[str, Any]:
    """The read-out's parameters by our names; none without a read-out."""
    name = "head" if head is None else head
    if f"{name}.weight" not in state:
        if head is None:
            return {}
        linear = [n for n, m in modules.items() if type(m).__name__ == "Linear"]
        hint = f"; linear layers are {linear}" if linear else ""
        raise ValueError(f"head: expected the name of a linear layer, got {head!r}{hint}")
    found = {f"head.{part}": state.get(f"{name}.{part}") for part in ("weight", "bias")}
    return {key: values for key, values in found.items() if values is not None}
