"""Forecasts: a network that reads a series and goes on from its own output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from rnncore._checks import arguments as check
from rnncore._sklearn.estimator import PRECISIONS, Estimator
from rnncore._sklearn.scaling import Scale, scale_of
from rnncore._sklearn.series import LAYOUTS, Series, from_array, from_list, listed
from rnncore._types import Array, State

SCALES = ("series", "all", None)


class Past(NamedTuple):
    """Where series end: the network's state, their last values, and how these are scaled."""

    state: State | None
    last: Array  # (n, k)
    scales: list[Scale]
    axes: Literal[1, 2, 3]  # of the array in which series were passed; of a list 2 or 3


@dataclass(kw_only=True, repr=False, eq=False)
class RNNForecaster(Estimator):
    """A recurrent network that reads series, predicts their next values, and feeds these back.

    Parameters
    ----------
    cell, hidden_size, num_layers, nonlinearity, dropout, optimizer, lr, epochs
        As for `RNNClassifier`.
    batch_size, l1, weight_decay, clip_norm, truncate, early_stopping, validation_fraction, patience
        As for `RNNClassifier`; they count series.
    warm_start, dtype, random_state, n_jobs, verbose, layout, nan_padding
        As for `RNNClassifier`; ``layout`` and ``nan_padding`` are also for covariates.
    bidirectional : bool
        False: the future is not known.
    scale : {"series", "all", None}
        Values have mean 0 and standard deviation 1 inside: those of each series by its own
        history, or all of them alike by all series of `fit`; covariates always alike.

    Attributes
    ----------
    network_, n_channels_in_, loss_curve_, history_, n_iter_
        As of `RNNClassifier`. The inputs of the network are the values of one step and the
        covariates of the next, whose values are its targets.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import RNNForecaster
    >>> t = np.arange(120)
    >>> y = np.stack([50 + np.sin(t / 4), 3 * np.sin(t / 4 + 1)])  # two series
    >>> model = RNNForecaster(epochs=300, random_state=0).fit(y[:, :100])
    >>> future = model.forecast(20)
    >>> future.shape, bool(np.abs(future - y[:, 100:]).max() < 0.5)
    ((2, 20), True)
    """

    scale: str | None = "series"

    _readout = "all"

    def fit(self, y: Any, X: Any = None) -> Self:
        """Train a new network, or with ``warm_start`` the one there is.

        Parameters
        ----------
        y : array-like or list of arrays
            One series (T,), several (n, T) or (n, T, k) or in the other layout (n, k, T), or a list
            of (T_i,) or (T_i, k) of different lengths; of at least two steps each.
        X : array-like or list of arrays, optional
            Covariates of the same steps: (n, T, d), or a list of (T_i, d); of one series also
            (T, d), and where d = 1 that axis may be left out.

        Returns
        -------
        RNNForecaster
            Itself.
        """
        if self.bidirectional:
            raise ValueError("bidirectional: expected False, for the future is not known, got True")
        goes_on = self.warm_start and hasattr(self, "network_")
        series, axes = self._values("y", y)
        rows = rows_of(series)
        covariates = self._covariates("X", X, axes, [len(row) for row in rows])
        short = [i for i, row in enumerate(rows) if len(row) < 2]
        if short:
            raise ValueError(f"y[{short[0]}]: expected at least two steps, got one")
        check.choice("scale", self.scale, SCALES)
        if not goes_on:
            self._of_all = scale_of(np.concatenate(rows))
            self._of_x = None if covariates is None else scale_of(np.concatenate(covariates))
            self._channels = rows[0].shape[1]
            self.n_channels_in_ = self._channels + (
                0 if covariates is None else covariates[0].shape[1]
            )
        self._check_channels(rows, covariates)
        scaled, inputs, scales = self._inputs(rows, covariates)
        targets: Any = [row[1:].astype(self.dtype) for row in scaled]
        sequences = Series(inputs)
        if len({len(row) for row in inputs}) == 1:  # an array is converted once
            sequences, targets = Series(np.stack(inputs)), np.stack(targets)
        self._set_network(self._channels, "mse", not goes_on)
        self._train(sequences, targets, None, more=False)
        self._past = self._end_of(scaled, inputs, scales, axes)
        return self

    def forecast(
        self, steps: int, X: Any = None, *, y: Any = None, past: Any = None
    ) -> Array:  # fmt: skip
        """The values of the steps that follow.

        Parameters
        ----------
        steps : int
            How many.
        X : array-like or list of arrays, optional
            Covariates of these steps, in the form in which `fit` got them.
        y : array-like or list of arrays, optional
            Other series, in any form of `fit`, that are to be continued. None: those of `fit`.
        past : array-like or list of arrays, optional
            The covariates of y.

        Returns
        -------
        ndarray
            (steps,) of one series that was passed as such; else (n, steps), or (n, steps, k) of
            series with several values and in the other layout (n, k, steps).
        """
        check_is_fitted(self)
        steps = check.whole("steps", steps, 1)
        start = self._past
        if y is not None:
            series, axes = self._values("y", y)
            rows = rows_of(series)
            covariates = self._covariates("past", past, axes, [len(row) for row in rows])
            self._check_channels(rows, covariates, "past")
            start = self._end_of(*self._inputs(rows, covariates), axes)
        elif past is not None:
            raise ValueError("past: expected None without y, whose covariates it has")
        count = len(start.last)
        future = self._covariates("X", X, start.axes, [steps] * count)
        self._check_channels(None, future)
        if future is not None and self._of_x is not None:
            future = [self._of_x(row).astype(self.dtype) for row in future]
        values, state, result = start.last, start.state, []
        for step in range(steps):
            if future is None:
                inputs = values
            else:
                inputs = np.concatenate([values, [row[step] for row in future]], axis=1)
            values, state = self.network_.step(inputs.astype(self.dtype), state)
            result.append(values)
        return self._answer(np.stack(result, axis=1), start)

    # ---- what is passed -------------------------------------------------------------

    def _values(self, name: str, given: Any) -> tuple[Series, Literal[1, 2, 3]]:
        """Series, and how many axes the forecast has."""
        check.choice("layout", self.layout, LAYOUTS)
        check.choice("dtype", self.dtype, PRECISIONS)
        options = self.layout, check.flag("nan_padding", self.nan_padding), "float64"
        rows = listed(given)
        if rows is not None:
            flat = all(np.ndim(row) == 1 for row in rows)
            return from_list(name, rows, *options), 2 if flat else 3
        values = check.array(name, given)
        if values.ndim not in (1, 2, 3):
            raise ValueError(f"{name}: expected one to three axes, got shape {values.shape}")
        one = values.ndim == 1
        axes: Literal[1, 2, 3] = 1 if one else 2 if values.ndim == 2 else 3
        return from_array(name, values[None] if one else values, *options), axes

    def _covariates(
        self, name: str, given: Any, axes: Literal[1, 2, 3], steps: list[int]
    ) -> list[Array] | None:
        """Covariates of series with so many steps each."""
        if given is None:
            return None
        if axes == 1:  # (T,) or (T, d), or in the other layout (d, T)
            given = check.array(name, given)
            given = given[None] if given.ndim < 3 else given
        rows = rows_of(self._values(name, given)[0])
        found = [len(row) for row in rows]
        if found != steps:
            raise ValueError(f"{name}: expected covariates of {steps} steps, got {found}")
        return rows

    def _check_channels(
        self, rows: list[Array] | None, covariates: list[Array] | None, name: str = "X"
    ) -> None:
        if rows is not None and rows[0].shape[1] != self._channels:
            raise ValueError(
                f"y: expected {self._channels} values in every step, got {rows[0].shape[1]}"
            )
        wanted = self.n_channels_in_ - self._channels
        found = 0 if covariates is None else covariates[0].shape[1]
        if found != wanted:
            raise ValueError(f"{name}: expected {wanted} covariates in every step, got {found}")

    # ---- what the network reads -----------------------------------------------------

    def _inputs(
        self, rows: list[Array], covariates: list[Array] | None
    ) -> tuple[list[Array], list[Array], list[Scale]]:
        """(scaled values of every series; what the network reads of it: all values but the last,
        and the covariates of the next step; how it is scaled)"""
        if self.scale is None:
            one = np.zeros(self._channels)
            scales = [Scale(one, one + 1)] * len(rows)
        elif self.scale == "all":
            scales = [self._of_all] * len(rows)
        else:
            scales = [scale_of(row) for row in rows]
        scaled = [scale(row) for scale, row in zip(scales, rows, strict=True)]
        inputs = [row[:-1] for row in scaled]
        if covariates is not None and self._of_x is not None:
            of_x = [self._of_x(row[1:]) for row in covariates]
            inputs = [np.hstack(pair) for pair in zip(inputs, of_x, strict=True)]
        return scaled, [row.astype(self.dtype) for row in inputs], scales

    def _end_of(
        self, scaled: list[Array], inputs: list[Array], scales: list[Scale], axes: Literal[1, 2, 3]
    ) -> Past:
        """Where series end after the network has read them."""
        last = np.stack([row[-1] for row in scaled])
        short = [len(row) == 0 for row in inputs]
        if all(short):
            return Past(None, last, scales, axes)
        if any(short):
            raise ValueError(f"y[{short.index(True)}]: expected at least two steps, got one")
        final = self.network_(inputs, threads=self._threads).final
        return Past(final, last, scales, axes)

    def _answer(self, values: Array, start: Past) -> Array:
        """A forecast (n, steps, k) in the caller's units and form."""
        result: Array = np.stack(
            [
                scale.back(row.astype(np.float64))
                for scale, row in zip(start.scales, values, strict=True)
            ]
        )
        if start.axes < 3:
            result = result[:, :, 0]
        elif self.layout == "bdt":
            result = result.transpose(0, 2, 1)
        return result[0] if start.axes == 1 else result


def rows_of(series: Series) -> list[Array]:
    """An array (T_i, channels) for every series."""
    return [row[:steps] for row, steps in zip(series.values, series.steps_of(), strict=True)]
