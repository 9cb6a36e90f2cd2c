"""What all estimators have in common: parameters, input, and how their network is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import (
    _check_feature_names,
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)

from rnncore._checks import arguments as check
from rnncore._networks.gru import GRU
from rnncore._networks.lstm import LSTM
from rnncore._networks.mgu import MGU
from rnncore._networks.rnn import RNN
from rnncore._sklearn.series import LAYOUTS, Series, from_array, from_list, listed
from rnncore._types import Array

CELLS: dict[str, Any] = {"gru": GRU, "lstm": LSTM, "rnn": RNN, "mgu": MGU}


@dataclass(kw_only=True, repr=False, eq=False)
class Parameters:
    """What decides the network and its training."""

    cell: str = "gru"
    hidden_size: int = 16
    num_layers: int = 1
    bidirectional: bool = False
    nonlinearity: str | None = None
    dropout: float = 0.0
    optimizer: str = "adam"
    lr: Any = 0.01
    epochs: int = 100
    batch_size: int | None = 32
    l1: Any = 0.0
    weight_decay: Any = 0.0
    clip_norm: float | None = 1.0
    truncate: int | None = None
    early_stopping: bool = False
    validation_fraction: float = 0.1
    patience: int = 10
    warm_start: bool = False
    dtype: str = "float32"
    random_state: Any = None
    n_jobs: int | None = None
    verbose: bool = False


@dataclass(kw_only=True, repr=False, eq=False)
class Estimator(Parameters, BaseEstimator):
    """Conversion of the input, and training. `network_` has the network."""

    layout: str = "btd"
    nan_padding: bool = False

    _readout = "last"

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.nan_padding
        tags.target_tags.required = True
        return tags

    # ---- input ----------------------------------------------------------------------

    def _series(self, X: Any, reset: bool) -> Series:
        """X as a network takes it. With `reset` the estimator remembers its form, else X must have
        it."""
        check.choice("layout", self.layout, LAYOUTS)
        nan_padding = check.flag("nan_padding", self.nan_padding)
        form = "X", self.layout, nan_padding, check.choice("dtype", self.dtype, PRECISIONS)
        rows = listed(X)
        options = {
            "dtype": [np.float64, np.float32],
            "ensure_all_finite": "allow-nan" if nan_padding else True,
        }
        matrix = False
        if rows is not None:
            series = from_list(form[0], rows, *form[1:])
        elif getattr(X, "ndim", None) == 3 or depth(X) == 3:
            X = check_array(X, allow_nd=True, ensure_2d=False, estimator=self, **options)
            series = from_array(form[0], X, *form[1:])
        elif reset or self._of_matrix:
            matrix = True
            series = from_array(form[0], validate_data(self, X, reset=reset, **options), *form[1:])
        else:
            series = from_array(form[0], check_array(X, estimator=self, **options), *form[1:])
        if reset:
            self._of_matrix: bool = matrix
            self.n_channels_in_ = series.channels
            if not matrix:
                _check_feature_names(self, np.empty((1, 1)), reset=True)
                self.n_features_in_ = series.channels
        elif series.channels != self.n_channels_in_:
            raise ValueError(
                f"X: expected {self.n_channels_in_} channels, as {type(self).__name__} was fitted "
                f"on, got {series.channels}"
            )
        return series

    def _needs_y(self, y: Any) -> None:
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y "
                "is None."
            )

    def _weights(self, sample_weight: Any, count: int) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(
            sample_weight, np.empty((count, 1)), ensure_non_negative=True
        )
        if not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number.")
        return weights

    # ---- training -------------------------------------------------------------------

    @property
    def _threads(self) -> int:
        return int(effective_n_jobs(self.n_jobs))

    def _set_network(self, outputs: int, loss: str, new: bool) -> None:
        """A new network, unless the one there is goes on to be trained."""
        if new:
            random = check_random_state(self.random_state)
            seed, self._seed = (int(n) for n in random.randint(2**31 - 1, size=2))
            own = {} if self.nonlinearity is None else {"nonlinearity": self.nonlinearity}
            check.choice("cell", self.cell, CELLS)
            self.network_ = CELLS[self.cell](
                self.n_channels_in_, self.hidden_size, outputs, num_layers=self.num_layers,
                bidirectional=self.bidirectional, dropout=self.dropout, readout=self._readout,
                loss=loss, dtype=self.dtype, seed=seed, **own,
            )  # fmt: skip
            self.loss_curve_: list[float] = []
            self._order = np.random.default_rng(self._seed)
            self._trainer: Any = None
            self.n_iter_ = 0
        net = self.network_
        had = (net.input_size, net.output_size, net.config["loss"])
        if had != (self.n_channels_in_, outputs, loss):
            raise ValueError(
                f"X and y: expected {had[0]} channels and {had[1]} outputs as before, got "
                f"{self.n_channels_in_} and {outputs}; without warm_start a new network is made"
            )

    def _train(
        self, series: Series, y: Any, weights: Array | None, more: bool, labels: Any = None
    ) -> None:
        """Train on the sequences, but not on those of weight zero: all epochs or, with `more`, one
        with the optimiser as the last one left it. Labels decide how those that are held out are
        drawn."""
        which: Array = np.arange(series.number) if weights is None else np.flatnonzero(weights)
        if more:
            losses = self._one_epoch(series, y, weights, which)
        else:
            losses = self._all_epochs(series, y, weights, *self._divided(which, labels))
        self.loss_curve_ = [*self.loss_curve_, *losses]
        self.n_iter_ += len(losses)

    def _all_epochs(
        self, series: Series, y: Any, weights: Array | None, which: Array, held: Array | None
    ) -> list[float]:
        """The mean losses of all epochs."""
        size = len(which) if self.batch_size is None else self.batch_size
        self._trainer = None
        self.history_ = self.network_.fit(
            **self._data(series, y, weights, which), epochs=self.epochs, batch_size=size,
            validation=None if held is None else self._data(series, y, weights, held),
            patience=None if held is None else self.patience, shuffle=self.batch_size is not None,
            rng=self._seed, progress=bool(self.verbose), **self._rule(),
        )  # fmt: skip
        return self.history_.loss.tolist()  # type: ignore[no-any-return]

    def _one_epoch(
        self, series: Series, y: Any, weights: Array | None, which: Array
    ) -> list[float]:
        """The mean loss of one more epoch."""
        if self._trainer is None:
            self._trainer = self.network_.trainer(**self._rule(), rng=self._seed)
        self._trainer.lr = self.lr
        size = len(which)
        if self.batch_size is not None:
            size = check.whole("batch_size", self.batch_size, 1)
            which = self._order.permutation(which)
        total = 0.0
        for first in range(0, len(which), size):
            part = which[first : first + size]
            total += self._trainer.step(**self._data(series, y, weights, part)) * len(part)
        return [total / len(which)]

    def _rule(self) -> dict[str, Any]:
        """What decides the updates."""
        names = ("optimizer", "lr", "l1", "weight_decay", "clip_norm", "truncate")
        return {"threads": self._threads, **{name: getattr(self, name) for name in names}}

    def _divided(self, which: Array, labels: Any) -> tuple[Array, Array | None]:
        """The numbers of the sequences to train on, and of those that are held out."""
        if not check.flag("early_stopping", self.early_stopping):
            return which, None
        share = check.number("validation_fraction", self.validation_fraction, 0, 1, above=True)
        apart = max(1, round(share * len(which)))
        if apart >= len(which):
            raise ValueError(
                f"validation_fraction: expected to leave a sequence to train on, got {share:g} "
                f"of {len(which)}"
            )
        if labels is not None:
            labels = labels[which]
            counts = np.unique(labels, return_counts=True)[1]
            if counts.min() < 2 or len(counts) > min(apart, len(which) - apart):
                labels = None  # too few for a share of every class
        train, held = train_test_split(
            which, test_size=apart, random_state=self._seed, stratify=labels
        )
        return np.sort(train), np.sort(held)

    def _data(self, series: Series, y: Any, weights: Array | None, which: Array) -> dict[str, Any]:
        """What `fit` and `step` of a network take, of some of the sequences."""
        part = series.some(which)
        targets = [y[i] for i in which] if isinstance(y, list) else y[which]
        return {
            "x": part.values, "y": targets, "lengths": part.lengths,
            "sample_weight": None if weights is None else weights[which],
        }  # fmt: skip

    def _logits(self, X: Any) -> tuple[Series, Array]:
        """The sequences, and the read-out of the fitted network."""
        check_is_fitted(self)
        series = self._series(X, reset=False)
        net = self.network_
        return series, net(series.values, lengths=series.lengths, threads=self._threads).y


PRECISIONS = ("float32", "float64")


def depth(X: Any) -> int:
    """How deep lists are nested."""
    levels = 0
    while isinstance(X, list | tuple) and X:
        levels, X = levels + 1, X[0]
    return levels
