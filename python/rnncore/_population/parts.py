"""The data of one member after another, for calls that run each on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rnncore._population.sequences import Given, Selection, depth, is_own, selected, shared
from rnncore._types import Array


def parts_of(given: Given, subsets: Any, members: int) -> Iterator[Given]:
    """What each member is given: the same, or its own; or a subset of that."""
    own = is_own(given.x)
    if own:
        for name, value in given._asdict().items():
            if not shared(value) and len(value) != members:
                raise ValueError(
                    f"{name}: expected an entry for each of {members} members, got {len(value)}"
                )
    counts = [len(part) for part in given.x] if own else [len(given.x)] * members
    chosen = None
    if subsets is not None:
        available = Selection(
            np.concatenate([np.arange(count) for count in counts]), np.array(counts, np.int64)
        )
        chosen = selected("subsets", subsets, available).parts()
    for m in range(members):
        part = Given(*(v[m] if own and not shared(v) else v for v in given))
        if chosen is not None:
            part = Given(*(value if shared(value) else take(value, chosen[m]) for value in part))
        yield part


def take(value: Any, which: Array) -> Any:
    """Some of the sequences of an array, a list, or a pair of states."""
    if isinstance(value, tuple) and len(value) == 2 and all(depth(v) > 1 for v in value):
        return tuple(take(v, which) for v in value)
    if isinstance(value, list | tuple):
        return [value[i] for i in which]
    return np.asarray(value)[which]
