"""The GRU."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import (
    Cell,
    Config,
    Function,
    Gates,
    KeepingBias,
    candidate_options,
    logistic,
)
from rnncore._model.initial import set_gate_bias
from rnncore._networks.documented import with_parameters_of
from rnncore._networks.network import Common, Network
from rnncore._networks.rnn import RNN
from rnncore._types import Array

RESETS = ("after", "before")


def gates(from_x: Array, h: Array, recurrent: Function, f: Function) -> Gates:
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (np.split(of, 3, axis=-1) for of in (from_x, recurrent(h)))
    r = logistic(r_x + r_h)
    return {"r": r, "z": logistic(z_x + z_h), "n": f(n_x + r * n_h)}


def gates_before(from_x: Array, h: Array, recurrent: Function, f: Function) -> Gates:
    shown = gates(from_x, h, recurrent, f)
    n_x, n_h = (np.split(of, 3, axis=-1)[2] for of in (from_x, recurrent(shown["r"] * h)))
    return shown | {"n": f(n_x + n_h)}


def options(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments that only this cell has, checked."""
    reset = config.get("reset", "after")  # which what was pickled long ago does not say
    return {**candidate_options(config), "reset": check.choice("reset", reset, RESETS)}


KEEPING = KeepingBias("update_bias", sign=1, state="h")
BEFORE = Cell("GRU", options=options, gates=gates_before, keeping=KEEPING, in_core="GRU before")


def variant(config: Config) -> Cell | None:
    return BEFORE if config["reset"] == "before" else None


@with_parameters_of(RNN)
class GRU(Network):
    """A network of gated recurrent units with an optional linear read-out and loss.

    Parameters
    ----------
    input_size, hidden_size, output_size, num_layers, bidirectional, dropout, bias, readout, loss
        As for `rnncore.RNN`.
    readout_bias, dtype, trainable_h0, recurrent_dropout, zoneout, switching
        As for `rnncore.RNN`.
    nonlinearity : {"tanh", "relu"}
        Of the candidate n.
    reset : {"after", "before"}
        Whether the reset gate works on the product W_hn h_{t-1} + b_hn, as in PyTorch and cuDNN,
        or on the state before that product, as in [1]_; see the notes.
    init, init_scale
        As for `rnncore.RNN`.
    update_bias : float, optional
        Initial value of every update gate's bias, b_iz + b_hz. With 1 or more, the state is kept
        at first.
    seed
        As for `rnncore.RNN`.

    Raises
    ------
    TypeError, ValueError
        The error names the argument, what was expected and what was given.

    Notes
    -----
    In PyTorch's formula, gate order and names, with s the logistic function::

        r = s(W_ir x_t + b_ir + W_hr h_{t-1} + b_hr)
        z = s(W_iz x_t + b_iz + W_hz h_{t-1} + b_hz)
        n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}

    With ``reset="before"``, ``n = tanh(W_in x_t + b_in + W_hn (r h_{t-1}) + b_hn)``. That is
    ``reset_after=False`` in Keras and ``linear_before_reset=0`` in ONNX.

    The notes of `rnncore.RNN` on ``x``, ``lengths``, ``mask`` and threads apply here too.

    References
    ----------
    .. [1] K. Cho et al., "Learning phrase representations using RNN encoder-decoder for
       statistical machine translation", EMNLP 2014.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((64, 10, 2))
    >>> y = x[:, 0, 0] > 0  # the first of ten steps
    >>> net = rc.GRU(2, 8, 1, loss="bce", seed=0)
    >>> history = net.fit(x, y, epochs=60, lr=0.03, rng=0)
    >>> bool((net.predict(x) == y).mean() > 0.9)
    True
    """

    _cell = Cell("GRU", options=options, gates=gates, keeping=KEEPING, variant=variant)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        nonlinearity: str = "tanh",
        reset: str = "after",
        update_bias: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        own = {"nonlinearity": nonlinearity, "reset": reset}
        super().__init__(input_size, hidden_size, output_size, _of_cell=own, **common)
        set_gate_bias(self._model, "update_bias", 1, update_bias)
