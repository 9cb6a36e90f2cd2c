"""What the classifiers for aeon and sktime have in common."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from rnncore._sklearn.estimator import Parameters
from rnncore._sklearn.many_to_one import RNNClassifier
from rnncore._types import Array


@dataclass(kw_only=True, repr=False, eq=False)
class Adapted(Parameters):
    """A classifier of `rnncore.sklearn`, `model_`, on arrays (series, channels, time)."""

    n_jobs: int | None = 1
    class_weight: Any = None

    def _fit(self, X: Any, y: Any) -> Self:
        if not (self.warm_start and hasattr(self, "model_")):
            parameters = {field.name: getattr(self, field.name) for field in fields(Adapted)}
            self.model_ = RNNClassifier(layout="bdt", **parameters)
        self.model_.fit(as_arrays(X), y)
        return self

    def _predict(self, X: Any) -> Array:
        return self.model_.predict(as_arrays(X))

    def _predict_proba(self, X: Any) -> Array:
        return self.model_.predict_proba(as_arrays(X))


def as_arrays(X: Any) -> Any:
    """A list of arrays (channels, T_i), also where it has frames (T_i, channels)."""
    if isinstance(X, list):
        return [row.to_numpy().T if hasattr(row, "to_numpy") else row for row in X]
    return X


#: The parameters that the checks of these packages use.
FOR_CHECKS: list[dict[str, Any]] = [
    {"hidden_size": 4, "epochs": 5},
    {"cell": "lstm", "hidden_size": 3, "bidirectional": True, "epochs": 3, "batch_size": None},
]
