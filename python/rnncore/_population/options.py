"""The options of a population's fit, each one number for all members or one for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._population.sequences import depth
from rnncore._training.options import limit, rates_of, strengths
from rnncore._types import Array
from rnncore.schedules import Schedule

Check = Callable[[str, Any], Any]


def each(name: str, value: Any, members: int, checked: Check, dtype: Any = np.float64) -> Array:
    """One checked number for every member, from one for all or an array (members,)."""
    if depth(value) == 0:
        return np.full(members, checked(name, value), dtype)
    values = check.array(name, value)
    check.same_shape(name, values, (members,))
    return np.array([checked(f"{name}[{m}]", v) for m, v in enumerate(values.tolist())], dtype)


def at_least_0(name: str, value: Any) -> float:
    return check.number(name, value, 0, above=False)


def above_0(name: str, value: Any) -> float:
    return check.number(name, value, 0, above=True)


def share(name: str, value: Any) -> float:
    return check.number(name, value, 0, 1, above=False)


def size(name: str, value: Any) -> int:
    return check.whole(name, value, 1)


def coefficients(
    members: int, dtype: np.dtype[Any], *, momentum: Any, alpha: Any, betas: Any, eps: Any,
    clip_norm: Any, clip_value: Any, activation: Any,
) -> Array:  # fmt: skip
    """(members, 8): what the core's Population takes."""
    try:
        beta1, beta2 = betas
    except Exception:  # whatever unpacking raises
        raise TypeError(f"betas: expected two numbers, got {check.shown(betas)}") from None
    columns = [
        each("momentum", momentum, members, share), each("alpha", alpha, members, share),
        each("betas", beta1, members, share), each("betas", beta2, members, share),
        each("eps", eps, members, above_0),
        each("clip_norm", clip_norm, members, limit),
        each("clip_value", clip_value, members, limit),
        each("activation", activation, members, at_least_0),
    ]  # fmt: skip
    with np.errstate(over="ignore"):
        rounded = columns[4].astype(dtype)
    if not ((rounded > 0) & np.isfinite(rounded)).all():
        raise ValueError(f"eps: expected more than 0 and finite in {dtype}, got {check.shown(eps)}")
    return np.stack(columns, axis=1)


def rates(lr: Any, members: int, epochs: int) -> tuple[Array, tuple[float, float, int, int]]:
    """Learning rates, (members or 1, epochs or 1), and the plateau of a schedule."""
    plateau = (lr if isinstance(lr, Schedule) else Schedule()).plateau
    if callable(lr):
        return np.array([rates_of(lr, epochs)(1, epochs)], np.float64).reshape(1, epochs), plateau
    if depth(lr) == 0:
        return np.array([[above_0("lr", lr)]]), plateau
    return each("lr", lr, members, above_0)[:, None].copy(), plateau


def penalties(name: str, value: Any, members: int, model: Model) -> Array | None:
    """The strength of a penalty for every parameter of every member, (members, P); None where all
    are zero. A mapping has strengths by the beginnings of names."""
    given = check.entries(name, value) if isinstance(value, Mapping) else {"": value}
    by_key = {}
    for key, strength in given.items():
        text = key if isinstance(key, str) else check.shown(key)
        label = f"{name}[{check.shown(key)}]" if isinstance(value, Mapping) else name
        by_key[text] = each(label, strength, members, at_least_0)
    # All that differ, once each: most often all members have the same.
    table = np.stack(list(by_key.values()), axis=1) if by_key else np.zeros((members, 1))
    kinds, which = np.unique(table, axis=0, return_inverse=True)
    found = [
        strengths(name, dict(zip(by_key, row.tolist(), strict=True)) if by_key else 0.0, model)
        for row in kinds
    ]
    if all(row is None for row in found):
        return None
    nothing = np.zeros(model.flat.size, model.spec.dtype)
    rows = np.stack([nothing if row is None else row for row in found])
    return np.ascontiguousarray(rows[which.reshape(-1)])


def seeds(name: str, given: Any, members: int) -> Array:
    """A seed for every member: the same one, or one each."""
    if isinstance(given, range) or depth(given):
        values = check.items(name, given)
        if len(values) != members:
            raise ValueError(
                f"{name}: expected a seed for each of {members} members, got {len(values)}"
            )
        return np.array([check.seed(f"{name}[{m}]", v) for m, v in enumerate(values)], np.uint64)
    return np.full(members, check.seed(name, given), np.uint64)


def batch_sizes(given: Any, counts: Array) -> Array:
    """The sequences of each member's minibatch; None: all of them."""
    if given is None:
        return counts.copy()
    return each("batch_size", given, len(counts), size, np.int64)
