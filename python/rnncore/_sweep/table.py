"""What a sweep found: a table with a row for each fit, and the networks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._html import pieces
from rnncore._networks.network import Network
from rnncore._population.history import PopulationHistory
from rnncore._population.parts import take
from rnncore._types import Array

#: Columns that are results; the others say what was fitted.
RESULTS = ("loss", "validation_loss", "test_loss", "epochs", "best_epoch", "stopped")

#: Those that are losses, from the one to choose by on.
LOSSES = ("validation_loss", "test_loss", "loss")


class Design:
    """The data of a sweep."""

    def __init__(self, x: Any, y: Any, extra: dict[str, Any]) -> None:
        try:
            self.count = len(x)
        except TypeError:
            raise TypeError(f"x: expected sequences, got {check.kind(x)}") from None
        self.x, self.y, self.extra = x, y, extra

    def some(self, which: Array) -> tuple[Any, Any, dict[str, Any]]:
        extra = {
            name: values if values is None or isinstance(values, str) else take(values, which)
            for name, values in self.extra.items()
        }
        return take(self.x, which), take(self.y, which), extra


class Sweep:
    """What `rnncore.sweep` found.

    Attributes
    ----------
    table : dict of str to ndarray
        A column for each option of the grid, ``kind``, ``subject``, ``fold``, ``inner`` and
        ``seed``; and the results: ``loss`` (the last training loss), ``validation_loss`` (the
        best), ``test_loss``, ``epochs``, ``best_epoch``, ``stopped``. ``sweep[name]`` is one.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> x = np.random.default_rng(0).standard_normal((12, 6, 1))
    >>> found = rc.sweep(rc.RNN, x, x[:, -1, 0], grid={"lr": [0.01, 0.1]}, input_size=1,
    ...                  hidden_size=1, output_size=1, loss="mse", epochs=20, folds=3)
    >>> sorted(found.table)[:4]
    ['best_epoch', 'epochs', 'fold', 'kind']
    >>> found.best(by="loss") in range(6), found.best(by="test_loss", per="fold").shape
    (True, (3,))
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.table: dict[str, Array] = {}
        self.histories: list[PopulationHistory] = []
        self._rows: list[dict[str, Any]] = []
        self._members: list[tuple[Any, int]] = []
        self._tests: list[Array | None] = []

    def _add(
        self, pop: Any, history: PopulationHistory, rows: list[dict[str, Any]], splits: list[Any]
    ) -> None:
        """The fits of one population."""
        last = history.epochs - 1
        loss = np.where(last >= 0, history.loss[last, np.arange(len(pop))], np.nan)
        best = history.best if history.validation is not None else np.full(len(pop), np.nan)
        for m, (row, split) in enumerate(zip(rows, splits, strict=True)):
            test = np.nan
            if split.test is not None:
                x, y, extra = self.design.some(split.test)
                test = pop[m].loss(x, y, **extra)
            self._rows.append(
                {**row, "loss": loss[m], "validation_loss": best[m], "test_loss": test,
                 "epochs": int(history.epochs[m]), "best_epoch": int(history.best_epoch[m]),
                 "stopped": str(history.stopped[m])}
            )  # fmt: skip
            self._members.append((pop, m))
            self._tests.append(split.test)
        self.histories.append(history)
        names = dict.fromkeys(name for row in self._rows for name in row if name not in RESULTS)
        self.table = {
            name: column([row.get(name) for row in self._rows]) for name in [*names, *RESULTS]
        }

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Array:
        return self.table[check.choice("column", name, self.table)]

    def __repr__(self) -> str:
        return f"Sweep({len(self)} fits, columns {', '.join(self.table)})"

    def _repr_html_(self) -> str:
        """The best rows, of the columns in which they differ."""
        ranking = [name for name in LOSSES if self._has(name)]
        order = np.arange(len(self))
        if ranking:
            order = np.argsort(self.table[ranking[0]], kind="stable")  # NaN comes last
        none = [name for name in LOSSES if not self._has(name)]
        alike = {
            n: v[0] for n, v in self.table.items() if n not in LOSSES and len(set(map(str, v))) == 1
        }
        heads = [name for name in self.table if name not in alike and name not in none]
        rows = [
            (int(m), *(plain(self.table[name][m]) for name in heads))
            for m in order[: pieces.MOST_ROWS]
        ]
        return pieces.box(
            f"Sweep of {pieces.plural(len(self), 'fit')}",
            pieces.facts(f"best {ranking[0]} first" if ranking else None),
            pieces.facts(*(f"{name} {value}" for name, value in alike.items())),
            pieces.table(["row", *heads], rows, len(self)),
        )

    def _has(self, name: str) -> bool:
        return bool(name in self.table and np.isfinite(self.table[name]).any())

    def to_pandas(self) -> Any:
        """The table as a pandas DataFrame.

        Examples
        --------
        >>> frame = found.to_pandas()  # doctest: +SKIP
        """
        import pandas

        return pandas.DataFrame(self.table)

    def network(self, row: int) -> Network:
        """The network of a row, as it is after its fit.

        Examples
        --------
        >>> net = found.network(0)  # doctest: +SKIP
        """
        pop, m = self._members[check.whole("row", row, -len(self), len(self) - 1)]
        net: Network = pop[m]
        return net

    def test_losses(self, row: int) -> Array:
        """The loss of every target of the sequences that a row's network was not trained on; of
        "cross_entropy" and "bce" the negative log-likelihood of every trial.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> x = np.random.default_rng(0).standard_normal((12, 6, 1))
        >>> found = rc.sweep(rc.RNN, x, x[:, :, 0] > 0, input_size=1, hidden_size=1, loss="bce",
        ...                  output_size=1, readout="all", epochs=5, folds=3)
        >>> found.test_losses(0).shape
        (4, 6)
        """
        net, test = self.network(row), self._tests[row]
        if test is None:
            raise ValueError("folds: expected a sweep with folds=, which hold sequences out")
        x, y, extra = self.design.some(test)
        losses: Array = net.loss(x, y, reduction="none", **extra)  # type: ignore[assignment]
        return losses

    def best(self, by: str = "validation_loss", per: str | Iterable[str] = ()) -> Any:
        """The row with the least ``by``; with ``per``, one of each combination of values of these
        columns, in sorted order. Rows whose value is NaN are never chosen.

        Examples
        --------
        >>> rows = found.best(per=("subject", "fold"))  # doctest: +SKIP
        """
        values = np.asarray(self[by], float)
        if not np.isfinite(values).any():
            asked = {"validation_loss": "inner= or validation=", "test_loss": "folds="}
            hint = f"; a sweep with {asked[by]} has them" if by in asked else ""
            raise ValueError(
                f"by: expected a column with numbers, got {by!r}, which has none{hint}"
            )
        ranked = np.where(np.isnan(values), np.inf, values)
        per = [per] if isinstance(per, str) else list(per)
        if not per:
            return int(ranked.argmin())
        codes = [codes_of(self[name]) for name in per]
        cell = np.stack(codes, axis=1)
        order = np.lexsort((ranked, *cell.T[::-1]))
        first = np.ones(len(order), bool)
        first[1:] = (cell[order][1:] != cell[order][:-1]).any(axis=1)
        return order[first]

    def compare(
        self, by: str = "hidden_size", loss: str = "test_loss",
        choose: str = "validation_loss",
    ) -> dict[str, Array]:  # fmt: skip
        """Mean losses by the values of a column, over subjects and folds.

        In every subject and fold, the network with the least ``choose`` is taken of each value
        (of all seeds, penalties and inner folds).

        Returns
        -------
        dict
            ``value`` the values of the column, ``mean``, ``sem`` the standard error over subjects
            and folds, ``count``.

        Examples
        --------
        >>> import numpy as np, rnncore as rc
        >>> x = np.random.default_rng(0).standard_normal((12, 6, 1))
        >>> found = rc.sweep(rc.RNN, x, x[:, -1, 0], grid={"hidden_size": [1, 2]}, input_size=1,
        ...                  output_size=1, loss="mse", epochs=5, folds=3, inner=2)
        >>> found.compare()["count"].tolist()
        [3, 3]
        """
        units = [name for name in ("subject", "fold") if name in self.table]
        rows = self.best(choose, per=[by, *units])
        values, which = np.unique(self[by][rows], return_inverse=True)
        losses = np.asarray(self[loss], float)[rows]
        parts = [losses[which == k] for k in range(len(values))]
        counts = np.array([len(part) for part in parts])
        return {
            "value": values,
            "mean": np.array([part.mean() for part in parts]),
            "sem": np.array([part.std(ddof=1) / len(part) ** 0.5 if len(part) > 1 else np.nan
                             for part in parts]),
            "count": counts,
        }  # fmt: skip

    def plot(
        self, by: str = "hidden_size", loss: str = "test_loss", choose: str = "validation_loss",
        ax: Any = None,
    ) -> Any:  # fmt: skip
        """Draw what `compare` returns: mean losses with their standard errors.

        Needs matplotlib.

        Parameters
        ----------
        by, loss, choose : str, optional
            As for `compare`.
        ax : matplotlib axes, optional
            Where to draw. If not given, a new figure is made.

        Returns
        -------
        matplotlib.figure.Figure

        Examples
        --------
        >>> figure = found.plot("lr", loss="loss", choose="loss")  # doctest: +SKIP
        """
        from rnncore._sweep import plots

        return plots.comparison(self.compare(by, loss, choose), by, loss, ax)


def plain(value: Any) -> Any:
    """A value of a table as Python has it."""
    return value.item() if isinstance(value, np.generic) else value


def codes_of(values: Array) -> Array:
    """A number for every value, in sorted order; objects are compared by their text."""
    comparable = values.astype(str) if values.dtype == object else values
    codes: Array = np.unique(comparable, return_inverse=True)[1]
    return codes


def column(values: list[Any]) -> Array:
    """Values as an array; of no common type, an array of objects."""
    plain = all(isinstance(v, int | float | str | bool | np.generic) for v in values)
    if plain and len({str if isinstance(v, str) else float for v in values}) == 1:
        return np.array(values)
    result = np.empty(len(values), object)
    result[:] = values
    return result
