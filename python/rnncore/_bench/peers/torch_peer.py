"""PyTorch: ``torch.nn.RNN`` (``LSTM``, ``GRU``) with a linear head, eager, gradients by autograd.

``nn.RNN`` runs its loop over time in C++, which a loop over ``nn.RNNCell`` cannot beat; time
first and batch first are both tried.  Inference runs under ``torch.inference_mode``, streaming
on ``nn.RNNCell`` and on ``nn.RNN``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rnncore._bench.peers import Answer, Contestant, Peer
from rnncore._checks import Array
from rnncore._network import Network


class Torch(Peer):
    """Eager PyTorch."""

    name = "torch"
    cells = ("rnn", "lstm", "gru")
    version = torch.__version__

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        return [self.trainer(net, x, y, batch_first) for batch_first in (False, True)]

    def trainer(self, net: Network, x: Array, y: Array, batch_first: bool) -> Contestant:
        rnn, head = modules(net, batch_first)
        named = named_parameters(rnn, head)
        x_t, last = laid_out(x, batch_first)
        y_t = torch.from_numpy(y)[:, None]
        loss_of = torch.nn.functional.binary_cross_entropy_with_logits

        def run() -> Any:
            rnn.zero_grad()
            head.zero_grad()
            loss = loss_of(head(rnn(x_t)[0][last]), y_t)
            loss.backward()
            return loss

        def answer(loss: Any) -> Answer:
            grads = {name: p.grad.numpy() for name, p in named.items()}
            return {"loss": loss.detach().numpy(), **grads}

        return Contestant(layout(batch_first), run, answer)

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        return [self.predictor(net, x, batch_first) for batch_first in (False, True)]

    def predictor(self, net: Network, x: Array, batch_first: bool) -> Contestant:
        rnn, head = modules(net, batch_first)
        x_t, last = laid_out(x, batch_first)

        def run() -> Any:
            return head(rnn(x_t)[0][last])

        return Contestant(layout(batch_first), inference(run), lambda y: {"y": y.numpy()[:, 0]})

    def step(self, net: Network, x: Array) -> list[Contestant]:
        rnn, head = modules(net, batch_first=False)
        cell = getattr(torch.nn, f"{type(net).__name__}Cell")(net.input_size, net.hidden_size)
        cell.to(rnn.weight_ih_l0.dtype)
        cell.load_state_dict(
            {name.removesuffix("_l0"): value for name, value in rnn.state_dict().items()}
        )
        steps = list(torch.from_numpy(x))

        def run_cell() -> list[Any]:
            state, outputs = None, []
            for x_t in steps:
                state = cell(x_t, state)
                outputs.append(head(state[0] if isinstance(state, tuple) else state))
            return outputs

        rows = [x_t[None] for x_t in steps]  # (T=1, D) each

        def run_rnn() -> list[Any]:
            h, outputs = None, []
            for x_t in rows:
                out, h = rnn(x_t, h)
                outputs.append(head(out[0]))
            return outputs

        def answer(outputs: list[Any]) -> Answer:
            return {"y": np.array([y.item() for y in outputs], x.dtype)}

        return [
            Contestant("cell", inference(run_cell), answer),
            Contestant("module", inference(run_rnn), answer),
        ]


def inference(call: Callable[[], Any]) -> Callable[[], Any]:
    """The call without autograd's records."""
    wrapped: Callable[[], Any] = torch.inference_mode()(call)
    return wrapped


def layout(batch_first: bool) -> str:
    return "batch-first" if batch_first else "time-first"


def modules(net: Network, batch_first: bool) -> tuple[Any, Any]:
    """The recurrent module and the head, with the network's parameters."""
    dtype = getattr(torch, net.dtype.name)
    kind = getattr(torch.nn, type(net).__name__)
    rnn = kind(net.input_size, net.hidden_size, batch_first=batch_first, dtype=dtype)
    head = torch.nn.Linear(net.hidden_size, 1, dtype=dtype)
    named = named_parameters(rnn, head)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            named[name].copy_(torch.from_numpy(value))
    return rnn, head


def named_parameters(rnn: Any, head: Any) -> dict[str, Any]:
    return dict(rnn.named_parameters()) | {f"head.{n}": p for n, p in head.named_parameters()}


def laid_out(x: Array, batch_first: bool) -> tuple[Any, Any]:
    """x as a tensor, and the index of the last step of its output."""
    if batch_first:
        return torch.from_numpy(x), (slice(None), -1)
    return torch.from_numpy(np.ascontiguousarray(x.swapaxes(0, 1))), -1
