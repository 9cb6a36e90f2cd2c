"""Layers for PyTorch: ``torch.nn.RNN``, ``LSTM`` and ``GRU`` with rnncore inside.

>>> import torch
>>> from rnncore.torch import GRU                     # instead of torch.nn.GRU
>>> gru, x = GRU(8, 16, batch_first=True), torch.zeros(32, 50, 8)
>>> output, h_n = gru(x)
>>> output.sum().backward()
>>> gru.weight_hh_l0.grad.shape
torch.Size([48, 16])

They are subclasses, with the same constructors, parameters, state dicts, arguments and results.
What runs and differentiates them is the compiled core of rnncore, on the CPU, in float32 or
float64.

The parameters lie in the flat vector of a network of rnncore, which is ``layer.network``; an
optimiser of PyTorch that changes one changes the other. Where PyTorch has put a parameter elsewhere
(``double()``, ``deepcopy``, ``load_state_dict(assign=True)``, ``.data =``), all of them move to a
new network at the next call. One that is computed from others (pruning, weight normalisation) or
shared among processes is copied at every call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence

import rnncore
from rnncore._networks.network import Network
from rnncore._torch.modules import WithReadout
from rnncore._torch.recurrence import Recurrence, Rows, run

__all__ = ["GRU", "LSTM", "RNN", "WithReadout"]

PRECISIONS = {torch.float32: "float32", torch.float64: "float64"}


class Layer(torch.nn.modules.rnn.RNNBase):
    """What the three have in common."""

    _network: Network | None = None
    _dtype: torch.dtype | None = None  # of the network

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.proj_size:
            raise ValueError(
                f"proj_size: expected 0, which rnncore.torch.LSTM is made for, got {self.proj_size}"
            )
        if self.weight_ih_l0.device.type == "cpu" and self.weight_ih_l0.dtype in PRECISIONS:
            self._link()

    @property
    def network(self) -> Network:
        """A network of rnncore on the layer's parameters: for `trace`, `gradient_flow` and
        whatever else it has. It has no read-out; its outputs are the states at every step."""
        self._link()
        assert self._network is not None
        return self._network

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As of the layer of PyTorch, for CPU tensors.

        Parameters
        ----------
        input : Tensor or PackedSequence
            (T, B, D), with ``batch_first=True`` (B, T, D), or (T, D).
        hx : Tensor, or pair of Tensor for an LSTM, optional
            (layers times directions, B, H), without B for an input without.

        Returns
        -------
        output : Tensor or PackedSequence
            (T, B, directions H), in the form of the input.
        h_n : Tensor, or pair of Tensor for an LSTM
            (layers times directions, B, H).

        Raises
        ------
        RuntimeError, ValueError
            As the layer of PyTorch for shapes and types; a ValueError also for numbers that are
            not finite.
        """
        packed = isinstance(input, PackedSequence)
        data = input.data if packed else input
        if data.dtype is not self._dtype or data.device.type != "cpu":
            self._check_tensor(data)
        if data.numel() == 0:  # PyTorch's own has the errors, and the empty results
            return super().forward(input, hx)
        self._check_dimensions(input, hx)
        pair = isinstance(self, torch.nn.LSTM)
        states = () if hx is None else tuple(hx) if pair else (hx,)
        batched = packed or data.dim() == 3
        if not batched:
            data = data.unsqueeze(0 if self.batch_first else 1)
            states = tuple(state.unsqueeze(1) for state in states)
        sizes = input.batch_sizes if packed else None
        self._check_sizes(data, states, sizes)
        if packed and input.sorted_indices is not None:
            states = tuple(state.index_select(1, input.sorted_indices) for state in states)
        weights = self._link()
        rows = Rows(data, sizes, self.batch_first)
        tensors = data, *states, *weights
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            output, *last = Recurrence.apply(self, rows, data, len(states), *states, *weights)
        else:
            (output, *last), _ = run(self, rows, data, states, keep=False)
        if packed:
            output = PackedSequence(output, *input[1:])
            if input.unsorted_indices is not None:
                last = [state.index_select(1, input.unsorted_indices) for state in last]
        elif not batched:
            output = output.squeeze(0 if self.batch_first else 1)
            last = [state.squeeze(1) for state in last]
        return output, tuple(last) if pair else last[0]

    # ---- errors ---------------------------------------------------------------------

    def _check_tensor(self, data: torch.Tensor) -> None:
        for what, tensor in (("input", data), ("weights", self.weight_ih_l0)):
            if tensor.device.type != "cpu":
                raise RuntimeError(
                    f"{type(self).__name__}: expected {what} on the CPU, got {tensor.device}; on "
                    f"other devices use torch.nn.{type(self).__name__}"
                )
            if tensor.dtype not in PRECISIONS:
                raise TypeError(
                    f"{type(self).__name__}: expected {what} of torch.float32 or torch.float64, "
                    f"got {tensor.dtype}"
                )

    def _check_dimensions(self, input: Any, hx: Any) -> None:
        name = type(self).__name__
        if isinstance(input, PackedSequence):
            return
        if input.dim() not in (2, 3):
            tensor = " tensor" if name == "RNN" else ""
            raise ValueError(
                f"{name}: Expected input to be 2D or 3D, got {input.dim()}D{tensor} instead"
            )
        states = hx if isinstance(self, torch.nn.LSTM) else (hx,)
        if hx is not None and any(state.dim() != input.dim() for state in states):
            kind = "batched 3-D" if input.dim() == 3 else "unbatched 2-D"
            got = ", ".join(f"{state.dim()}-D" for state in states)
            raise RuntimeError(
                f"For {kind} input, hx should also be {input.dim()}-D but got ({got}) tensors"
            )

    def _check_sizes(self, data: Any, states: tuple[Any, ...], sizes: Any) -> None:
        """By PyTorch's own checks."""
        if not states:
            self.check_input(data, sizes)
        elif isinstance(self, torch.nn.LSTM):
            self.check_forward_args(data, states, sizes)
        else:
            self.check_forward_args(data, states[0], sizes)
        for state in states:
            if state.dtype != data.dtype:
                raise ValueError(f"hx: expected {data.dtype}, as the input, got {state.dtype}")

    # ---- the parameters -------------------------------------------------------------

    def _link(self) -> list[torch.Tensor]:
        """See to it that the network has the layer's parameters, which are returned: shares them
        where it can, else has copies of their values."""
        wanted = PRECISIONS[self.weight_ih_l0.dtype], float(self.dropout)
        if self._network is None or self._made_for != wanted:
            self._make(*wanted)
        own = self._parameters  # an attribute of a module takes long
        weights = [own[name] if name in own else getattr(self, name) for name in self._places]
        for name, weight in zip(self._places, weights, strict=True):
            if weight.data_ptr() == self._places[name]:
                continue
            if name not in self._copied or is_own(weight):
                # In new memory: whoever has what was here may still hold on to the old.
                self._make(*wanted)
                return [getattr(self, name) for name in self._places]
            self._copied[name][...] = weight.detach().numpy()
        return weights

    def _make(self, precision: str, dropout: float) -> None:
        """A new network, to which all parameters are moved that are parameters of this process
        alone."""
        self._check_tensor(self.weight_ih_l0)
        kind = self.mode.split("_")[0]
        options: dict[str, Any] = {"dropout": dropout if self.num_layers > 1 else 0.0}
        if kind == "RNN":
            options["nonlinearity"] = self.nonlinearity
        network = getattr(rnncore, kind)(
            self.input_size, self.hidden_size, num_layers=self.num_layers, bias=self.bias,
            bidirectional=self.bidirectional, readout="all", dtype=precision, seed=0, **options,
        )  # fmt: skip
        network._model.engine.note_exposure()
        self._network, self._made_for = network, (precision, dropout)
        self._dtype = self.weight_ih_l0.dtype
        self._places, self._copied = {}, {}
        for name, view in network._model.parameters.items():
            weight = getattr(self, name)
            view[...] = weight.detach().numpy()
            if is_own(weight):
                weight.data = torch.from_numpy(view)
            else:
                self._copied[name] = view
            self._places[name] = view.ctypes.data

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        for name in ("_network", "_dtype", "_places", "_copied", "_made_for"):
            state.pop(name, None)
        return state


