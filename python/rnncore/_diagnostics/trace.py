"""What the cells of a network did: the states and gates of every layer, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnncore._diagnostics.flow import plain_class
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._calls.running import Function


class Trace(NamedTuple):
    """What one layer did in one direction; from ``net.trace``.

    Attributes
    ----------
    hidden : ndarray
        h_t after every step, (B, T, H).
    gates : dict of str to ndarray
        Of an LSTM "i", "f", "g" and "o", of a GRU "r", "z" and "n", after their nonlinearities,
        (B, T, H) each; of an RNN none.
    cell : ndarray or None
        c_t of an LSTM, (B, T, H).

    A step that does not count has zeros in the gates; ``hidden`` and ``cell`` have the states that
    are carried on through it, and zeros after the last step that counts, as in `rnncore.Output`.
    """

    hidden: Array
    gates: dict[str, Array]
    cell: Array | None


def trace(net: Function, x: Any, options: dict[str, Any]) -> dict[str, Trace]:
    """Every layer by itself as a network of the core, whose states give its gates: those of all
    steps at once, in float64."""
    inputs = net._inputs(x, **options)
    inputs.explain()
    counted, H = inputs.counted, net.hidden_size
    if inputs.tokens is not None:
        below = np.where(counted, inputs.padded(inputs.tokens), 0)
    else:
        assert inputs.x is not None
        below = np.where(counted[..., None], inputs.padded(inputs.x), net._zero)
    parts = np.empty(0) if inputs.h0 is None else inputs.h0
    h0 = list(parts.reshape(-1, inputs.count, net._form.state_rows, H))  # h, or h and c
    suffixes = ("", "_reverse") if net._config["bidirectional"] else ("",)
    rows, result = len(suffixes) * net._form.history, {}
    for k in range(net._config["num_layers"]):
        layer = layer_alone(net, k, net.input_size if k == 0 else below.shape[2])
        given = [part[:, k * rows : (k + 1) * rows] for part in h0]
        state = tuple(given) if len(given) == 2 else given[0] if given else None
        hidden = layer(below, state, mask=counted if inputs.ragged else None).hidden
        for d, suffix in enumerate(suffixes):
            way = slice(None, None, -1 if suffix else 1)  # through time
            mine = hidden[..., d * H : (d + 1) * H]
            first = [part[:, d * net._form.history] for part in given]
            gates, cell = gates_of(
                layer, suffix, below[:, way], mine[:, way], first, counted[:, way]
            )
            shown = {
                name: np.where(counted[..., None], values[:, way], 0).astype(net._dtype)
                for name, values in gates.items()
            }
            c = None
            if cell is not None:
                c = np.where(inputs.past_end[..., None], 0, cell[:, way]).astype(net._dtype)
            result[f"l{k}{suffix}"] = Trace(mine.copy(), shown, c)
        below = hidden
    return result


def layer_alone(net: Function, k: int, width: int) -> Function:
    """The k-th layer, in its one or two directions, as a network without a read-out."""
    own = {
        "input_size": width, "output_size": None, "num_layers": 1, "dropout": 0.0, "loss": None,
    }  # fmt: skip
    layer: Function = plain_class(net)(**{**net._config, **own}, seed=0)
    for name, values in layer._parameters.items():
        if name in ("h0", "c0"):
            values[...] = net._parameters[name][k * len(values) : (k + 1) * len(values)]
        else:
            values[...] = net._parameters[name.replace("_l0", f"_l{k}")]
    return layer


def gates_of(
    layer: Function, suffix: str, x: Array, hidden: Array, first: list[Array], counted: Array
) -> tuple[dict[str, Array], Array | None]:
    """The gates of a layer in one direction by name, and c of an LSTM, all along its way through
    time: from its input (tokens, or numbers), its states, and the first of these."""
    p = layer._parameters
    w_ih, w_hh = (p[f"weight_{of}_l0{suffix}"].astype(np.float64) for of in ("ih", "hh"))
    first = first or [first_state(layer, name, suffix, len(x)) for name in ("h0", "c0")]
    h = before(hidden, first[0], counted)
    of_x = w_ih.T[x] if x.ndim == 2 else x @ w_ih.T
    of_h = h @ w_hh.T
    if layer.bias:
        of_x, of_h = of_x + p[f"bias_ih_l0{suffix}"], of_h + p[f"bias_hh_l0{suffix}"]
    gates = layer._gates(of_x, of_h)
    if layer._form.states == 1:
        return gates, None
    cells, c = np.empty(h.shape), first[1].astype(np.float64)
    for t in range(h.shape[1]):
        new = layer._next_memory({name: values[:, t] for name, values in gates.items()}, c)
        c = np.where(counted[:, t, None], new, c)
        cells[:, t] = c
    return gates, cells


def first_state(layer: Function, name: str, suffix: str, count: int) -> Array:
    """h or c before the first step where none was given, (B, H)."""
    start = layer._parameters.get(name)
    row = np.zeros(layer.hidden_size) if start is None else start[int(suffix == "_reverse")]
    return np.broadcast_to(row, (count, len(row)))


def before(states: Array, first: Array, counted: Array) -> Array:
    """The state before every step: after the last one before it that counts."""
    latest = np.maximum.accumulate(np.where(counted, np.arange(1, counted.shape[1] + 1), 0), axis=1)
    where = np.concatenate([np.zeros_like(latest[:, :1]), latest[:, :-1]], axis=1)
    every = np.concatenate([first[:, None], states], axis=1).astype(np.float64)
    return np.take_along_axis(every, where[..., None], axis=1)
