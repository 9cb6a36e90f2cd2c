"""What happened in a fit, epoch by epoch."""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from rnncore._html import pieces
from rnncore._html.curves import Curve, curves
from rnncore._types import Array


class History:
    """What happened in a fit.

    Attributes
    ----------
    loss : ndarray
        Mean training loss of every epoch, (epochs,): of each batch before its update.
    validation : ndarray or None
        Loss of the validation data after every epoch.
    gradient_norm : ndarray
        The largest norm of a batch's gradient in every epoch, before clipping; inf where one was
        not finite.
    lr : ndarray
        Learning rate of every epoch.
    seconds : ndarray
        Duration of every epoch.
    best_epoch : int or None
        The epoch with the least finite validation loss, counted from 1; with ``patience`` the
        network is as after this epoch. None if there is none.
    stopped : str
        Why the fit ended: "epochs" (all are done), "patience", or "callback".

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
    >>> history = net.fit(np.ones((8, 3, 1)), np.ones(8), epochs=5)
    >>> len(history), history.loss.shape, sorted(history.to_dict())[:3]
    (5, (5,), ['best_epoch', 'gradient_norm', 'loss'])
    """

    def __init__(self, records: Array, validated: bool, stopped: str) -> None:
        self.loss, validation, self.gradient_norm, self.lr, self.seconds = records.T.copy()
        self.validation = validation if validated else None
        self.best_epoch: int | None = None
        finite = np.isfinite(validation)
        if validated and finite.any():
            self.best_epoch = int(np.where(finite, validation, np.inf).argmin()) + 1
        self.stopped = stopped

    def __len__(self) -> int:
        return len(self.loss)

    def __repr__(self) -> str:
        if not len(self):
            return "History(0 epochs)"
        text = f"History({len(self)} epochs, loss {self.loss[0]:.4g} -> {self.loss[-1]:.4g}"
        if self.validation is not None and self.best_epoch is not None:
            best = self.validation[self.best_epoch - 1]
            text += f", best validation {best:.4g} in epoch {self.best_epoch}"
        elif self.validation is not None:
            text += ", no finite validation"
        return f"{text}, {self.seconds.sum():.3g} s)"

    def _repr_html_(self) -> str:
        if not len(self):
            return pieces.box("History", pieces.facts("no epochs"))
        epochs = np.arange(1, len(self) + 1)
        shown = [Curve("training", epochs, self.loss)]
        least = None
        if self.validation is not None:
            shown.append(Curve("validation", epochs, self.validation))
            least = "validation never finite"
        if self.validation is not None and self.best_epoch is not None:
            best = pieces.number(self.validation[self.best_epoch - 1])
            least = f"least validation {best} in epoch {self.best_epoch}"
        ends = [pieces.number(value) for value in (self.loss[0], self.loss[-1])]
        return pieces.box(
            f"History of {pieces.plural(len(self), 'epoch')}",
            pieces.facts(f"loss {ends[0]} → {ends[1]}", least),
            pieces.facts(f"ended by {self.stopped}", f"{self.seconds.sum():.3g} s"),
            curves(shown, "epoch", "loss"),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists and numbers, for JSON or a table. Numbers that are not finite,
        which JSON does not have, become None.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
        >>> history = net.fit(np.ones((8, 3, 1)), np.ones(8), epochs=2, lr=0.5)
        >>> history.to_dict()["lr"]
        [0.5, 0.5]
        """
        return {
            "loss": finite_or_none(self.loss),
            "validation": None if self.validation is None else finite_or_none(self.validation),
            "gradient_norm": finite_or_none(self.gradient_norm),
            "lr": finite_or_none(self.lr),
            "seconds": finite_or_none(self.seconds),
            "best_epoch": self.best_epoch,
            "stopped": self.stopped,
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses and, below, the norm of the gradient and the learning rate.

        Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, or three of them, optional
            Where to draw: in one the losses alone, in three all. If not given, a new figure is
            made.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
        >>> history = net.fit(np.ones((8, 3, 1)), np.ones(8), epochs=5)
        >>> figure = history.plot()  # doctest: +SKIP
        """
        from rnncore._diagnostics import plots

        return plots.history(self, ax)


def finite_or_none(numbers: Array) -> list[float | None]:
    return [number if isfinite(number) else None for number in numbers.tolist()]
