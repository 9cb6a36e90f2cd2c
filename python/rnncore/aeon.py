"""Recurrent networks as a classifier of aeon, which has to be installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from aeon.classification.base import BaseClassifier

from rnncore._sklearn.adapted import FOR_CHECKS, Adapted


@dataclass(kw_only=True, repr=False, eq=False)
class RNNClassifier(Adapted, BaseClassifier):
    """A recurrent network that gives every series a class.

    Parameters
    ----------
    cell, hidden_size, num_layers, bidirectional, nonlinearity, dropout, optimizer, lr, epochs
        As for `rnncore.sklearn.RNNClassifier`.
    batch_size, l1, weight_decay, clip_norm, truncate, early_stopping, validation_fraction, patience
        As for `rnncore.sklearn.RNNClassifier`.
    warm_start, dtype, random_state, n_jobs, verbose, class_weight
        As for `rnncore.sklearn.RNNClassifier`.

    Attributes
    ----------
    model_ : rnncore.sklearn.RNNClassifier
        What is fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from rnncore.aeon import RNNClassifier
    >>> X = np.random.default_rng(0).standard_normal((60, 2, 8))  # (series, channels, time)
    >>> y = np.where(X[:, 0, 2] > 0, "up", "down")
    >>> model = RNNClassifier(hidden_size=8, random_state=0).fit(X, y)
    >>> model.predict_proba(X).shape, bool(model.score(X, y) > 0.9)
    ((60, 2), True)
    """

    _tags: ClassVar[dict[str, Any]] = {
        "X_inner_type": ["np-list", "numpy3D"],
        "algorithm_type": "deeplearning",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:multithreading": True,
    }

    def __post_init__(self) -> None:
        BaseClassifier.__init__(self)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:
        """What aeon's own checks make it with."""
        return FOR_CHECKS


__all__ = ["RNNClassifier"]
