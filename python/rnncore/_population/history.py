"""What happened in a population's fit, epoch by epoch and member by member."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._html import pieces
from rnncore._html.curves import Curve, curves
from rnncore._training.history import finite_or_none
from rnncore._types import Array

#: Columns of the records, as the core writes them.
LOSS, VALIDATION, NORM, COLUMNS = range(4)

#: Why a member's fit ended, by the core's numbers.
REASONS = np.array(["", "epochs", "patience", "diverged"])


class PopulationHistory:
    """What happened in a fit of a population.

    Attributes
    ----------
    loss : ndarray
        Mean training loss, (epochs, members); NaN in the epochs that a member was not trained.
    validation : ndarray or None
        Loss of each member's validation data after every epoch, likewise.
    gradient_norm : ndarray
        The largest norm of a minibatch's gradient, likewise; before clipping.
    epochs : ndarray
        Epochs that each member finished, (members,).
    best_epoch : ndarray
        The epoch of each member's least finite validation loss, counted from 1; 0 where there is
        none.
    stopped : ndarray of str
        Why each member's fit ended: "epochs" (all are done), "patience", or "diverged": its loss or
        a parameter was not finite, and its parameters are those after the last epoch before that.
    seconds : float
        Duration of the fit.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> pop = rc.Population(rc.RNN, 5, 1, 1, 1, loss="mse", seed=0)
    >>> history = pop.fit(np.ones((8, 3, 1)), np.ones(8), epochs=4)
    >>> history.loss.shape, history.epochs.tolist(), history.stopped[0].item()
    ((4, 5), [4, 4, 4, 4, 4], 'epochs')
    """

    def __init__(self, records: Array, epochs: Array, reasons: Array, seconds: float) -> None:
        most = int(epochs.max())
        self.loss, validation, self.gradient_norm = (
            records[:, :most, column].T.copy() for column in (LOSS, VALIDATION, NORM)
        )
        validated = bool((~np.isnan(validation)).any())
        self.validation = validation if validated else None
        self.epochs, self.seconds = epochs, seconds
        self.best_epoch = np.zeros(len(epochs), np.int64)
        if validated:
            ranked = np.where(np.isfinite(validation), validation, np.inf)
            some = np.isfinite(ranked.min(axis=0))
            self.best_epoch[some] = ranked.argmin(axis=0)[some] + 1
        self.stopped = REASONS[reasons]

    def __len__(self) -> int:
        return len(self.loss)

    @property
    def best(self) -> Array:
        """Each member's least finite validation loss, or without validation its last training
        loss; (members,), NaN where there is none.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.RNN, 5, 1, 1, 1, loss="mse", seed=0)
        >>> pop.fit(np.ones((8, 3, 1)), np.ones(8), epochs=4).best.shape
        (5,)
        """
        at = self.epochs if self.validation is None else self.best_epoch
        of = self.loss if self.validation is None else self.validation
        values = of[np.maximum(at, 1) - 1, np.arange(len(at))] if len(self) else np.zeros(len(at))
        return np.where(at > 0, values, np.nan)

    @property
    def _what(self) -> str:
        """What `best` has."""
        return "loss" if self.validation is None else "best validation"

    def _reasons(self) -> str:
        return ", ".join(
            f"{(self.stopped == reason).sum()} {reason}"
            for reason in REASONS[1:]
            if (self.stopped == reason).any()
        )

    def __repr__(self) -> str:
        members, best = len(self.epochs), self.best
        text = (
            f"PopulationHistory({members} members, {self.epochs.sum()} epochs in all, "
            f"ended by {self._reasons()}"
        )
        if np.isfinite(best).any():
            text += f", median {self._what} {np.nanmedian(best):.4g}"
        return f"{text}, {self.seconds:.3g} s)"

    def _repr_html_(self) -> str:
        found = self.best[np.isfinite(self.best)]
        spread = None
        if len(found):
            least, middle, most = (pieces.number(np.quantile(found, q)) for q in (0, 0.5, 1))
            spread = f"{self._what} {least} to {most}, median {middle}"
        values = self.loss if self.validation is None else self.validation
        epochs = np.arange(1, len(self) + 1)
        shown = [
            Curve(name, epochs, row)
            for name, row in zip(("median", "10 %", "90 %"), quantiles(values), strict=True)
        ]
        what = "loss" if self.validation is None else "validation"
        return pieces.box(
            f"History of {pieces.plural(len(self.epochs), 'member')}",
            pieces.facts(spread, f"ended by {self._reasons()}"),
            pieces.facts(
                f"{pieces.number(int(self.epochs.sum()))} epochs in all", f"{self.seconds:.3g} s"
            ),
            curves(shown, "epoch", what) if len(self) else "",
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the median of the members' losses with the range from the 10 % to the 90 % quantile
        and, below, how many members were still trained.

        The quantiles are those of the members that were trained in that epoch, with finite losses.
        Needs matplotlib.

        Parameters
        ----------
        ax : matplotlib axes, or a pair of them, optional
            Where to draw: in one the losses alone, in two all. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.RNN, 20, 1, 1, 1, loss="mse", seed=0)
        >>> history = pop.fit(np.ones((8, 3, 1)), np.ones(8), epochs=4)
        >>> figure = history.plot()  # doctest: +SKIP
        """
        from rnncore._population import plots

        return plots.history(self, ax)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists and numbers, for JSON or a table. Numbers that are not finite,
        which JSON does not have, become None.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> pop = rc.Population(rc.RNN, 2, 1, 1, 1, loss="mse", seed=0)
        >>> history = pop.fit(np.ones((8, 3, 1)), np.ones(8), epochs=4)
        >>> history.to_dict()["epochs"]
        [4, 4]
        """
        return {
            "loss": [finite_or_none(row) for row in self.loss],
            "validation": None
            if self.validation is None
            else [finite_or_none(row) for row in self.validation],
            "gradient_norm": [finite_or_none(row) for row in self.gradient_norm],
            "epochs": self.epochs.tolist(),
            "best_epoch": self.best_epoch.tolist(),
            "stopped": self.stopped.tolist(),
            "seconds": self.seconds,
        }


def quantiles(values: Array) -> Array:
    """The median and the 10 % and 90 % quantiles over the members that an epoch has finite numbers
    of, (3, epochs); NaN where there is none."""
    result = np.full((3, len(values)), np.nan)
    for row, numbers in enumerate(values):
        finite = numbers[np.isfinite(numbers)]
        if len(finite):
            result[:, row] = np.quantile(finite, (0.5, 0.1, 0.9))
    return result
