"""One label, or some numbers, for every step of every sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.metrics import r2_score

from rnncore._checks import arguments as check
from rnncore._sklearn.estimator import Estimator
from rnncore._sklearn.labels import numbered, probabilities
from rnncore._sklearn.scaling import Scale, scale_of
from rnncore._sklearn.series import Series
from rnncore._types import Array


def by_sequence(y: Any, series: Series) -> list[Array]:
    """Targets as an array (T_i, ...) for every sequence; of padding there may be some, which are
    left out."""
    if len(y) != series.number:
        raise ValueError(f"y: expected targets of {series.number} sequences, got {len(y)}")
    result = []
    for i, steps in enumerate(series.steps_of()):
        values = np.asarray(y[i])
        lengths = [steps] if isinstance(series.values, list) else [steps, series.values.shape[1]]
        if values.ndim == 0 or len(values) not in lengths:
            raise ValueError(
                f"y[{i}]: expected targets of {steps} steps, got an array of shape {values.shape}"
            )
        result.append(values[:steps])
    return result


def joined(rows: list[Array], series: Series) -> Any:
    """The same as a network takes them: with the sequences in a list, or an array with zeros."""
    if isinstance(series.values, list):
        return rows
    shape = (*series.values.shape[:2], *rows[0].shape[1:])
    result = np.zeros(shape, rows[0].dtype)
    for i, values in enumerate(rows):
        result[i, : len(values)] = values
    return result


def answered(values: Array, series: Series) -> Any:
    """What there is for every step, (n, T, ...); a list where sequences differ in length."""
    if isinstance(series.values, list) or series.lengths is not None:
        return [row[:steps] for row, steps in zip(values, series.steps_of(), strict=True)]
    return values


def all_steps(y: Any) -> Array:
    """Those of all sequences one after another."""
    return np.concatenate([np.asarray(row) for row in y])


class StepByStep(Estimator):
    """An estimator with an output at every step."""

    _readout = "all"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or with ``warm_start`` the one there is.

        Parameters
        ----------
        X : array-like or list of arrays
            Sequences, see the notes of `RNNClassifier`.
        y : array-like or list of arrays
            A target for every step: (n, T), or a list with (T_i,) for every sequence; of a
            regressor also (n, T, K) and (T_i, K).
        sample_weight : array-like of shape (n,), optional
            Of the sequences.

        Returns
        -------
        self
        """
        goes_on = self.warm_start and hasattr(self, "network_")
        return self._fit(X, y, sample_weight, goes_on)

    def _fit(self, X: Any, y: Any, sample_weight: Any, goes_on: bool) -> Self:
        self._needs_y(y)
        series = self._series(X, reset=not goes_on)
        rows = by_sequence(y, series)
        weights = self._weights(sample_weight, series.number)
        outputs, loss, rows = self._targets(rows, goes_on)
        self._set_network(outputs, loss, not goes_on)
        self._train(series, joined(rows, series), weights, more=False)
        return self

    def _targets(self, rows: list[Array], goes_on: bool) -> tuple[int, str, list[Array]]:
        """(outputs, loss, targets as the network takes them)"""
        raise NotImplementedError


