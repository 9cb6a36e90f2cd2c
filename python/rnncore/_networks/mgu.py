"""The minimal gated unit."""

from __future__ import annotations

from typing import Unpack

import numpy as np

from rnncore._model.cells import (
    Cell,
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


def gates(from_x: Array, h: Array, recurrent: Function, phi: Function) -> Gates:
    (f_x, n_x), (f_h, n_h) = (np.split(of, 2, axis=-1) for of in (from_x, recurrent(h)))
    f = logistic(f_x + f_h)
    return {"f": f, "n": phi(n_x + f * n_h)}


@with_parameters_of(RNN)
class MGU(Network):
    """A network of minimal gated units with an optional linear read-out and loss. [1]_

    It has one gate where a GRU has two, and so two thirds of the parameters: useful where networks
    are very small and data are few.

    Parameters
    ----------
    input_size, hidden_size, output_size, num_layers, bidirectional, dropout, bias, readout, loss
        As for `rnncore.RNN`.
    readout_bias, dtype, trainable_h0, recurrent_dropout, zoneout, switching
        As for `rnncore.RNN`.
    nonlinearity : {"tanh", "relu"}
        Of the candidate n.
    init, init_scale
        As for `rnncore.RNN`.
    forget_bias : float, optional
        Initial value of every gate's bias, b_if + b_hf. With -1 or less, the state is kept at
        first.
    seed
        As for `rnncore.RNN`.

    Raises
    ------
    TypeError, ValueError
        The error names the argument, what was expected and what was given.

    Notes
    -----
    With s the logistic function, and the gate working on the product as in PyTorch's GRU (in [1]_
    it works on the state before the product: W_hn (f h_{t-1}))::

        f = s(W_if x_t + b_if + W_hf h_{t-1} + b_hf)
        n = tanh(W_in x_t + b_in + f (W_hn h_{t-1} + b_hn))
        h_t = (1 - f) h_{t-1} + f n

    The rows of the weights are those of f, then those of n.

    The notes of `rnncore.RNN` on ``x``, ``lengths``, ``mask`` and threads apply here too.

    References
    ----------
    .. [1] G.-B. Zhou, J. Wu, C.-L. Zhang and Z.-H. Zhou, "Minimal gated unit for recurrent neural
       networks", International Journal of Automation and Computing 13 (2016) 226-234.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((64, 10, 2))
    >>> y = x[:, 0, 0] > 0  # the first of ten steps
    >>> net = rc.MGU(2, 8, 1, loss="bce", seed=0)
    >>> history = net.fit(x, y, epochs=100, lr=0.03, rng=0)
    >>> bool((net.predict(x) == y).mean() > 0.9)
    True
    """

    _cell = Cell(
        "MGU", options=candidate_options, gates=gates,
        keeping=KeepingBias("forget_bias", sign=-1, state="h"),
    )  # fmt: skip

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        nonlinearity: str = "tanh",
        forget_bias: float | None = None,
        **common: Unpack[Common],
    ) -> None:
        own = {"nonlinearity": nonlinearity}
        super().__init__(input_size, hidden_size, output_size, _of_cell=own, **common)
        set_gate_bias(self._model, "forget_bias", 0, forget_bias)
