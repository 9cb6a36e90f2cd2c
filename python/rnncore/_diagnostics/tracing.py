"""The states and gates of every layer, step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rnncore._calls.running import forward
from rnncore._data.inputs import Inputs
from rnncore._diagnostics import summaries
from rnncore._model.cells import CANDIDATES
from rnncore._model.configuration import zoneout_of
from rnncore._model.model import HasModel, Model
from rnncore._types import Array


class Trace(NamedTuple):
    """What one layer computed in one direction; returned by ``net.trace``.

    Attributes
    ----------
    hidden : ndarray
        h_t after every step, (B, T, H).
    gates : dict of str to ndarray
        Of an LSTM "i", "f", "g" and "o", of a GRU "r", "z" and "n", of an MGU "f" and "n", after
        their nonlinearities, (B, T, H) each; of an RNN none.
    cell : ndarray or None
        c_t of an LSTM, (B, T, H).

    At a step that does not count, the gates are zero; ``hidden`` and ``cell`` are the state that is
    carried on through it, and zero after the last step that counts, as in `rnncore.Output`.
    """

    hidden: Array
    gates: dict[str, Array]
    cell: Array | None

    def __repr__(self) -> str:
        names = ", ".join(summaries.parts_of(self))
        return f"Trace({names}: {self.hidden.shape} of {self.hidden.dtype})"

    def _repr_html_(self) -> str:
        return summaries.trace(self)

    def plot(self, what: Any = None, sequence: int = 0, ax: Any = None) -> Any:
        """Draw heat maps of time step x unit.

        Needs matplotlib.

        Parameters
        ----------
        what : str or sequence of str, optional
            "hidden", "cell" or the name of a gate, or several of these, a panel for each; if not
            given, all that there are.
        sequence : int, optional
            Which one of the batch, counted from 0.
        ax : matplotlib axes, or one for each panel, optional
            Where to draw. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        TypeError, ValueError
            If there is nothing of that name, or no such sequence.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> layer = rc.LSTM(2, 3, seed=0).trace(np.ones((4, 7, 2)))["l0"]
        >>> figure = layer.plot(["hidden", "f"])  # doctest: +SKIP
        """
        from rnncore._diagnostics import heat_maps

        return heat_maps.trace(self, what, sequence, ax)


def trace(
    self: HasModel,
    x: npt.ArrayLike,
    h0: npt.ArrayLike | None = None,
    lengths: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
) -> dict[str, Trace]:
    """What every layer computed, step by step: its states and, of a gated cell, its gates.

    Meant for inspection, not for speed: the core runs layer by layer, and the gates are computed
    from its states in numpy, in float64.

    Parameters
    ----------
    x, h0, lengths, mask
        See the notes of `rnncore.RNN`.

    Returns
    -------
    dict of str to Trace
        For every layer in every direction, named as in `parameters` ("l0", "l0_reverse", "l1"
        and so on): ``hidden`` (B, T, H), bit-identical to the states that the network computes;
        ``gates``, a dict of (B, T, H) arrays, of an LSTM "i", "f", "g" and "o", of a GRU "r",
        "z" and "n", of an MGU "f" and "n"; ``cell`` (B, T, H), of an LSTM. All in the network's
        precision; see `Trace` for steps that do not count. Those of a list of sequences are
        padded with zeros.

    Raises
    ------
    TypeError, ValueError
        As calling the network.

    Examples
    --------
    How much of its memory each unit keeps from step to step:

    >>> import numpy as np, rnncore as rc
    >>> net, x = rc.LSTM(2, 3, forget_bias=4, seed=0), np.ones((4, 7, 2))
    >>> layer = net.trace(x)["l0"]
    >>> layer.gates["f"].shape, bool((layer.gates["f"] > 0.9).all())
    ((4, 7, 3), True)
    >>> bool(np.allclose(layer.hidden, layer.gates["o"] * np.tanh(layer.cell)))
    True
    >>> sorted(rc.GRU(2, 3, num_layers=2, bidirectional=True).trace(x))
    ['l0', 'l0_reverse', 'l1', 'l1_reverse']
    """
    model = self._model
    inputs = Inputs(model.spec, x, h0, lengths, mask)
    inputs.explain()
    counted = inputs.counted
    if inputs.tokens is not None:
        below = np.where(counted, inputs.padded(inputs.tokens), 0)
    else:
        assert inputs.x is not None
        zero = np.zeros((), model.spec.dtype)
        below = np.where(counted[..., None], inputs.padded(inputs.x), zero)
    rows, result = model.spec.directions * model.spec.history, {}
    for k in range(model.config["num_layers"]):
        width = model.spec.input_size if k == 0 else below.shape[2]
        layer = layer_alone(model, k, width)
        first = [part[:, k * rows : (k + 1) * rows] for part in state_arrays(inputs)]
        hidden = states_of(layer, inputs, below, first)
        for d, suffix in enumerate(("", "_reverse")[: model.spec.directions]):
            result[f"l{k}{suffix}"] = trace_of(layer, d, suffix, inputs, below, hidden, first)
        below = hidden
    return result


def state_arrays(inputs: Inputs) -> list[Array]:
    """h, or h and c, before the first step, each (B, R, H); none if they were not given."""
    if inputs.h0 is None:
        return []
    shape = inputs.count, inputs.spec.state_rows, inputs.spec.hidden_size
    return list(inputs.h0.reshape(-1, *shape))


def layer_alone(model: Model, k: int, width: int) -> Model:
    """The k-th layer, in its one or two directions, as a network without a read-out."""
    layer = model.changed(
        input_size=width, output_size=None, num_layers=1, dropout=0.0, loss=None
    )  # fmt: skip
    for name, values in layer.parameters.items():
        if name in ("h0", "c0"):
            values[...] = model.parameters[name][k * len(values) : (k + 1) * len(values)]
        else:
            values[...] = model.parameters[name.replace("_l0", f"_l{k}")]
    return layer


def states_of(layer: Model, inputs: Inputs, below: Array, first: list[Array]) -> Array:
    """The states of a layer after every step, from its input and the states before the first."""
    state = tuple(first) if len(first) == 2 else first[0] if first else None
    own = Inputs(layer.spec, below, state, mask=inputs.counted if inputs.ragged else None)
    hidden = own.new_rows(layer.spec.width)
    forward(layer, own, hidden, None, None)
    return own.states(hidden)


def trace_of(
    layer: Model, d: int, suffix: str, inputs: Inputs, below: Array, hidden: Array,
    first: list[Array],
) -> Trace:  # fmt: skip
    """Of one direction of a layer, the d-th."""
    H, history = layer.spec.hidden_size, layer.spec.history
    order = slice(None, None, -1 if suffix else 1)  # in which the layer runs through time
    counted, own = inputs.counted, hidden[..., d * H : (d + 1) * H]
    latest = [part[:, d * history] for part in first]
    gates, c = gates_of(layer, suffix, below[:, order], own[:, order], latest, counted[:, order])
    shown = {
        name: np.where(counted[..., None], values[:, order], 0).astype(layer.spec.dtype)
        for name, values in gates.items()
    }
    if c is not None:
        c = np.where(inputs.past_end[..., None], 0, c[:, order]).astype(layer.spec.dtype)
    return Trace(own.copy(), shown, c)


def gates_of(
    layer: Model, suffix: str, x: Array, hidden: Array, first: list[Array], counted: Array
) -> tuple[dict[str, Array], Array | None]:
    """The gates by name, and c of an LSTM, of one direction of a layer. All arrays are in the order
    in which it runs through time: its input (tokens or numbers), its states, and which steps count;
    `first` has h, or h and c, before the first step, if they were given."""
    p, cell = layer.parameters, layer.cell
    w_ih, w_hh = (p[f"weight_{of}_l0{suffix}"].astype(np.float64) for of in ("ih", "hh"))
    first = first or [first_state(layer, name, suffix, len(x)) for name in ("h0", "c0")]
    h = states_before(hidden, first[0], counted)
    from_x = w_ih.T[x] if x.ndim == 2 else x @ w_ih.T
    b_hh: Array | float = 0.0
    if layer.config["bias"]:
        own = p[f"bias_hh_l0{suffix}"]
        from_x, b_hh = from_x + p[f"bias_ih_l0{suffix}"], own[x] if layer.spec.switching else own
    candidate = CANDIDATES.get(layer.config.get("nonlinearity", "tanh"), np.tanh)
    if layer.spec.switching:
        w_hh = w_hh[x]

    def recurrent(state: Array) -> Array:
        product = (w_hh @ state[..., None])[..., 0] if layer.spec.switching else state @ w_hh.T
        result: Array = product + b_hh
        return result

    gates = cell.gates(from_x, h, recurrent, candidate)
    if cell.next_memory is None:
        return gates, None
    cells, c = np.empty(h.shape), first[1].astype(np.float64)
    kept = zoneout_of(layer.config)[1]
    for t in range(h.shape[1]):
        new = cell.next_memory({name: values[:, t] for name, values in gates.items()}, c)
        c = np.where(counted[:, t, None], kept * c + (1 - kept) * new, c)
        cells[:, t] = c
    return gates, cells


def first_state(layer: Model, name: str, suffix: str, count: int) -> Array:
    """h or c before the first step where none was given, (B, H)."""
    start = layer.parameters.get(name)
    row = np.zeros(layer.spec.hidden_size) if start is None else start[int(suffix == "_reverse")]
    return np.broadcast_to(row, (count, len(row)))


def states_before(states: Array, first: Array, counted: Array) -> Array:
    """The state before every step: that after the latest earlier step that counts."""
    latest = np.maximum.accumulate(np.where(counted, np.arange(1, counted.shape[1] + 1), 0), axis=1)
    where = np.concatenate([np.zeros_like(latest[:, :1]), latest[:, :-1]], axis=1)
    every = np.concatenate([first[:, None], states], axis=1).astype(np.float64)
    return np.take_along_axis(every, where[..., None], axis=1)
