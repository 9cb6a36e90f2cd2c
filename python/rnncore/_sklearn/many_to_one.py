"""One label, or some numbers, for every sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from rnncore._sklearn.estimator import Estimator
from rnncore._sklearn.labels import numbered, probabilities
from rnncore._sklearn.scaling import Scale, scale_of
from rnncore._types import Array


@dataclass(kw_only=True, repr=False, eq=False)
class RNNClassifier(ClassifierMixin, Estimator):
    """A recurrent network that gives every sequence a class.

    Parameters
    ----------
    cell : {"gru", "lstm", "rnn", "mgu"}
        `rnncore.GRU`, `rnncore.LSTM`, `rnncore.RNN` or `rnncore.MGU`.
    hidden_size, num_layers, bidirectional, dropout : int, int, bool, float
        As for `rnncore.RNN`.
    nonlinearity : str, optional
        Of cells that have one; None: "tanh".
    optimizer, lr, l1, weight_decay, clip_norm, truncate
        As for `rnncore.RNN.fit`.
    epochs : int
        Passes over the sequences in `fit`. `partial_fit` makes one.
    batch_size : int or None
        Sequences per update; None: all of them.
    early_stopping : bool
        Hold out ``validation_fraction`` of the sequences in `fit`, of every class where there are
        enough, stop after ``patience`` epochs without a smaller loss of these, and keep the
        parameters that had the smallest.
    validation_fraction, patience : float, int
        See ``early_stopping``.
    warm_start : bool
        `fit` goes on from the parameters there are, with an optimiser that begins anew.
    dtype : {"float32", "float64"}
        Of the network.
    random_state : int, RandomState or None
        For first parameters, the order of the sequences, dropout, and what is held out.
    n_jobs : int, optional
        Threads of one network; -1: as many as there are processors. Results have the same bits.
    verbose : bool
        Show how far `fit` is.
    layout : {"btd", "bdt"}
        Axes of a three-dimensional X: (series, time, channels), or (series, channels, time), the
        layout of aeon and sktime.
    nan_padding : bool
        NaN at the end of a series means that it has ended before. If False, they are refused.
    class_weight : {"balanced"}, dict or None
        What the losses of a class are multiplied by; "balanced": n / (classes * n of that class).

    Attributes
    ----------
    classes_ : ndarray
        The labels, sorted.
    network_ : rnncore.RNN or another network
        With ``loss="bce"`` for two classes, else "cross_entropy".
    n_features_in_ : int
        Columns of a two-dimensional X, else channels.
    n_channels_in_ : int
        Numbers of a time step.
    loss_curve_ : list of float
        Mean loss of every epoch, those of `partial_fit` included.
    history_ : rnncore.History
        Of the last `fit`.
    n_iter_ : int
        Epochs.

    Notes
    -----
    X is a matrix (n, T), of which each row is a univariate series, an array (n, T, D) or in the
    other layout (n, D, T), or a list, object array or column of series, each (T_i,), (T_i, D) or in
    the other layout (D, T_i), which may have different lengths. A list of rows of equal length is a
    matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import RNNClassifier
    >>> X = np.random.default_rng(0).standard_normal((60, 8))
    >>> y = np.where(X[:, 2] > 0, "up", "down")
    >>> model = RNNClassifier(hidden_size=8, random_state=0).fit(X, y)
    >>> model.classes_.tolist(), model.predict_proba(X).shape, bool(model.score(X, y) > 0.9)
    (['down', 'up'], (60, 2), True)
    """

    class_weight: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or with ``warm_start`` the one there is.

        Parameters
        ----------
        X : array-like or list of arrays
            Series, see the notes of the class.
        y : array-like of shape (n,)
            Labels.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        RNNClassifier
            Itself.
        """
        goes_on = self.warm_start and hasattr(self, "network_")
        self._prepare(X, y, sample_weight, goes_on, None, more=False)
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> Self:  # fmt: skip
        """Train the network for one epoch; the optimiser remembers what it did before.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array-like, optional
            All labels that there will be; needed in the first call.

        Returns
        -------
        RNNClassifier
            Itself.
        """
        goes_on = hasattr(self, "network_")
        if not goes_on and classes is None:
            raise ValueError("classes: expected all labels in the first call of partial_fit")
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight: expected a dict or None for partial_fit, which does not see all "
                f"labels, got {self.class_weight!r}"
            )
        self._prepare(X, y, sample_weight, goes_on, classes, more=True)
        return self

    def _prepare(
        self, X: Any, y: Any, sample_weight: Any, goes_on: bool, classes: Any, more: bool
    ) -> None:
        self._needs_y(y)
        series = self._series(X, reset=not goes_on)
        y = check_array(column_or_1d(y, warn=True), dtype=None, ensure_2d=False, input_name="y")
        check_consistent_length(series.values, y)
        check_classification_targets(y)
        weights = self._weights(sample_weight, series.number)
        if goes_on:
            known = self.classes_
            if classes is not None and not np.array_equal(np.unique(classes), known):
                raise ValueError(f"classes: expected {known} as before, got {np.unique(classes)}")
        else:
            known = np.unique(y if classes is None else classes)
        numbers = numbered(y, known)
        if len(known) < 2:
            raise ValueError(
                f"y: expected at least 2 classes, got {len(known)} class: a classifier cannot be "
                "trained on one"
            )
        if not goes_on:
            self.classes_: Array = known
        if self.class_weight is not None:
            per_class = compute_class_weight(
                self.class_weight, classes=known, y=y, sample_weight=weights
            )
            weights = per_class[numbers] * (1 if weights is None else weights)
        two = len(known) == 2
        self._set_network(1 if two else len(known), "bce" if two else "cross_entropy", not goes_on)
        self._train(series, numbers, weights, more, labels=numbers)

    def decision_function(self, X: Any) -> Array:
        """The logits: (n,) of the second of two classes, else (n, classes)."""
        logits: Array = self._logits(X)[1].astype(np.float64)
        return logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> Array:
        """The probability of every class, (n, classes)."""
        return probabilities(self._logits(X)[1])

    def predict(self, X: Any) -> Array:
        """The most probable label, (n,)."""
        best = self.predict_proba(X).argmax(axis=1)
        chosen: Array = self.classes_[best]
        return chosen


