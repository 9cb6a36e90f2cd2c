"""PyTorch: ``torch.nn.RNN`` (``LSTM``, ``GRU``) with a linear head, eager, gradients by autograd.

``nn.RNN`` runs its loop over time in C++, which a loop over ``nn.RNNCell`` cannot beat; time
first and batch first are both tried.  The head reads the last states that the module returns,
of both directions where there are two.  Sequences of different lengths are packed by
``pack_padded_sequence`` in every call, or computed with their padding and read at their ends;
both are tried.  Inference runs under ``torch.inference_mode``, streaming on ``nn.RNNCell`` and
on ``nn.RNN``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence

from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array

#: From a recurrent module to the states that the head reads.
Run = Callable[[Any], Any]


class Torch(Peer):
    """Eager PyTorch."""

    name = "torch"
    cells = ("rnn", "lstm", "gru")
    stacks = True
    version = torch.__version__

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        torch.set_num_threads(threads)

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        return [
            trainer(layout(batch_first), net, batch_first, whole(x, batch_first), y)
            for batch_first in (False, True)
        ]

    def ragged(self, net: Network, x: Array, y: Array, lengths: Array) -> list[Contestant]:
        ways = {"packed": packed}
        if not net.config["bidirectional"]:  # whose other direction would begin in the padding
            ways["padded"] = padded
        return [
            trainer(
                f"{way}, {layout(batch_first)}", net, batch_first,
                ways[way](x, lengths, batch_first), y,
            )
            for way, batch_first in product(ways, (False, True))
        ]  # fmt: skip

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        return [self.predictor(net, x, batch_first) for batch_first in (False, True)]

    def predictor(self, net: Network, x: Array, batch_first: bool) -> Contestant:
        rnn, head = modules(net, batch_first)
        run = whole(x, batch_first)
        call = inference(lambda: head(run(rnn)))
        return Contestant(layout(batch_first), call, lambda y: {"y": y.numpy()[:, 0]})

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


def trainer(variant: str, net: Network, batch_first: bool, run: Run, y: Array) -> Contestant:
    rnn, head = modules(net, batch_first)
    named = named_parameters(rnn, head)
    y_t = torch.from_numpy(y)[:, None]
    loss_of = torch.nn.functional.binary_cross_entropy_with_logits

    def call() -> Any:
        rnn.zero_grad()
        head.zero_grad()
        loss = loss_of(head(run(rnn)), y_t)
        loss.backward()
        return loss

    def answer(loss: Any) -> Answer:
        grads = {name: p.grad.numpy() for name, p in named.items()}
        return {"loss": loss.detach().numpy(), **grads}

    return Contestant(variant, call, answer)


def whole(x: Array, batch_first: bool) -> Run:
    """Every step of x (B, T, D)."""
    x_t = laid_out(x, batch_first)
    return lambda rnn: last_states(rnn, x_t)


def packed(x: Array, lengths: Array, batch_first: bool) -> Run:
    """The steps that sequences have, packed."""
    x_t, counts = laid_out(x, batch_first), torch.from_numpy(lengths)
    return lambda rnn: last_states(
        rnn, pack_padded_sequence(x_t, counts, batch_first, enforce_sorted=False)
    )


def padded(x: Array, lengths: Array, batch_first: bool) -> Run:
    """Every step, and of these the last that each sequence has."""
    x_t = laid_out(x, batch_first)
    ends, sequences = torch.from_numpy(lengths - 1), torch.arange(len(x))
    last = (sequences, ends) if batch_first else (ends, sequences)
    return lambda rnn: rnn(x_t)[0][last]


def last_states(rnn: Any, x: Any) -> Any:
    """Of the upper layer, (B, H), or of both its directions side by side."""
    final = rnn(x)[1]
    h = final[0] if isinstance(final, tuple) else final
    return torch.cat((h[-2], h[-1]), dim=1) if rnn.bidirectional else h[-1]


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
    layers, bidirectional = net.config["num_layers"], net.config["bidirectional"]
    rnn = kind(
        net.input_size, net.hidden_size, layers, bidirectional=bidirectional,
        batch_first=batch_first, dtype=dtype,
    )  # fmt: skip
    head = torch.nn.Linear((1 + bidirectional) * net.hidden_size, 1, dtype=dtype)
    named = named_parameters(rnn, head)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            named[name].copy_(torch.from_numpy(value))
    return rnn, head


def named_parameters(rnn: Any, head: Any) -> dict[str, Any]:
    return dict(rnn.named_parameters()) | {f"head.{n}": p for n, p in head.named_parameters()}


def laid_out(x: Array, batch_first: bool) -> Any:
    """x (B, T, D) as a tensor."""
    return torch.from_numpy(x if batch_first else np.ascontiguousarray(x.swapaxes(0, 1)))
