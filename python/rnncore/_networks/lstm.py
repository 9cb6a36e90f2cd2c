"""The LSTM."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from rnncore._model.cells import Cell, Function, Gates, KeepingBias, logistic
from rnncore._model.initial import set_gate_bias
from rnncore._networks.documented import with_parameters_of
from rnncore._networks.network import Common, Network
from rnncore._networks.rnn import RNN
from rnncore._types import Array


def gates(from_x: Array, h: Array, recurrent: Function, _of_candidate: Function) -> Gates:
    i, f, g, o = np.split(from_x + recurrent(h), 4, axis=-1)
    return {"i": logistic(i), "f": logistic(f), "g": np.tanh(g), "o": logistic(o)}


def next_memory(gates: Gates, c: Array) -> Array:
    new: Array = gates["f"] * c + gates["i"] * gates["g"]
    return new


@with_parameters_of(RNN)
class LSTM(Network):
    """A long short-term memory with an optional linear read-out and loss.

    Parameters
    ----------
    input_size, hidden_size, output_size, num_layers, bidirectional, dropout, bias, readout, loss
        As for `rnncore.RNN`.
    readout_bias, dtype, trainable_h0, recurrent_dropout, switching
        As for `rnncore.RNN`.
    zoneout : float or pair of float
        During a fit, the probability with which a unit of h, and one of c, stays as it was at a
        step; each is drawn for itself, and a pair has a probability for h and one for c. h_t is
        formed of the new c_t, before a part of that stays as it was. Otherwise, wherever the
        network is run, every unit does so by that share.
    init, init_scale
        As for `rnncore.RNN`.
    forget_bias : float, optional
        Initial value of every forget gate's bias, b_if + b_hf. With 1 or more, the memory is kept
        at first. [2]_
    seed
        As for `rnncore.RNN`.

    Raises
    ------
    TypeError, ValueError
        The error names the argument, what was expected and what was given.

    Notes
    -----
    In PyTorch's formula, gate order and names, with s the logistic function::

        i, f, g, o = the four blocks of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = s(f) c_{t-1} + s(i) tanh(g)
        h_t = s(o) tanh(c_t)

    A state is a pair (h, c): ``h0`` is one, ``Output.final`` is one, `vjp` returns one.

    The notes of `rnncore.RNN` on ``x``, ``lengths``, ``mask`` and threads apply here too.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 9
       (1997) 1735-1780; with the forget gate of F. Gers, J. Schmidhuber and F. Cummins,
       Neural Computation 12 (2000) 2451-2471.
    .. [2] R. Jozefowicz, W. Zaremba and I. Sutskever, "An empirical exploration of recurrent
       network architectures", ICML 2015.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((64, 10, 2))
    >>> y = x[:, 0, 0] > 0  # the first of ten steps
    >>> net = rc.LSTM(2, 8, 1, loss="bce", seed=0)
    >>> history = net.fit(x, y, epochs=60, lr=0.03, rng=0)
    >>> bool((net.predict(x) == y).mean() > 0.9)
    True
    >>> h, c = net(x).final
    >>> h.shape, c.shape
    ((64, 1, 8), (64, 1, 8))
    """

    _cell = Cell(
        "LSTM",
        gates=gates,
        next_memory=next_memory,
        keeping=KeepingBias("forget_bias", sign=1, state="c"),
    )

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        forget_bias: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        super().__init__(input_size, hidden_size, output_size, **common)
        set_gate_bias(self._model, "forget_bias", 1, forget_bias)
