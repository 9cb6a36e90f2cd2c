"""The Elman network."""

from __future__ import annotations

from typing import Any, Unpack

from rnncore._checks import arguments as check
from rnncore._model.cells import Cell
from rnncore._networks.network import Common, Network

NONLINEARITIES = ("tanh", "relu", "sigmoid", "identity")


def checked_options(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments that only this cell has."""
    name = check.choice("nonlinearity", config["nonlinearity"], NONLINEARITIES)
    skip = config["skip"]
    return {
        "nonlinearity": name,
        "skip": None if skip is None else check.whole("skip", skip, 1, 2**20),
    }


class RNN(Network):
    """An Elman network with an optional linear read-out and loss.

    ``h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)`` and ``y_t = W_y h_t + b_y``, in
    PyTorch's names and shapes. [1]_ With one input, one hidden unit, one output and no
    biases this is the scalar network ``o_t = f(x_t w_i + o_{t-1} w_h)``.

    Parameters
    ----------
    input_size : int
        Numbers per time step, D; for integer input, the size of the vocabulary.
    hidden_size : int
        Hidden units, H.
    output_size : int, optional
        Outputs, K. Without it the network has no read-out and returns hidden states.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}
        f.
    skip : int, optional
        s: adds ``W_skip h_{t-s}`` inside f, a shortcut through time by which gradients reach s
        steps back in one [4]_; with h zero before the first state.
    num_layers : int
        Layers; each takes the states of the one below as its input.
    bidirectional : bool
        Whether each layer also runs from the last step to the first, with parameters of its own.
        Its states, and what the next layer and the read-out get, are then both directions' side
        by side; the "last" read-out gets each direction's state after its own last step.
    dropout : float
        While the network is fitted, the share of a layer's outputs that the next layer gets as
        zeros, the others being scaled up by 1 / (1 - dropout).
    bias : bool
        Whether recurrence and read-out have biases.
    readout : {"last", "all"}
        One output per sequence, from its last state, or one per time step.
    loss : {None, "bce", "mse", "cross_entropy", "huber", "poisson", "gaussian_nll"}
        What `loss`, `loss_and_grad` and `fit` minimise: the mean, over counted targets d and
        outputs y, of binary cross-entropy on logits; the squared error ``(d - y)**2``;
        cross-entropy on logits, where a negative class does not count; Huber's loss, half the
        squared error up to an error of 1 and linear beyond; ``exp(y) - d y``, for counts with the
        log rate y; or ``(s + (d - m)**2 exp(-s)) / 2``, for numbers with mean m and log variance s:
        the first half of the outputs are the means, the other half the log variances.
    dtype : {"float32", "float64"}
        Precision of parameters, computation and results.
    trainable_h0 : bool
        Whether the state before the first step is a parameter, the same for all sequences (where
        no h0 is given), and at first zero.
    init : {"torch", "glorot", "orthogonal", "identity", "unit"}, mapping or callable
        First parameters. "torch": everything uniform within 1/sqrt(H). All others have zero
        biases and Glorot's uniform weights [2]_, and "orthogonal" an orthogonal recurrent matrix,
        "identity" the identity (with relu this is the IRNN [3]_), "unit", for one unit, w_h = 1.
        A mapping gives arrays by name, those it lacks are as with "torch"; a callable makes them:
        ``init(name, shape, rng)``.
    init_scale : float
        Times the recurrent matrix of "orthogonal", "identity" and "unit".
    seed : int or numpy.random.Generator, optional
        For the first parameters.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Wherever a method takes ``x``, it is one of

    * a (B, T, D) array of numbers;
    * a (B, T) array of integers: tokens, standing for one-hot rows that are never formed;
    * a list of (T_i, D) arrays, or of integer sequences, of any lengths.

    ``lengths`` (B,) says how many steps of each row of an array count, ``mask`` (B, T) which
    ones; a step that does not count leaves the state as it is, gives output zero, and passes
    no gradient to its input. Time is spent on the steps that sequences have, not on padding.

    A state, ``h0`` before the first step or ``Output.final``, is (B, R, H), with one row for each
    layer, or of two directions for each layer's forward and then reverse one, so for a plain
    network (B, 1, H) (as h0 also (B, H)). With a skip connection every row becomes s, the latest
    state first, which is all that the next step needs (as h0 the latest alone will do).

    ``threads`` says how many threads may share a call; None takes as many as there are cores
    (or as ``RNNCORE_THREADS`` in the environment says) where the work is worth sharing, and one
    where it is not. The result does not depend on it, to the last bit.

    A network can be pickled and copied. The GIL is free while the core works, and networks can
    be used from several threads, one network too; only while `fit` changes a network, its calls
    from other threads raise RuntimeError.

    References
    ----------
    .. [1] J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990) 179-211.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010.
    .. [3] Q. V. Le, N. Jaitly and G. E. Hinton, "A simple way to initialize recurrent networks of
       rectified linear units", arXiv:1504.00941 (2015).
    .. [4] T. Lin, B. G. Horne, P. Tino and C. L. Giles, "Learning long-term dependencies in NARX
       recurrent neural networks", IEEE Transactions on Neural Networks 7 (1996) 1329-1338.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((64, 10, 2))
    >>> y = x[:, :, 0].sum(axis=1) > 0
    >>> net = rc.RNN(input_size=2, hidden_size=4, output_size=1, loss="bce", seed=0)
    >>> history = net.fit(x, y, epochs=60, lr=0.03, rng=0)
    >>> bool((net.predict(x) == y).mean() > 0.9)
    True
    """

    _cell = Cell("RNN", options=checked_options)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        nonlinearity: str = "tanh",
        skip: int | None = None,
        **common: Unpack[Common],
    ) -> None:
        own = {"nonlinearity": nonlinearity, "skip": skip}
        super().__init__(input_size, hidden_size, output_size, _of_cell=own, **common)

    @property
    def skip(self) -> int | None:
        """s, the steps of the skip connection, or None."""
        return self._model.config["skip"]  # type: ignore[no-any-return]

    @property
    def nonlinearity(self) -> str:
        """The name of f."""
        return self._model.config["nonlinearity"]  # type: ignore[no-any-return]