def is_own(weight: torch.Tensor) -> bool:
    """Whether it is a parameter, and of this process alone: its memory may be another."""
    return isinstance(weight, torch.nn.Parameter) and not weight.is_shared()


class RNN(Layer, torch.nn.RNN):
    """``torch.nn.RNN`` with rnncore inside: see the module `rnncore.torch`.

    Examples
    --------
    >>> import torch, rnncore.torch
    >>> output, h_n = rnncore.torch.RNN(3, 5)(torch.zeros(7, 4, 3))
    >>> output.shape, h_n.shape
    (torch.Size([7, 4, 5]), torch.Size([1, 4, 5]))
    """


class LSTM(Layer, torch.nn.LSTM):
    """``torch.nn.LSTM`` with rnncore inside, for ``proj_size=0``: see the module `rnncore.torch`.

    Examples
    --------
    >>> import torch, rnncore.torch
    >>> output, (h_n, c_n) = rnncore.torch.LSTM(3, 5, bidirectional=True)(torch.zeros(7, 4, 3))
    >>> output.shape, c_n.shape
    (torch.Size([7, 4, 10]), torch.Size([2, 4, 5]))
    """


class GRU(Layer, torch.nn.GRU):
    """``torch.nn.GRU`` with rnncore inside: see the module `rnncore.torch`.

    Examples
    --------
    >>> import torch, rnncore.torch
    >>> output, h_n = rnncore.torch.GRU(3, 5, num_layers=2)(torch.zeros(7, 4, 3))
    >>> output.shape, h_n.shape
    (torch.Size([7, 4, 5]), torch.Size([2, 4, 5]))
    """
