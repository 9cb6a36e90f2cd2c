"""JAX: ``jax.jit`` of ``jax.value_and_grad`` over ``jax.lax.scan``, compiled by XLA.

The best practice of JAX: one compiled function for all of the work, data on the device
beforehand, ``block_until_ready`` before the clock is read.  Tried are the input product of all
steps before the scan or in it, and the scan's body unrolled or not.  Dispatch is synchronous:
that is faster for functions of microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnncore._bench.peers import Answer, Contestant, Peer
from rnncore._checks import Array
from rnncore._network import Network


class Jax(Peer):
    """Jitted scans."""

    name = "jax"
    version = jax.__version__

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        jax.config.update("jax_enable_x64", True)  # so that float64 stays what it is

    def train(self, net: Network, x: Array, y: Array) -> list[Contestant]:
        p, x_t, targets = on_device(net), time_first(x), jnp.asarray(y)

        def contestant(variant: str, logits: Callable[..., Any]) -> Contestant:
            def loss(p: Any, x: Any, y: Any) -> Any:
                z = logits(p, x)
                return jnp.mean(jax.nn.softplus(z) - y * z)

            call = jax.jit(jax.value_and_grad(loss))
            return Contestant(
                variant, lambda: jax.block_until_ready(call(p, x_t, targets)), loss_and_grads
            )

        return [contestant(*variant) for variant in variants()]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        p, x_t = on_device(net), time_first(x)

        def contestant(variant: str, logits: Callable[..., Any]) -> Contestant:
            call = jax.jit(logits)
            return Contestant(
                variant, lambda: jax.block_until_ready(call(p, x_t)), lambda y: {"y": np.asarray(y)}
            )

        return [contestant(*variant) for variant in variants()]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        p, steps = on_device(net), list(jnp.asarray(x))
        start = jnp.zeros(net.hidden_size, x.dtype)

        def one(p: Any, x_t: Any, h: Any) -> Any:
            h = advance(p, h, inputs(p, x_t))
            return read_out(p, h), h

        call = jax.jit(one)

        def run() -> list[Any]:
            h, outputs = start, []
            for x_t in steps:
                y_t, h = call(p, x_t, h)
                outputs.append(y_t.block_until_ready())
            return outputs

        return [Contestant("jit", run, lambda outputs: {"y": np.array(outputs)})]


def inputs(p: Any, x: Any) -> Any:
    """W_ih x + b"""
    return x @ p["weight_ih_l0"].T + (p["bias_ih_l0"] + p["bias_hh_l0"])


def advance(p: Any, h: Any, a: Any) -> Any:
    """h_t from h_{t-1} and W_ih x_t + b"""
    return jnp.tanh(a + h @ p["weight_hh_l0"].T)


def read_out(p: Any, h: Any) -> Any:
    return h @ p["head.weight"][0] + p["head.bias"][0]


def variants() -> list[tuple[str, Callable[..., Any]]]:
    """Ways to compute the logits (B,) from the parameters and x (T, B, D), with their names."""

    def variant(before: bool, unroll: int) -> tuple[str, Callable[..., Any]]:
        def logits(p: Any, x: Any) -> Any:
            def step(h: Any, u: Any) -> tuple[Any, None]:
                return advance(p, h, u if before else inputs(p, u)), None

            h0 = jnp.zeros((x.shape[1], len(p["bias_hh_l0"])), x.dtype)
            h, _ = jax.lax.scan(step, h0, inputs(p, x) if before else x, unroll=unroll)
            return read_out(p, h)

        return f"inputs {'before' if before else 'in'} scan, unroll {unroll}", logits

    return [variant(before, unroll) for before, unroll in product((True, False), (1, 4))]


def on_device(net: Network) -> dict[str, Any]:
    return {name: jnp.asarray(values) for name, values in net.state_dict().items()}


def time_first(x: Array) -> Any:
    return jnp.asarray(np.ascontiguousarray(x.swapaxes(0, 1)))


def loss_and_grads(result: Any) -> Answer:
    loss, grads = result
    return {"loss": np.asarray(loss), **{name: np.asarray(g) for name, g in grads.items()}}
