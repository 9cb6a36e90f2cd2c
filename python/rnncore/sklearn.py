"""Recurrent networks as estimators of scikit-learn, which has to be installed.

>>> import numpy as np
>>> from sklearn.model_selection import cross_val_score
>>> from rnncore.sklearn import RNNClassifier
>>> X = np.random.default_rng(0).standard_normal((90, 6))
>>> y = np.where(X[:, 0] > 0, "up", "down")
>>> scores = cross_val_score(RNNClassifier(hidden_size=8, random_state=0), X, y, cv=3)
>>> bool(scores.mean() > 0.8)
True
"""

from rnncore._sklearn.forecasting import RNNForecaster
from rnncore._sklearn.many_to_one import RNNClassifier, RNNRegressor
from rnncore._sklearn.sequence_to_sequence import SequenceClassifier, SequenceRegressor

__all__ = [
    "RNNClassifier",
    "RNNForecaster",
    "RNNRegressor",
    "SequenceClassifier",
    "SequenceRegressor",
]
