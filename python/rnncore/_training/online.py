"""Learning at every step of a stream: ``net.online``, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore._calls.streaming import arrays_of, converted_state, explain
from rnncore._checks import arguments as check
from rnncore._model.model import HasModel, Model
from rnncore._training.one_step import explain_target, input_of, target_of
from rnncore._training.options import checked_options
from rnncore._training.stepping import (
    Stepped,
    array_like,
    entries_like,
    restore_rule,
    state_of_rule,
)
from rnncore._types import Array, State

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Online

#: Options of `fit` that the core's learner takes as they are.
OF_A_RULE = ("rule", "momentum", "alpha", "beta1", "beta2", "eps", "clip_norm", "clip_value",
             "decay", "l1", "free", "leader")  # fmt: skip


class OnlineLearner(Stepped):
    """A network that learns at every step of one stream; see `rnncore.RNN.online`.

    It can be copied and pickled, with its network.

    Attributes
    ----------
    net : network
        The one that learns.
    lr : float
        The learning rate of the steps to come; with 0 no update is made.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.GRU(1, 4, 1, readout="all", loss="mse", seed=0)
    >>> learner = net.online(lr=0.05)
    >>> wave = np.sin(0.3 * np.arange(2001))
    >>> losses = [learner.step(wave[t : t + 1], wave[t + 1]) for t in range(2000)]
    >>> bool(np.mean(losses[-100:]) < 0.05 * np.mean(losses[:100]))
    True
    """

    def __init__(
        self, net: HasModel, options: dict[str, Any], method: str,
        rng: int | np.random.Generator | None,
    ) -> None:  # fmt: skip
        self.net, self._options, self._method = net, options, method
        model = net._model
        checked = checked_options(
            model, **options | {"lr": 1.0}, activation=0.0, truncate=None, epochs=1,
            batch_size=1, patience=None, shuffle=False, threads=None, progress=None,
            callback=None, checkpoint=None,
        )  # fmt: skip
        self._core: Online = model.spec.core.Online(
            model.engine, model.spec.core.ONLINE_METHODS[method], rate=options["lr"],
            seed=check.seed("rng", rng),
            **{name: checked.trainer[name] for name in OF_A_RULE},
        )  # fmt: skip

    @property
    def state(self) -> State:
        """The state after the last step, a copy as `rnncore.RNN.step` returns it: (1, H), of an
        LSTM a pair (h, c) of such arrays."""
        h, c, _, _ = self._core.present()
        return h[None] if c is None else (h[None], c[None])

    @property
    def y(self) -> Array:
        """The logits of the last step (K,), before its update; zeros before the first."""
        return self._core.last()[0]

    @property
    def gradient(self) -> dict[str, Array]:
        """The gradient of the last step's loss that had a target, by parameter, without penalties
        and before clipping; zeros before the first."""
        return self._core.last()[1]

    def step(self, x_t: npt.ArrayLike, y_t: npt.ArrayLike | None = None) -> float | None:
        """One step of the stream, and the update by its target.

        Parameters
        ----------
        x_t : array_like
            (D,) numbers, or an integer token.
        y_t : array_like, optional
            The target of this step: of a loss of numbers as many as the network has for one step,
            (K,) or one number; of cross-entropy a class, or the probabilities of all (K,). Without
            it (or with a class below 0) only the state moves on.

        Returns
        -------
        float or None
            The sum of the losses of the step's targets before the update; None without a target.

        Raises
        ------
        TypeError, ValueError
            If x_t or y_t has the wrong shape or type, is not finite or is out of range.
        FloatingPointError
            If the loss is not finite, or a state, its derivative or a parameter would not be.
        RuntimeError
            While another thread uses the network. After an error the network and the learner are
            as they were before.

        Examples
        --------
        >>> import rnncore as rc
        >>> net = rc.RNN(5, 3, 5, readout="all", loss="cross_entropy", seed=0)
        >>> learner = net.online(lr=0.1)
        >>> for _ in range(100):
        ...     for token in range(5):
        ...         loss = learner.step(token, (token + 1) % 5)
        >>> learner.step(0), int(learner.y.argmax())
        (None, 1)
        """
        spec = self.net._model.spec
        x, token = input_of(spec, x_t)
        target, number = (None, -1) if y_t is None else target_of(spec, y_t)
        loss, faults = self._core.step(x, token, target, number)
        if faults or not isfinite(loss):
            explain(spec, "x_t", np.asarray(token) if x is None else x, x is None, None)
            explain_target(spec, target, number)
            self.net._model.check_finite()
            raise FloatingPointError(
                f"step: expected a finite loss, state and parameters, got loss {loss:.4g} or an "
                "update that is too large; nothing has changed. A smaller lr helps against large "
                "updates, clip_norm= against exploding gradients"
            )
        return None if target is None and number < 0 else loss

    def reset(self, state: Any = None) -> None:
        """Begin another stream; the parameters, and what the update rule remembers, stay.

        Parameters
        ----------
        state : ndarray or pair of ndarray, optional
            From this state, as `state` returns it, which is taken as given: no parameter has an
            influence on it. Without it, from the state with which a sequence begins.

        Raises
        ------
        TypeError, ValueError
            If the state is not valid. Nothing has changed then.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> learner = rc.RNN(1, 2, 1, readout="all", loss="mse", seed=0).online(lr=0.1)
        >>> loss = learner.step(np.ones(1), 1.0)
        >>> learner.reset()
        >>> learner.state.tolist()
        [[0.0, 0.0]]
        """
        parts = arrays_of(converted_state(self.net._model.spec, "state", state, ()))
        for part in parts:
            check.all_finite("state", part)
        rows = [part.reshape(-1) for part in parts]
        self._core.begin(*rows, *[None] * (2 - len(rows)))

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, but for the network's parameters and the options.

        Returns
        -------
        dict of str
            ``method`` and ``optimizer`` (str), ``lr`` (float), ``updates`` (int), of rules that
            remember one or two vectors ``first`` and ``second``, shaped as ``net.flat``; ``h`` (H,)
            and of an LSTM ``c`` (H,); ``influence``, the derivatives of the state by the
            parameters, in the core's own arrangement; with "uoro" one factor of them, and
            ``direction``, the other one, and ``random`` (int). All are copies.

        Examples
        --------
        >>> import rnncore as rc
        >>> net = rc.RNN(1, 2, 1, readout="all", loss="mse")
        >>> sorted(net.online(lr=0.1).state_dict())
        ['h', 'influence', 'lr', 'method', 'optimizer', 'updates']
        """
        h, c, influence, direction = self._core.present()
        return {
            "method": self._method, **state_of_rule(self._core, self._options["optimizer"]),
            "h": h, **({} if c is None else {"c": c}), "influence": influence,
            **({} if direction is None else {"direction": direction, "random": self._core.random}),
        }  # fmt: skip

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called: with the same network and options, on the same
        build of the core, to the same bits.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` of a learner with the same method and optimizer returned.

        Raises
        ------
        TypeError, ValueError
            If an entry is missing or not what it should be. The learner is then unchanged.

        Examples
        --------
        >>> import rnncore as rc
        >>> net = rc.RNN(1, 1, 1, readout="all", loss="mse")
        >>> learner = net.online(lr=0.02)
        >>> net.online(lr=0.1).load_state_dict(learner.state_dict())
        """
        own = self.state_dict()
        given = entries_like("state_dict", state_dict, own)
        check.choice("state_dict['method']", given["method"], (self._method,))
        h, c, influence, direction = (
            array_like(f"state_dict[{key!r}]", given[key], own[key]) if key in own else None
            for key in ("h", "c", "influence", "direction")
        )
        assert h is not None
        assert influence is not None
        random = check.whole("state_dict['random']", given.get("random", 0), 0, 2**64 - 1)
        restore_rule(self._core, self._options["optimizer"], "state_dict", given)
        self._core.place(h, c, influence, direction, random)

    # ---- copies ---------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {
            "net": self.net, "options": self._options, "method": self._method,
            "state": self.state_dict(),
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["net"], state["options"], state["method"], 0)  # type: ignore[misc]
        self.load_state_dict(state["state"])


def online(
    self: HasModel,
    *,
    lr: float,
    method: str = "rtrl",
    optimizer: str = "sgd",
    momentum: float = 0.9,
    alpha: float = 0.99,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    weight_decay: float | Mapping[str, float] = 0.0,
    l1: float | Mapping[str, float] = 0.0,
    freeze: str | Iterable[str] | Mapping[str, Any] | None = None,
    tie: Mapping[str, Any] | None = None,
    rng: int | np.random.Generator | None = None,
) -> OnlineLearner:
    """Learning at every step of a stream, by exact gradients, without storing the past.

    ``learner.step(x_t, y_t)`` makes one step, forms the gradient of that step's loss through all
    steps before it, and updates the parameters at once. Instead of a tape, the derivative of the
    state by every parameter is carried along (real-time recurrent learning [1]_), so memory and
    time of a step do not depend on how many came before.

    Parameters
    ----------
    lr : float
        Learning rate; ``learner.lr`` may be changed between steps. With 0 no update is made, and
        ``learner.gradient`` can be read.
    method : {"rtrl", "snap1", "eprop", "uoro"}
        "rtrl": exact. A step of a network with P parameters takes of the order of H^2 P
        operations, H^4 for few inputs, and H P numbers are stored: for up to about 16 units that
        is fast. The others take of the order of P operations and numbers.

        "snap1", sparse one-step approximation [2]_: of every parameter only the influence on the
        unit whose own it is. Exact where W_hh is diagonal.

        "eprop", eligibility propagation [3]_ with symmetric feedback: as "snap1", but without the
        diagonal of W_hh, by which a unit's h_{t-1} reaches the unit itself. The influence is
        carried by what the cell keeps, f of an LSTM and z of a GRU; an `RNN` keeps nothing, so its
        gradient is that of the present step alone.

        "uoro", unbiased online recurrent optimization [4]_: an outer product of random factors,
        whose mean is the whole influence. The gradient has no bias, and much variance.
    optimizer, momentum, alpha, betas, eps, clip_norm, clip_value, weight_decay, l1, freeze, tie
        As for `fit`.
    rng : int or numpy.random.Generator, optional
        For the random numbers of "uoro".

    Returns
    -------
    OnlineLearner
        With ``step``, ``reset``, ``state``, ``y``, ``gradient``, ``lr``, ``updates``,
        ``state_dict`` and ``load_state_dict``.

    Raises
    ------
    TypeError, ValueError
        For options that are not valid, and for a network that has more than one layer or
        direction, a skip connection, ``reset="before"``, ``readout="last"`` or no loss.

    Notes
    -----
    While parameters stay as they are, the gradients of the steps of a sequence sum to that of
    ``loss_and_grad(..., reduction="sum")``. With updates, the carried derivatives are those by the
    parameters as they were at each step: the smaller the learning rate, the closer to the gradient
    that a pass over the whole past would give.

    References
    ----------
    .. [1] R. J. Williams and D. Zipser, "A learning algorithm for continually running fully
       recurrent neural networks", Neural Computation 1(2), 1989.
    .. [2] J. Menick et al., "Practical real time recurrent learning with a sparse approximation to
       the Jacobian", ICLR 2021.
    .. [3] G. Bellec et al., "A solution to the learning dilemma for recurrent networks of spiking
       neurons", Nature Communications 11, 3625, 2020.
    .. [4] C. Tallec and Y. Ollivier, "Unbiased online recurrent optimization", ICLR 2018.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(2, 3, 1, readout="all", loss="mse", dtype="float64", seed=0)
    >>> x, y = np.random.default_rng(0).standard_normal((2, 1, 50, 2))
    >>> learner, total = net.online(lr=0), 0
    >>> for x_t, y_t in zip(x[0], y[0, :, 0]):
    ...     loss = learner.step(x_t, y_t)
    ...     total = total + learner.gradient["weight_hh_l0"]
    >>> _, grads = net.loss_and_grad(x, y[..., :1], reduction="sum")
    >>> bool(np.allclose(total, grads["weight_hh_l0"], rtol=1e-12))
    True
    """
    check_network(self._model)
    check.choice("method", method, self._model.spec.core.ONLINE_METHODS)
    if not isinstance(freeze, str | Mapping) and freeze is not None:
        freeze = check.items("freeze", freeze)
    options = {
        "optimizer": optimizer, "lr": check.number("lr", lr, 0, above=False),
        "momentum": momentum, "alpha": alpha, "betas": betas, "eps": eps, "clip_norm": clip_norm,
        "clip_value": clip_value, "weight_decay": weight_decay, "l1": l1, "freeze": freeze,
        "tie": tie,
    }  # fmt: skip
    return OnlineLearner(self, options, method, rng)


def check_network(model: Model) -> None:
    """Raise an error for a network that cannot learn online."""
    config = model.config
    for name, wanted in (
        ("num_layers", (1,)), ("bidirectional", (False,)), ("skip", (None,)),
        ("reset", ("after",)), ("readout", ("all", "before")), ("recurrent_dropout", (0.0,)),
        ("zoneout", (0.0,)), ("switching", (False,)),
    ):  # fmt: skip
        if config.get(name, wanted[0]) not in wanted:
            raise ValueError(
                f"online: expected a network with {name}={' or '.join(map(repr, wanted))}, "
                f"got {config[name]!r}"
            )
    if config["loss"] is None:
        raise ValueError("online: expected a network made with a loss, got loss=None")
