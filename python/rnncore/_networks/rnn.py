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
        D, the numbers per time step; for tokens, the size of the vocabulary.
    hidden_size : int
        H, the hidden units.
    output_size : int, optional
        K, the outputs. Without it the network has no read-out and returns hidden states.
    nonlinearity : {"tanh", "relu", "sigmoid", "identity"}
        The function f.
    skip : int, optional
        s adds ``W_skip h_{t-s}`` inside f: a connection over which gradients go s steps back at
        once [4]_. States before the first step are zero.
    num_layers : int
        Each layer takes the states of the layer below as its input.
    bidirectional : bool
        Whether each layer also runs from the last step to the first, with parameters of its own.
        The next layer and the read-out then get the states of both directions side by side; with
        ``readout="last"``, the state of each direction after its own last step.
    dropout : float
        During a fit, the share of a layer's outputs that are zero for the next layer. The others
        are multiplied by 1 / (1 - dropout).
    recurrent_dropout : float
        During a fit, the share of the units of h_{t-1} that are zero where W_hh meets them, the
        same ones at every step of a sequence [5]_. The others are multiplied by
        1 / (1 - recurrent_dropout). A skip connection, and what a gated cell carries on of its
        state, are left alone.
    zoneout : float
        During a fit, the probability with which a unit stays as it was at a step,
        h_t = h_{t-1} [6]_, drawn for every unit and step. Otherwise, wherever the network is run,
        every unit does so by that share: h_t is zoneout h_{t-1} + (1 - zoneout) times what it
        would be without.
    switching : bool
        Whether W_hh and b_hh are others for every token [7]_: ``weight_hh_l0`` (D, H, H), of a cell
        with gates (D, gates H, H), and ``bias_hh_l0`` (D, H). The token of a step, x_t, chooses
        among them as it chooses its column of W_ih. Inputs are integers, and there is one layer in
        one direction, without a skip connection.
    bias : bool
        Whether the recurrent layers have biases.
    readout_bias : bool, optional
        Whether the read-out has a bias. None: where the recurrent layers have.
    readout : {"last", "all", "before"}
        One output per sequence, from its last state, or one per time step: from the state after
        it, or with "before" from the state before it, ``y_t = W_y h_{t-1} + b_y``, what is
        predicted before x_t is seen (in one direction only). Then y_1 reads the first state.
    loss : {None, "bce", "mse", "cross_entropy", "huber", "poisson", "gaussian_nll"}
        What `loss`, `loss_and_grad` and `fit` compute: the mean over all counted targets d, with
        outputs y, of

        * "bce": binary cross-entropy of the logit y;
        * "mse": the squared error ``(d - y)**2``;
        * "cross_entropy": cross-entropy of logits, against classes, of which a negative one does
          not count, or against a probability p_k of each: ``-sum_k p_k log softmax(y)_k``;
        * "huber": half the squared error up to an error of 1, and linear beyond;
        * "poisson": ``exp(y) - d y``, for counts d, where y is the logarithm of the rate;
        * "gaussian_nll": ``(s + (d - m)**2 exp(-s)) / 2``, for numbers d of mean m and log
          variance s; the first half of the outputs are m, the second half s.
    dtype : {"float32", "float64"}
        Precision of parameters, computation and results.
    trainable_h0 : bool
        Whether the state before the first step is a parameter, which is initially zero. It is the
        same for all sequences, and used where no h0 is given.
    init : {"torch", "glorot", "orthogonal", "identity", "unit"}, mapping or callable
        Initial parameters. With "torch" all are uniform within 1/sqrt(H). With the other names
        biases are zero and weights uniform as Glorot and Bengio have them [2]_, but the recurrent
        matrix (of a cell with gates, each gate's block of it) is orthogonal for "orthogonal", the
        identity for "identity" (with relu this is the IRNN [3]_) and, of a single unit, 1 for
        "unit". A mapping has arrays by name; parameters without one are as with
        "torch". A callable is called as ``init(name, shape, rng)`` and returns an array.
    init_scale : float
        Factor of the recurrent matrix of "orthogonal", "identity" and "unit".
    seed : int or numpy.random.Generator, optional
        For the initial parameters.

    Raises
    ------
    TypeError, ValueError
        The error names the argument, what was expected and what was given.

    Notes
    -----
    Wherever a method takes ``x``, it is one of

    * a (B, T, D) array of numbers;
    * a (B, T) array of integers: tokens, which are treated as one-hot vectors;
    * a list of (T_i, D) arrays, or of integer sequences, of any lengths.

    ``lengths`` (B,) says how many steps of each row of an array count, ``mask`` (B, T) which
    ones. At a step that does not count the state is carried on, the output is zero, and the
    gradient of the input is zero. Almost no time is spent on padding.

    A state, such as ``h0`` before the first step or ``Output.final``, is (B, R, H), with one row
    for each layer, or in a bidirectional network for each layer first the forward and then the
    reverse direction. With one layer and direction it is (B, 1, H); as h0 also (B, H). With a skip
    connection there are s rows instead of each, the latest state first; as h0, the latest alone is
    also accepted, and the earlier ones are then zero.

    ``threads`` says how many threads may share a call. None: chosen automatically, all cores (or
    ``RNNCORE_THREADS`` of the environment) where the call is long enough, else one. Results are
    bit-identical for any number of threads.

    A network can be pickled and copied. The GIL is released while the core works, and a network can
    be used from several threads at once. Only while `fit` or `load_state_dict` changes it, a
    concurrent call raises RuntimeError.

    References
    ----------
    .. [1] J. L. Elman, "Finding structure in time", Cognitive Science 14 (1990) 179-211.
    .. [2] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward
       neural networks", AISTATS 2010.
    .. [3] Q. V. Le, N. Jaitly and G. E. Hinton, "A simple way to initialize recurrent networks of
       rectified linear units", arXiv:1504.00941 (2015).
    .. [4] T. Lin, B. G. Horne, P. Tino and C. L. Giles, "Learning long-term dependencies in NARX
       recurrent neural networks", IEEE Transactions on Neural Networks 7 (1996) 1329-1338.
    .. [5] Y. Gal and Z. Ghahramani, "A theoretically grounded application of dropout in recurrent
       neural networks", NeurIPS 2016.
    .. [6] D. Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden
       activations", ICLR 2017.
    .. [7] L. Ji-An, M. K. Benna and M. G. Mattar, "Discovering cognitive strategies with tiny
       recurrent neural networks", Nature 644 (2025) 993-1001.

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
