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

from rnncore._bench.grid import CELLS
from rnncore._bench.peers.peer import Answer, Contestant, Peer
from rnncore._networks.network import Network
from rnncore._types import Array


class Jax(Peer):
    """Jitted scans."""

    name = "jax"
    cells = tuple(CELLS)
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

        return [contestant(*variant) for variant in variants(net)]

    def forward(self, net: Network, x: Array) -> list[Contestant]:
        p, x_t = on_device(net), time_first(x)

        def contestant(variant: str, logits: Callable[..., Any]) -> Contestant:
            call = jax.jit(logits)
            return Contestant(
                variant, lambda: jax.block_until_ready(call(p, x_t)), lambda y: {"y": np.asarray(y)}
            )

        return [contestant(*variant) for variant in variants(net)]

    def step(self, net: Network, x: Array) -> list[Contestant]:
        p, steps = on_device(net), list(jnp.asarray(x))
        inputs, advance = RECURRENCES[type(net).__name__]
        start = zero_state(net, (), x.dtype)

        def one(p: Any, x_t: Any, state: Any) -> Any:
            state = advance(p, state, inputs(p, x_t))
            return read_out(p, state), state

        call = jax.jit(one)

        def run() -> list[Any]:
            state, outputs = start, []
            for x_t in steps:
                y_t, state = call(p, x_t, state)
                outputs.append(y_t.block_until_ready())
            return outputs

        return [Contestant("jit", run, lambda outputs: {"y": np.array(outputs)})]


def both_biases(p: Any, x: Any) -> Any:
    """W_ih x + b_ih + b_hh"""
    return x @ p["weight_ih_l0"].T + (p["bias_ih_l0"] + p["bias_hh_l0"])


def one_bias(p: Any, x: Any) -> Any:
    """W_ih x + b_ih"""
    return x @ p["weight_ih_l0"].T + p["bias_ih_l0"]


def elman(p: Any, state: Any, a: Any) -> Any:
    """(h_t,) from (h_{t-1},) and what `both_biases` gives."""
    return (jnp.tanh(a + state[0] @ p["weight_hh_l0"].T),)


def lstm(p: Any, state: Any, a: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(a + h @ p["weight_hh_l0"].T, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(p: Any, state: Any, a: Any) -> Any:
    r, z, n = jnp.split(a, 3, axis=-1)
    r_h, z_h, q = jnp.split(state[0] @ p["weight_hh_l0"].T + p["bias_hh_l0"], 3, axis=-1)
    z = jax.nn.sigmoid(z + z_h)
    return ((1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + r_h) * q) + z * state[0],)


#: Cell -> the product of x that does not depend on the state, and the step after it.
RECURRENCES = {"RNN": (both_biases, elman), "LSTM": (both_biases, lstm), "GRU": (one_bias, gru)}


def zero_state(net: Network, leading: tuple[int, ...], dtype: Any) -> Any:
    zeros = jnp.zeros((*leading, net.hidden_size), dtype)
    return (zeros, zeros) if type(net).__name__ == "LSTM" else (zeros,)


def read_out(p: Any, state: Any) -> Any:
    return state[0] @ p["head.weight"][0] + p["head.bias"][0]


def variants(net: Network) -> list[tuple[str, Callable[..., Any]]]:
    """Ways to compute the logits (B,) from the parameters and x (T, B, D), with their names."""
    inputs, advance = RECURRENCES[type(net).__name__]

    def variant(before: bool, unroll: int) -> tuple[str, Callable[..., Any]]:
        def logits(p: Any, x: Any) -> Any:
            def step(state: Any, u: Any) -> tuple[Any, None]:
                return advance(p, state, u if before else inputs(p, u)), None

            start = zero_state(net, (x.shape[1],), x.dtype)
            state, _ = jax.lax.scan(step, start, inputs(p, x) if before else x, unroll=unroll)
            return read_out(p, state)

        return f"inputs {'before' if before else 'in'} scan, unroll {unroll}", logits

    return [variant(before, unroll) for before, unroll in product((True, False), (1, 4))]


def on_device(net: Network) -> dict[str, Any]:
    return {name: jnp.asarray(values) for name, values in net.state_dict().items()}


def time_first(x: Array) -> Any:
    return jnp.asarray(np.ascontiguousarray(x.swapaxes(0, 1)))


def loss_and_grads(result: Any) -> Answer:
    loss, grads = result
    return {"loss": np.asarray(loss), **{name: np.asarray(g) for name, g in grads.items()}}