@dataclass(kw_only=True, repr=False, eq=False)
class RNNRegressor(RegressorMixin, Estimator):
    """A recurrent network that gives every sequence a number, or several.

    Parameters
    ----------
    cell, hidden_size, num_layers, bidirectional, nonlinearity, dropout, optimizer, lr, epochs
        As for `RNNClassifier`.
    batch_size, l1, weight_decay, clip_norm, truncate, early_stopping, validation_fraction, patience
        As for `RNNClassifier`.
    warm_start, dtype, random_state, n_jobs, verbose, layout, nan_padding
        As for `RNNClassifier`.
    normalize_y : bool
        Train on targets with mean 0 and standard deviation 1; predictions are scaled back. With
        `partial_fit` it is the scale of the first call's targets.

    Attributes
    ----------
    network_, n_features_in_, n_channels_in_, loss_curve_, history_, n_iter_
        As of `RNNClassifier`. The losses are of the targets that the network is trained on.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.sklearn import RNNRegressor
    >>> X = [np.random.default_rng(i).standard_normal(3 + i % 5) for i in range(60)]
    >>> y = np.array([100 + row.sum() for row in X])  # of series of different lengths
    >>> model = RNNRegressor(hidden_size=8, lr=0.02, random_state=0).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    normalize_y: bool = True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a new network, or with ``warm_start`` the one there is.

        Parameters
        ----------
        X : array-like or list of arrays
            Series, see the notes of `RNNClassifier`.
        y : array-like of shape (n,) or (n, K)
            Numbers.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        RNNRegressor
            Itself.
        """
        goes_on = self.warm_start and hasattr(self, "network_")
        self._prepare(X, y, sample_weight, goes_on, more=False)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train the network for one epoch; the optimiser remembers what it did before.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        RNNRegressor
            Itself.
        """
        self._prepare(X, y, sample_weight, hasattr(self, "network_"), more=True)
        return self

    def _prepare(self, X: Any, y: Any, sample_weight: Any, goes_on: bool, more: bool) -> None:
        self._needs_y(y)
        series = self._series(X, reset=not goes_on)
        y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y", estimator=self)
        check_consistent_length(series.values, y)
        weights = self._weights(sample_weight, series.number)
        rows = y.reshape(len(y), -1)
        if not goes_on:
            self._scale: Scale | None = scale_of(rows, weights) if self.normalize_y else None
            self._flat_y = y.ndim == 1
        self._set_network(rows.shape[1], "mse", not goes_on)
        self._train(series, rows if self._scale is None else self._scale(rows), weights, more)

    def predict(self, X: Any) -> Array:
        """The numbers of every sequence, (n,) or (n, K), float64."""
        y = self._logits(X)[1].astype(np.float64)
        if self._scale is not None:
            y = self._scale.back(y)
        return y[:, 0] if self._flat_y else y