@dataclass(kw_only=True, repr=False, eq=False)
class SequenceClassifier(StepByStep):
    """A recurrent network that gives every step of a sequence a class.

    Parameters
    ----------
    cell, hidden_size, num_layers, bidirectional, nonlinearity, dropout, optimizer, lr, epochs
        As for `RNNClassifier`.
    batch_size, l1, weight_decay, clip_norm, truncate, early_stopping, validation_fraction, patience
        As for `RNNClassifier`.
    warm_start, dtype, random_state, n_jobs, verbose, layout, nan_padding
        As for `RNNClassifier`.
    ignore_label : label, optional
        Steps with this label do not count.

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted.
    network_, n_features_in_, n_channels_in_, loss_curve_, history_, n_iter_
        As of `RNNClassifier`; the loss is "cross_entropy".

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import SequenceClassifier
    >>> X = [np.random.default_rng(i).standard_normal(5 + i % 4) for i in range(40)]
    >>> y = [np.where(np.cumsum(row) > 0, "above", "below") for row in X]
    >>> model = SequenceClassifier(hidden_size=8, lr=0.03, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.predict_proba(X)[0].shape
    (True, (5, 2))
    """

    ignore_label: Any = None

    def _targets(self, rows: list[Array], goes_on: bool) -> tuple[int, str, list[Array]]:
        if not goes_on:
            known = np.unique(all_steps(rows))
            known = known if self.ignore_label is None else known[known != self.ignore_label]
            if len(known) < 2:
                raise ValueError(f"y: expected at least 2 classes, got {len(known)}")
            self.classes_: Array = known
        numbers = [numbered(row, self.classes_, self.ignore_label) for row in rows]
        return len(self.classes_), "cross_entropy", numbers

    def predict_proba(self, X: Any) -> Any:
        """The probability of every class at every step.

        Parameters
        ----------
        X : array-like or list of arrays

        Returns
        -------
        ndarray or list of ndarray
            (n, T, classes); of sequences of different lengths a list of (T_i, classes).
        """
        series, logits = self._logits(X)
        return answered(probabilities(logits), series)

    def predict(self, X: Any) -> Any:
        """The most probable label at every step: (n, T), or a list of (T_i,)."""
        series, logits = self._logits(X)
        return answered(self.classes_[logits.argmax(axis=2)], series)

    def score(self, X: Any, y: Any) -> float:
        """The share of the steps, of those that count, whose label is predicted."""
        series = self._series(X, reset=False)
        truth = all_steps(by_sequence(y, series))
        right = truth == all_steps(self.predict(X))
        counted = np.ones(len(truth), bool) if self.ignore_label is None else (
            truth != self.ignore_label
        )  # fmt: skip
        return float(right[counted].mean())


@dataclass(kw_only=True, repr=False, eq=False)
class SequenceRegressor(StepByStep):
    """A recurrent network that gives every step of a sequence a number, or several.

    Parameters
    ----------
    cell, hidden_size, num_layers, bidirectional, nonlinearity, dropout, optimizer, lr, epochs
        As for `RNNClassifier`.
    batch_size, l1, weight_decay, clip_norm, truncate, early_stopping, validation_fraction, patience
        As for `RNNClassifier`.
    warm_start, dtype, random_state, n_jobs, verbose, layout, nan_padding
        As for `RNNClassifier`.
    normalize_y : bool
        As for `RNNRegressor`.

    Attributes
    ----------
    network_, n_features_in_, n_channels_in_, loss_curve_, history_, n_iter_
        As of `RNNRegressor`.

    Notes
    -----
    Targets that are NaN do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import SequenceRegressor
    >>> X = np.random.default_rng(0).standard_normal((40, 9))
    >>> y = np.cumsum(X, axis=1)
    >>> model = SequenceRegressor(hidden_size=12, lr=0.02, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9), model.predict(X).shape
    (True, (40, 9))
    """

    normalize_y: bool = True

    def _targets(self, rows: list[Array], goes_on: bool) -> tuple[int, str, list[Array]]:
        flat = rows[0].ndim == 1
        rows = [np.asarray(row, np.float64).reshape(len(row), -1) for row in rows]
        for i, row in enumerate(rows):
            check.all_finite(f"y[{i}]", row, ~np.isnan(row))
        if not goes_on:
            self._scale: Scale | None = scale_of(all_steps(rows)) if self.normalize_y else None
            self._flat_y = flat
        return (
            rows[0].shape[1], "mse",
            rows if self._scale is None else [self._scale(row) for row in rows],
        )  # fmt: skip

    def _data(self, series: Series, y: Any, weights: Array | None, which: Array) -> dict[str, Any]:
        data = super()._data(series, y, weights, which)
        if any(np.isnan(row).any() for row in data["y"]):
            data["target_mask"] = "nan"
        return data

    def predict(self, X: Any) -> Any:
        """The numbers of every step, float64: (n, T) or (n, T, K), or a list of arrays."""
        series, y = self._logits(X)
        y = y.astype(np.float64)
        if self._scale is not None:
            y = self._scale.back(y)
        return answered(y[:, :, 0] if self._flat_y else y, series)

    def score(self, X: Any, y: Any) -> float:
        """The coefficient of determination over all steps whose targets count."""
        series = self._series(X, reset=False)
        truth = all_steps(by_sequence(y, series))
        found = all_steps(self.predict(X))
        counted = ~np.isnan(truth.reshape(len(truth), -1)).any(axis=1)
        return float(r2_score(truth[counted], found[counted]))
