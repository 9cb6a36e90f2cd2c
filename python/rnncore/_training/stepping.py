"""Training minibatch by minibatch: ``net.trainer``, and what it returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._model.model import HasModel
from rnncore._training.forcing import check_expressible, check_network, checked_share
from rnncore._training.options import checked_options
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import SteppedUpdates, StepTrainer

#: What of the options belongs to a whole fit alone.
OF_A_FIT = ("patience", "shuffled", "plateau")

#: The names of the vectors that an update rule remembers.
MOMENTS = ("first", "second")


class Stepped:
    """What has an update rule in the core that is used step by step."""

    _core: SteppedUpdates

    @property
    def lr(self) -> float:
        """The learning rate of the steps to come."""
        return self._core.rate

    @lr.setter
    def lr(self, lr: float) -> None:
        self._core.rate = check.number("lr", lr, 0, above=False)

    @property
    def updates(self) -> int:
        """How many updates were made."""
        return self._core.updates


class Trainer(Stepped):
    """An optimiser that is given one minibatch after another; see `rnncore.RNN.trainer`.

    It can be copied and pickled, with its network.

    Attributes
    ----------
    net : network
        The one that it trains.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((32, 6, 1)).astype("float32")
    >>> net = rc.GRU(1, 4, 1, loss="mse", seed=0)
    >>> trainer = net.trainer(lr=0.02)
    >>> losses = [trainer.step(x, x[:, -1, 0]) for _ in range(100)]
    >>> bool(losses[-1] < 0.1 * losses[0]), trainer.updates
    (True, 100)
    """

    def __init__(
        self, net: HasModel, options: dict[str, Any], batch_size: int | None, threads: int | None,
        rng: int | np.random.Generator | None, teacher_forcing: float = 1.0,
    ) -> None:  # fmt: skip
        self.net, self._options = net, options
        model = net._model
        checked = checked_options(
            model, **options, epochs=1, batch_size=1, patience=None, shuffle=False,
            threads=threads, progress=None, callback=None, checkpoint=None,
        )  # fmt: skip
        self._threads = checked.threads
        self._batch_size = 0 if batch_size is None else check.whole("batch_size", batch_size, 1)
        self._core: StepTrainer = model.spec.core.StepTrainer(
            model.engine, self._batch_size, seed=check.seed("rng", rng), rate=options["lr"],
            **{name: value for name, value in checked.trainer.items() if name not in OF_A_FIT},
        )  # fmt: skip
        self.teacher_forcing = teacher_forcing

    @property
    def teacher_forcing(self) -> float:
        """The probability of given inputs in the steps to come."""
        return self._core.forcing

    @teacher_forcing.setter
    def teacher_forcing(self, share: float) -> None:
        share = checked_share("teacher_forcing", share)
        if share < 1:
            check_network(self.net._model, share)
        self._core.forcing = share

    def step(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        h0: npt.ArrayLike | None = None,
        lengths: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        target_mask: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> float:
        """Make the update that `fit` makes of a minibatch.

        Parameters
        ----------
        x, y, h0, lengths, mask, target_mask, sample_weight
            The minibatch, as for `rnncore.RNN.loss`.

        Returns
        -------
        float
            The mean loss before the update.

        Raises
        ------
        TypeError, ValueError
            As `rnncore.RNN.loss`.
        FloatingPointError
            If the loss is not finite, or a parameter would not be after the update.
        RuntimeError
            While another thread uses the network. After an error the network and the trainer are
            as they were before.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 2, 1, loss="mse", seed=0)
        >>> x, y = [np.ones((3, 1)), np.ones((5, 1))], [0.0, 1.0]  # of different lengths
        >>> trainer = net.trainer(optimizer="sgd", lr=0.1)
        >>> trainer.step(x, y) > trainer.step(x, y)
        True
        """
        core, model, loss = self._core, self.net._model, None
        forced = self.teacher_forcing == 1
        if forced and h0 is mask is target_mask is sample_weight is None:
            loss = core.plain_step(x, y, lengths, self._threads)
        if loss is None:
            inputs = Inputs(model.spec, x, h0, lengths, mask)
            if not forced:
                check_expressible(model, inputs, self.teacher_forcing)
            targets = outputs.targets(inputs, y, target_mask, sample_weight)
            loss, faults = core.step(
                inputs.batch, *outputs.for_core(inputs, targets), self._threads
            )
            if faults or not isfinite(loss):
                outputs.explain(inputs, y, target_mask, sample_weight)
                model.check_finite()
                raise FloatingPointError(
                    f"step: expected a finite loss and finite parameters, got loss {loss:.4g} or "
                    "an update that is too large; the network is unchanged. A smaller lr helps "
                    "against large updates, clip_norm= against exploding gradients"
                )
        return loss

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on, but for the network's parameters and the options.

        Returns
        -------
        dict of str
            ``optimizer`` (str), ``lr`` (float), ``updates`` and ``random`` (int), and of rules
            that remember one or two vectors ``first`` and ``second``, copies shaped as
            ``net.flat``.

        Examples
        --------
        >>> import rnncore as rc
        >>> sorted(rc.RNN(1, 1, 1, loss="mse").trainer().state_dict())
        ['first', 'lr', 'optimizer', 'random', 'second', 'updates']
        """
        return state_of_rule(self._core, self._options["optimizer"], random=self._core.random)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where `state_dict` was called: with the same network and options, to the
        same bits.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` of a trainer with the same optimizer returned.

        Raises
        ------
        TypeError, ValueError
            If an entry is missing or not what it should be. The trainer is then unchanged.

        Examples
        --------
        >>> import rnncore as rc
        >>> net = rc.RNN(1, 1, 1, loss="mse")
        >>> trainer = net.trainer(lr=0.02)
        >>> net.trainer().load_state_dict(trainer.state_dict())
        """
        given = entries_like("state_dict", state_dict, self.state_dict())
        random = check.whole("state_dict['random']", given["random"], 0, 2**64 - 1)
        restore_rule(self._core, self._options["optimizer"], "state_dict", given)
        self._core.random = random

    # ---- copies ---------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        return {
            "net": self.net, "options": self._options, "batch_size": self._batch_size or None,
            "threads": self._threads, "state": self.state_dict(),
            "teacher_forcing": self.teacher_forcing,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(  # type: ignore[misc]
            state["net"],
            state["options"],
            state["batch_size"],
            state["threads"],
            0,
            state["teacher_forcing"],
        )
        self.load_state_dict(state["state"])


def state_of_rule(core: SteppedUpdates, optimizer: str, **more: Any) -> dict[str, Any]:
    """What the next updates depend on, but for the parameters and the options; `more` is what else
    the next steps do."""
    updates, vectors = core.state()
    return {
        "optimizer": optimizer, "lr": core.rate, "updates": updates, **more,
        **dict(zip(MOMENTS, vectors, strict=False)),
    }  # fmt: skip


def entries_like(name: str, given: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a mapping, which are to have the names of `own`."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{name}: expected a mapping, got {check.kind(given)}")
    entries = check.entries(name, given)
    if set(entries) != set(own):
        raise ValueError(
            f"{name}: expected {check.names(own)}, got {check.names(entries) or 'nothing'}"
        )
    return entries


def array_like(name: str, given: Any, own: Array) -> Array:
    """An array of finite numbers in the shape and precision of `own`."""
    values = check.array(name, given)
    check.same_shape(name, values, own.shape)
    values = check.as_real(values, own.dtype)
    check.all_finite(name, values)
    return values


def restore_rule(
    core: SteppedUpdates, optimizer: str, name: str, given: Mapping[str, Any]
) -> None:  # fmt: skip
    """Go on from what `state_of_rule` returned: all of it, or nothing where it is not valid."""
    own = state_of_rule(core, optimizer)
    check.choice(f"{name}['optimizer']", given["optimizer"], (optimizer,))
    lr = check.number(f"{name}['lr']", given["lr"], 0, above=False)
    updates = check.whole(f"{name}['updates']", given["updates"], 0, 2**63 - 1)
    vectors = [
        array_like(f"{name}[{key!r}]", given[key], own[key]) for key in MOMENTS if key in own
    ]
    core.restore(updates, vectors)
    core.rate = lr


def trainer(
    self: HasModel,
    *,
    optimizer: str = "adam",
    lr: float = 0.01,
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
    activation: float = 0.0,
    truncate: int | None = None,
    teacher_forcing: float = 1.0,
    batch_size: int | None = None,
    rng: int | np.random.Generator | None = None,
    threads: int | None = None,
) -> Trainer:
    """An optimiser for a training loop of your own, given one minibatch after another.

    ``trainer.step(x, y)`` makes the update that `fit` makes of that minibatch: the same bits, as
    steps over the minibatches of the data in order have those of ``fit(shuffle=False)``, as long as
    nothing is drawn, as dropout is by a sequence's place in what is passed. It remembers what the
    update rule remembers, and may go on any time.

    Parameters
    ----------
    lr : float
        Learning rate. ``trainer.lr`` may be changed between steps.
    optimizer, momentum, alpha, betas, eps, clip_norm, clip_value, weight_decay, l1, freeze
        As for `fit`.
    tie, activation, truncate
        As for `fit`.
    teacher_forcing : float
        As for `fit`. ``trainer.teacher_forcing`` may be changed between steps.
    batch_size : int, optional
        How many sequences a minibatch usually has. A sum over the sequences of a smaller one is
        then formed as `fit` forms that of an epoch's last minibatch, which only matters for its
        last bits.
    rng : int or numpy.random.Generator, optional
        For dropout, zoneout, and what is fed back.
    threads : int, optional
        As for `fit`.

    Returns
    -------
    Trainer
        With ``step``, ``lr``, ``updates``, ``state_dict`` and ``load_state_dict``.

    Raises
    ------
    TypeError, ValueError
        For options that are not valid.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
    >>> net = rc.RNN(1, 2, 1, loss="mse", seed=0)
    >>> trainer = net.trainer(optimizer="momentum", lr=0.05)
    >>> for epoch in range(50):
    ...     for first in range(0, 32, 8):
    ...         part = x[first : first + 8]
    ...         loss = trainer.step(part, part[:, -1, 0])
    ...     trainer.lr *= 0.98
    >>> trainer.updates
    200
    """
    if not isinstance(freeze, str | Mapping) and freeze is not None:
        freeze = check.items("freeze", freeze)
    options = {
        "optimizer": optimizer, "lr": check.number("lr", lr, 0, above=True),
        "momentum": momentum, "alpha": alpha, "betas": betas, "eps": eps, "clip_norm": clip_norm,
        "clip_value": clip_value, "weight_decay": weight_decay, "l1": l1, "freeze": freeze,
        "tie": tie, "activation": activation, "truncate": truncate,
    }  # fmt: skip
    return Trainer(self, options, batch_size, threads, rng, teacher_forcing)
