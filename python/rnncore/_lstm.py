"""The LSTM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rnncore._initial import Init
from rnncore._network import Network


class LSTM(Network):
    """A long short-term memory with an optional linear read-out and loss.

    Parameters
    ----------
    input_size, hidden_size, output_size, num_layers, bidirectional, dropout, bias, readout, loss
        As for `rnncore.RNN`.
    dtype, trainable_h0
        As for `rnncore.RNN`.
    init, init_scale
        First parameters, as for `rnncore.RNN`; "orthogonal" makes each gate's block orthogonal.
    forget_bias : float, optional
        First value of every forget gate's bias, b_ih + b_hh: 1 keeps the memory at the start. [2]_
    seed : int or numpy.random.Generator, optional
        For the first parameters.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    In PyTorch's formula, gate order and names, with s the logistic function::

        i, f, g, o = the four blocks of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
        c_t = s(f) c_{t-1} + s(i) tanh(g)
        h_t = s(o) tanh(c_t)

    A state is a pair (h, c): ``h0`` is one, ``Output.final`` is one, `vjp` returns one.

    Everything `rnncore.RNN` says about ``x``, ``lengths``, ``mask`` and threads holds here.

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

    _kind = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        readout: str = "last",
        loss: str | None = None,
        init: Init = "torch",
        init_scale: float = 1.0,
        dtype: npt.DTypeLike = "float32",
        trainable_h0: bool = False,
        forget_bias: float | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> None:
        config = {
            "input_size": input_size,
            "hidden_size": hidden_size,
            "output_size": output_size,
            "num_layers": num_layers,
            "bidirectional": bidirectional,
            "dropout": dropout,
            "trainable_h0": trainable_h0,
            "bias": bias,
            "readout": readout,
            "loss": loss,
            "dtype": dtype,
        }
        super().__init__(config, seed, init, init_scale)
        self._set_gate_bias("forget_bias", forget_bias)
