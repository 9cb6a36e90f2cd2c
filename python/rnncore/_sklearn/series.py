"""Time series in the forms in which users of scikit-learn, aeon and sktime have them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array

#: Axes of an array of series: (n, time, channels), or (n, channels, time).
LAYOUTS = ("btd", "bdt")


class Series(NamedTuple):
    """Series as a network takes them."""

    values: Array | list[Array]  # (n, T, D), or of different lengths (T_i, D)
    lengths: Array | None = None  # (n,) steps of each, where the rest of an array is padding

    @property
    def number(self) -> int:
        return len(self.values)

    @property
    def channels(self) -> int:
        return int(self.values[0].shape[-1])

    def some(self, which: Array) -> Series:
        """Those of these numbers."""
        if isinstance(self.values, list):
            return Series([self.values[i] for i in which])
        return Series(self.values[which], None if self.lengths is None else self.lengths[which])

    def steps_of(self) -> Array:
        """(n,) how many steps each has."""
        if self.lengths is not None:
            return self.lengths
        return np.array([len(row) for row in self.values])


def listed(X: Any) -> list[Any] | None:
    """The series of a list, an object array or a column of objects with a series in each entry;
    None for anything else, such as a matrix of numbers, also where it is a list of its rows."""
    if hasattr(X, "to_numpy") and not isinstance(X, np.ndarray):  # a frame or a column
        dtypes = list(getattr(X, "dtypes", [])) if hasattr(X, "columns") else [X.dtype]
        if len(dtypes) != 1 or dtypes[0].kind != "O":
            return None
        X = X.to_numpy()
    if isinstance(X, np.ndarray):
        if X.dtype != object or X.ndim > 2 or (X.ndim == 2 and X.shape[1] != 1):
            return None
        cells = list(X.ravel())
        return cells if cells and all(is_series(cell) for cell in cells) else None
    if not isinstance(X, list | tuple) or not X or not all(is_series(row) for row in X):
        return None
    try:
        rows = [np.asarray(row) for row in X]
    except ValueError:  # a row of rows of different lengths
        return None
    flat = all(row.ndim == 1 for row in rows)
    return None if flat and len({len(row) for row in rows}) == 1 else list(X)


def is_series(row: Any) -> bool:
    return isinstance(row, list | tuple) or (hasattr(row, "__array__") and np.ndim(row) > 0)


def from_array(name: str, X: Array, layout: str, nan_padding: bool, dtype: Any) -> Series:
    """(n, T), (n, T, D) or in the other layout (n, D, T)."""
    if X.ndim == 2:
        X = X[:, :, None]
    elif layout == "bdt":
        X = X.transpose(0, 2, 1)
    if 0 in X.shape:
        raise ValueError(
            f"{name}: expected at least one series, step and channel, got shape {X.shape} of "
            "(series, time, channels)"
        )
    values = check.as_real(X, np.dtype(dtype))
    missing = np.isnan(values)
    lengths = None
    if nan_padding and missing.any():
        there = np.asarray(~missing.all(axis=2))
        lengths = X.shape[1] - there[:, ::-1].argmax(axis=1)
        lengths[~there.any(axis=1)] = 0
        if not lengths.all():
            raise ValueError(f"{name}[{int(lengths.argmin())}]: expected a step that is not NaN")
        tail = np.arange(X.shape[1]) >= lengths[:, None]
        values = np.where(tail[:, :, None], 0, values).astype(dtype)
    check.all_finite(name, values)
    if lengths is not None and lengths.min() == X.shape[1]:
        lengths = None
    return Series(values, lengths)


def from_list(
    name: str, rows: list[Any], layout: str, nan_padding: bool, dtype: Any
) -> Series:  # fmt: skip
    """Series (T_i,) or (T_i, D), or in the other layout (D, T_i)."""
    result = []
    for i, row in enumerate(rows):
        here = f"{name}[{i}]"
        values = check.array(here, row)
        if values.ndim not in (1, 2):
            raise ValueError(f"{here}: expected one or two axes, got shape {values.shape}")
        if values.ndim == 2 and layout == "bdt":
            values = values.T
        values = check.as_real(values if values.ndim == 2 else values[:, None], np.dtype(dtype))
        if nan_padding and values.size:
            there = np.asarray(~np.isnan(values).all(axis=1))
            values = values[: len(values) - there[::-1].argmax() if there.any() else 0]
        if 0 in values.shape:
            raise ValueError(f"{here}: expected at least one step and channel, got none")
        check.all_finite(here, values)
        result.append(values)
    channels = {row.shape[1] for row in result}
    if len(channels) > 1:
        at = next(i for i, row in enumerate(result) if row.shape[1] != result[0].shape[1])
        raise ValueError(
            f"{name}[{at}]: expected {result[0].shape[1]} channels as in {name}[0], "
            f"got {result[at].shape[1]}"
        )
    return Series(result)
