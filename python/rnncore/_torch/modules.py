"""Networks as modules of PyTorch, with their read-out."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from rnncore._checks import arguments as check


class WithReadout(torch.nn.Module):
    """A recurrent layer and a linear read-out: what `to_torch` makes of a network that has one.

    Its state dict has the names of ``net.parameters()``.

    Parameters
    ----------
    layer : torch.nn.RNN, LSTM or GRU
        With ``batch_first=True``.
    outputs : int
        K.
    every_step : bool
        Whether it puts out (B, T, K), from every step, instead of (B, K), from the last.
    bias : bool
        Of the read-out.

    Examples
    --------
    >>> import torch, rnncore as rc
    >>> module = rc.RNN(3, 5, 2, seed=0).to_torch()
    >>> module(torch.zeros(4, 7, 3)).shape
    torch.Size([4, 2])
    """

    def __init__(
        self, layer: torch.nn.RNNBase, outputs: int, every_step: bool = False, bias: bool = True
    ) -> None:
        super().__init__()
        weight = layer.weight_hh_l0
        self.every_step = every_step
        self.layer = layer
        self.head = torch.nn.Linear(
            layer.hidden_size * (2 if layer.bidirectional else 1), outputs, bias, dtype=weight.dtype
        )
        self._register_state_dict_hook(short_names)
        self.register_load_state_dict_pre_hook(long_names)

    def forward(self, x: Any, hx: Any = None) -> torch.Tensor:
        """The outputs for x (B, T, D) or a PackedSequence; hx as of the layer.

        With ``every_step``, those of a PackedSequence are padded: (B, T, K)."""
        states, last = self.layer(x, hx)
        if self.every_step:
            if isinstance(states, PackedSequence):
                states = pad_packed_sequence(states, batch_first=True)[0]
            return self.head(states)
        h = last[0] if isinstance(self.layer, torch.nn.LSTM) else last
        top = h[-2:].transpose(0, 1).flatten(1) if self.layer.bidirectional else h[-1]
        return self.head(top)


def short_names(module: Any, state: Any, prefix: str, metadata: Any) -> None:
    """The layer's parameters without the name of the layer."""
    for name in list(state):
        if name.startswith(prefix + "layer."):
            state[prefix + name.removeprefix(prefix + "layer.")] = state.pop(name)
        elif name.startswith(prefix + "head."):
            state[name] = state.pop(name)  # in the order of rnncore


def long_names(module: Any, state: Any, prefix: str, *rest: Any) -> None:
    """The same the other way round."""
    for name in list(state):
        if name.startswith(prefix) and not name.startswith((prefix + "head.", prefix + "layer.")):
            state[f"{prefix}layer.{name.removeprefix(prefix)}"] = state.pop(name)


def module_of(net: Any, own: bool = False) -> torch.nn.Module:
    """See ``net.to_torch``."""
    config, kind = net._model.config, type(net).__name__
    refused = {
        "skip": (None,), "trainable_h0": (False,), "update": ("n",), "reset": ("after",),
        "readout": ("last", "all"), "recurrent_dropout": (0.0,), "zoneout": (0.0,),
        "switching": (False,),
        "nonlinearity": ("tanh", "relu") if kind == "RNN" else ("tanh",),
    }  # fmt: skip
    for name, known in refused.items():
        if config.get(name, known[0]) not in known:
            raise ValueError(f"{name}: expected {known[0]!r} for PyTorch, got {config[name]!r}")
    if not hasattr(torch.nn, kind):
        raise ValueError(f"to_torch: expected an RNN, LSTM or GRU, got a {kind}")
    options = {"nonlinearity": config["nonlinearity"]} if kind == "RNN" else {}
    make = getattr(torch.nn, kind)
    if check.flag("own", own):
        from rnncore import torch as layers

        make = getattr(layers, kind)
    layer = make(
        config["input_size"], config["hidden_size"], num_layers=config["num_layers"],
        bias=config["bias"], batch_first=True, dropout=config["dropout"],
        bidirectional=config["bidirectional"], dtype=getattr(torch, config["dtype"]), **options,
    )  # fmt: skip
    module, state = layer, net.state_dict()
    if config["output_size"] is not None:
        module = WithReadout(
            layer, config["output_size"], config["readout"] == "all", "head.bias" in state
        )
    module.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    return module
