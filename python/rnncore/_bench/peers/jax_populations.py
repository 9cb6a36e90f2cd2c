"""Populations by jax: one train step of every member at once, in the two ways that people write it.

``vmap``   the step of one network, mapped over the members
``lanes``  written out unit by unit, with the members in the last axis of every array
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore._types import Array

Step = Callable[[], Array]


def losses_of(jax: Any, kind: str, loss: str, tokens: bool = False) -> Callable[..., Any]:
    """The mean loss of one network on x (B, T, D), or tokens (B, T), and y (B,) or (B, T)."""
    jnp = jax.numpy

    def of_x(p: Any, x: Any) -> Any:
        w = p["weight_ih_l0"].T
        return w[x] if tokens else x @ w

    def rnn(p: Any, h: Any, x: Any) -> Any:
        a = of_x(p, x) + p["bias_ih_l0"] + h @ p["weight_hh_l0"].T + p["bias_hh_l0"]
        return jnp.tanh(a)

    def gru(p: Any, h: Any, x: Any) -> Any:
        r_x, z_x, n_x = jnp.split(of_x(p, x) + p["bias_ih_l0"], 3, axis=-1)
        r_h, z_h, n_h = jnp.split(h @ p["weight_hh_l0"].T + p["bias_hh_l0"], 3, axis=-1)
        r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
        return (1 - z) * jnp.tanh(n_x + r * n_h) + z * h

    cell = {"RNN": rnn, "GRU": gru}[kind]

    def mean(p: Any, x: Any, y: Any) -> Any:
        def step(h: Any, x_t: Any) -> Any:
            h = cell(p, h, x_t)
            return h, h if loss == "cross_entropy" else None

        weight = p["weight_hh_l0"]
        start = jnp.zeros((x.shape[0], weight.shape[-1]), weight.dtype)
        h, states = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))
        if loss == "bce":
            z = (h @ p["head.weight"].T + p["head.bias"])[:, 0]
            return (jnp.maximum(z, 0) - y * z + jnp.log1p(jnp.exp(-abs(z)))).mean()
        logs = jax.nn.log_softmax(states @ p["head.weight"].T + p["head.bias"])
        return -jnp.take_along_axis(logs, jnp.swapaxes(y, 0, 1)[..., None], -1).mean()

    return mean


def losses_in_lanes(jax: Any, kind: str, loss: str) -> Callable[..., Any]:
    """The same of all members (the sum of their means, and these): parameters (*shape, members)."""
    jnp = jax.numpy

    def product(w: Any, u: list[Any], i: int) -> Any:
        return sum(w[i, j] * u[j] for j in range(len(u)))

    def rnn(p: Any, h: list[Any], x: list[Any]) -> list[Any]:
        w, v, b, c = (p[f"{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        return [jnp.tanh(product(w, x, i) + b[i] + product(v, h, i) + c[i]) for i in range(len(h))]

    def gru(p: Any, h: list[Any], x: list[Any]) -> list[Any]:
        w, v, b, c = (p[f"{n}_l0"] for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        new, H = [], len(h)
        for i in range(H):
            r, z = (jax.nn.sigmoid(product(w, x, k) + b[k] + product(v, h, k) + c[k])
                    for k in (i, H + i))  # fmt: skip
            k = 2 * H + i
            n = jnp.tanh(product(w, x, k) + b[k] + r * (product(v, h, k) + c[k]))
            new.append((1 - z) * n + z * h[i])
        return new

    cell = {"RNN": rnn, "GRU": gru}[kind]

    def mean(p: Any, x: Any, y: Any) -> Any:
        H, D, members = p["weight_hh_l0"].shape[1], x.shape[2], p["head.bias"].shape[-1]

        def step(h: list[Any], x_t: Any) -> Any:
            h = cell(p, h, [x_t[:, d, None] for d in range(D)])
            return h, h if loss == "cross_entropy" else None

        start = [jnp.zeros((x.shape[0], members), x.dtype)] * H
        h, states = jax.lax.scan(step, start, jnp.swapaxes(x, 0, 1))
        if loss == "bce":
            z = product(p["head.weight"], h, 0) + p["head.bias"][0]
            d = y[:, None]
            means = (jnp.maximum(z, 0) - d * z + jnp.log1p(jnp.exp(-abs(z)))).mean(axis=0)
        else:
            K = p["head.bias"].shape[0]
            z = jnp.stack([product(p["head.weight"], states, k) + p["head.bias"][k]
                           for k in range(K)])  # fmt: skip
            logs = jax.nn.log_softmax(z, axis=0)
            picked = jnp.take_along_axis(logs, jnp.swapaxes(y, 0, 1)[None, :, :, None], 0)
            means = -picked[0].mean(axis=(0, 1))
        return means.sum(), means

    return mean


def optimised(jax: Any, gradient: Any, parameters: dict[str, Array], lr: float) -> Any:
    """(step, state): ``state, losses = step(state, x, y)`` is a step of AdamW, compiled; the first
    of a state are the parameters."""
    jnp = jax.numpy

    def step(state: Any, x: Any, y: Any) -> Any:
        p, m, v, n = state
        losses, g = gradient(p, x, y)
        n = n + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        a, b = lr / (1 - 0.9**n), 1 / jnp.sqrt(1 - 0.999**n)
        p = jax.tree.map(lambda p, m, v: p - a * m / (jnp.sqrt(v) * b + 1e-8), p, m, v)
        return (p, m, v, n), losses

    p = {name: jnp.asarray(values) for name, values in parameters.items()}
    zeros = jax.tree.map(jnp.zeros_like, p)
    return jax.jit(step), (p, zeros, zeros, jnp.zeros((), p["bias_hh_l0"].dtype))


def mapped(jax: Any, kind: str, loss: str) -> tuple[Any, Any]:
    """The losses of all members, (members,), and these with their gradients, by `jax.vmap`."""
    one = losses_of(jax, kind, loss)
    axes = (0, None, None)
    return jax.vmap(one, in_axes=axes), jax.vmap(jax.value_and_grad(one), in_axes=axes)


def steps(
    kind: str, loss: str, parameters: dict[str, Array], x: Array, y: Array, lr: float
) -> dict[str, Step]:
    """For each way a function that takes a step of AdamW and returns the losses before it."""
    try:
        import jax
    except ImportError:
        return {}
    together = jax.grad(losses_in_lanes(jax, kind, loss), has_aux=True)

    def by_lanes(p: Any, x: Any, y: Any) -> Any:
        slopes, means = together(p, x, y)
        return means, slopes

    def stepping(gradient: Any, moved: Callable[[Array], Array]) -> Step:
        values = {name: moved(values) for name, values in parameters.items()}
        step, state = optimised(jax, gradient, values, lr)
        given = jax.numpy.asarray(x), jax.numpy.asarray(y)

        def call() -> Array:
            nonlocal state
            state, losses = step(state, *given)
            return np.asarray(losses)

        return call

    return {
        "jax.vmap": stepping(mapped(jax, kind, loss)[1], lambda values: values),
        "jax, members in the last axis": stepping(by_lanes, lambda v: np.moveaxis(v, 0, -1)),
    }


def whole_fit(
    parameters: dict[str, Array],
    train: tuple[Array, Array],
    held: tuple[Array, Array],
    epochs: int,
    patience: int,
    batch_size: int,
    lr: float,
) -> Callable[[], tuple[Array, int]] | None:
    """A fit of all GRUs by `jax.vmap`, which returns each member's best validation loss, and how
    many epochs it took until each had been without a better one for `patience` epochs: a member
    cannot leave before. Compiled beforehand; None without jax."""
    try:
        import jax
    except ImportError:
        return None
    losses, gradient = mapped(jax, "GRU", "cross_entropy")
    step, first = optimised(jax, gradient, parameters, lr)
    losses = jax.jit(losses)

    def where(better: Any, new: Any, old: Any) -> Any:
        def of(new: Any, old: Any) -> Any:
            return jax.numpy.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

        return jax.tree.map(of, new, old)

    chosen = jax.jit(where)
    x, y = train
    for size in (batch_size, len(x) % batch_size):
        if size:
            step(first, x[:size], y[:size])
    losses(first[0], *held)

    def call() -> tuple[Array, int]:
        rng, state, kept, epoch = np.random.default_rng(0), first, first[0], 0
        members = len(kept["bias_hh_l0"])
        lowest, since = np.full(members, np.inf), np.zeros(members, int)
        while epoch < epochs and (since < patience).any():
            epoch += 1
            order = rng.permutation(len(x))
            for at in range(0, len(x), batch_size):
                part = order[at : at + batch_size]
                state, _ = step(state, x[part], y[part])
            now = np.asarray(losses(state[0], *held))
            better = (now < lowest) & (since < patience)
            kept = chosen(better, state[0], kept)
            lowest = np.where(better, now, lowest)
            since = np.where(better, 0, since + (since < patience))
        jax.block_until_ready(kept)
        return lowest, epoch

    return call
