"""Which sequences are held out: cross-validation by whatever yields pairs of index arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array

Pair = tuple[Array, Array]


def folds_of(
    name: str, given: Any, which: Array, y: Any, groups: Array | None, everything: int
) -> list[Pair]:
    """The pairs (train, test) of numbers of sequences that `given` divides `which` into: a number
    of folds, a splitter of scikit-learn, or pairs, whose numbers are of `everything`."""
    if is_count(given):
        return list(by_turns(check.whole(name, given, 2), which, groups, name))
    of_groups = None if groups is None else groups[which]
    if hasattr(given, "split"):
        targets = targets_of(y, which)
        pairs = list(given.split(np.zeros((len(which), 1)), targets, of_groups))
        return [checked(name, pair, which, len(which), which) for pair in pairs]
    try:
        pairs = list(given)
    except TypeError:
        raise TypeError(
            f"{name}: expected a number of folds, a splitter with a method split, or pairs "
            f"(train, test), got {check.kind(given)}"
        ) from None
    every = np.arange(everything)
    found = [checked(name, pair, every, everything, which) for pair in pairs]
    if not found:
        raise ValueError(f"{name}: expected at least one pair (train, test), got none")
    return found


def is_count(given: Any) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def targets_of(y: Any, which: Array) -> Array:
    """One target for each sequence, for splitters that stratify."""
    values = [np.ravel(np.asarray(y[int(s)]))[:1] for s in which]
    return np.array([v[0] if len(v) else 0 for v in values])


def checked(name: str, pair: Any, numbers: Array, count: int, among: Array) -> Pair:
    """One pair as numbers of sequences, as far as they are `among` some."""
    parts = check.items(name, pair)
    if len(parts) != 2:
        raise ValueError(f"{name}: expected pairs (train, test), got {len(parts)} arrays")
    result = []
    for what, part in zip(("train", "test"), parts, strict=True):
        values = check.array(f"{name}: {what}", part)
        if values.dtype.kind == "b":
            check.same_shape(f"{name}: {what}", values, (count,))
            values = np.flatnonzero(values)
        if values.ndim != 1 or (values.size and values.dtype.kind not in "iu"):
            raise TypeError(f"{name}: {what}: expected numbers of sequences, (n,)")
        check.within(f"{name}: {what}", "numbers of sequences", values, 0, count - 1)
        chosen = numbers[values.astype(np.int64)]
        chosen = chosen[np.isin(chosen, among)]
        if not len(chosen):
            raise ValueError(f"{name}: {what}: expected at least one sequence, got none")
        result.append(chosen)
    return result[0], result[1]


def by_turns(k: int, which: Array, groups: Array | None, name: str) -> Iterator[Pair]:
    """k folds: sequence (or group) i is in fold i modulo k, so that all cover the whole time."""
    labels = np.arange(len(which))
    if groups is not None:
        labels = np.unique(groups[which], return_inverse=True)[1]
    if labels.max() + 1 < k:
        what = "sequences" if groups is None else "groups"
        raise ValueError(f"{name}: expected at most {labels.max() + 1}, the {what}, got {k}")
    for fold in range(k):
        held = labels % k == fold
        yield which[~held], which[held]
