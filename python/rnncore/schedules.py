"""Learning rates that change from epoch to epoch, for ``net.fit(..., lr=...)``.

>>> import numpy as np, rnncore as rc
>>> x = np.random.default_rng(0).standard_normal((32, 6, 1))
>>> net = rc.RNN(1, 2, 1, loss="mse", seed=0)
>>> history = net.fit(x, x[:, -1, 0], epochs=4, lr=rc.schedules.Step(0.1, every=2), rng=0)
>>> history.lr.round(6).tolist()
[0.1, 0.1, 0.01, 0.01]

Epochs are counted from 1. A function of the number of the epoch can be given instead of a schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, inf, pi

from rnncore._checks import arguments as check

__all__ = ["Cosine", "Plateau", "Schedule", "Step", "WarmUp"]


class Schedule:
    """Base class of the schedules: ``schedule(epoch, epochs)`` is a learning rate."""

    @property
    def uses_total(self) -> bool:
        """Whether rates depend on the total number of epochs. A fit with such rates can be
        continued from a checkpoint only with the same number. A schedule of your own may return
        False."""
        return True

    @property
    def plateau(self) -> tuple[float, float, int, int]:
        """What the fit itself applies for a `Plateau`: the factor, the least rate, the patience,
        and after how many epochs it begins."""
        return 0.0, 0.0, 0, 0

    def __call__(self, epoch: int, epochs: int) -> float:
        """The learning rate of an epoch, counted from 1, in a fit of so many epochs."""
        raise NotImplementedError


@dataclass(frozen=True)
class Step(Schedule):
    """``lr``, times ``factor`` after every ``every`` epochs; PyTorch's StepLR.

    Examples
    --------
    >>> from rnncore.schedules import Step
    >>> [Step(0.1, every=2, factor=0.5)(epoch, 5) for epoch in range(1, 6)]
    [0.1, 0.1, 0.05, 0.05, 0.025]
    """

    lr: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        check.number("lr", self.lr, 0, above=True)
        check.whole("every", self.every, 1)
        check.number("factor", self.factor, 0, above=True)

    @property
    def uses_total(self) -> bool:
        return False

    def __call__(self, epoch: int, epochs: int) -> float:
        try:
            return self.lr * self.factor ** ((epoch - 1) // self.every)
        except OverflowError:
            return inf


@dataclass(frozen=True)
class Cosine(Schedule):
    """From ``lr`` down to ``end`` along half a cosine, over ``epochs`` (None: all epochs of the
    fit); PyTorch's CosineAnnealingLR. [1]_

    References
    ----------
    .. [1] I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
       ICLR 2017.

    Examples
    --------
    >>> from rnncore.schedules import Cosine
    >>> [round(Cosine(0.1)(epoch, 4), 4) for epoch in range(1, 5)]
    [0.1, 0.0854, 0.05, 0.0146]
    """

    lr: float
    end: float = 0.0
    epochs: int | None = None

    def __post_init__(self) -> None:
        check.number("lr", self.lr, 0, above=True)
        check.number("end", self.end, 0, above=False)
        if self.epochs is not None:
            check.whole("epochs", self.epochs, 1)

    @property
    def uses_total(self) -> bool:
        return self.epochs is None

    def __call__(self, epoch: int, epochs: int) -> float:
        share = min(1.0, (epoch - 1) / (self.epochs or epochs))
        return self.end + (self.lr - self.end) * ((1 + cos(pi * share)) / 2)


@dataclass(frozen=True)
class WarmUp(Schedule):
    """A linear increase to the rate of ``then`` (a number or a schedule) over ``epochs``; after
    these, ``then`` as if the fit had begun there.

    Examples
    --------
    >>> from rnncore.schedules import Cosine, WarmUp
    >>> [WarmUp(4, 0.1)(epoch, 10) for epoch in (1, 2, 4, 5)]
    [0.025, 0.05, 0.1, 0.1]
    """

    epochs: int
    then: float | Schedule

    def __post_init__(self) -> None:
        check.whole("epochs", self.epochs, 1)
        if not isinstance(self.then, Schedule):
            check.number("then", self.then, 0, above=True)

    @property
    def uses_total(self) -> bool:
        return isinstance(self.then, Schedule) and self.then.uses_total

    @property
    def plateau(self) -> tuple[float, float, int, int]:
        if not isinstance(self.then, Schedule):
            return super().plateau
        factor, least, patience, after = self.then.plateau
        return factor, least, patience, after + self.epochs

    def __call__(self, epoch: int, epochs: int) -> float:
        later, rest = max(1, epoch - self.epochs), max(1, epochs - self.epochs)
        rate = self.then(later, rest) if isinstance(self.then, Schedule) else self.then
        return rate * min(1.0, epoch / self.epochs)


@dataclass(frozen=True)
class Plateau(Schedule):
    """``lr``, times ``factor`` whenever the loss (of the validation data, if there are any) has not
    decreased by one part in 10^4 for more than ``patience`` epochs, but never from above ``least``
    to below it; PyTorch's ReduceLROnPlateau.

    Examples
    --------
    >>> from rnncore.schedules import Plateau
    >>> Plateau(0.1, factor=0.5, patience=5)(1, 10)
    0.1
    """

    lr: float
    factor: float = 0.1
    patience: int = 10
    least: float = 0.0

    def __post_init__(self) -> None:
        check.number("lr", self.lr, 0, above=True)
        check.number("factor", self.factor, 0, 1, above=True)
        check.whole("patience", self.patience, 0)
        check.number("least", self.least, 0, above=False)

    @property
    def uses_total(self) -> bool:
        return False

    @property
    def plateau(self) -> tuple[float, float, int, int]:
        return self.factor, self.least, self.patience, 0

    def __call__(self, epoch: int, epochs: int) -> float:
        return self.lr
