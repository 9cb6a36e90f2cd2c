"""The sequences of a population's members: a pool for all of them, from which each member has a
selection, or data of each member's own, which are joined to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._data.splits import Data, data_of, drawn
from rnncore._model.spec import Spec
from rnncore._types import Array


class Given(NamedTuple):
    """The arguments of a call that are data; see `rnncore.RNN.loss`."""

    x: Any
    y: Any
    h0: Any = None
    lengths: Any = None
    mask: Any = None
    target_mask: Any = None
    sample_weight: Any = None


class Selection(NamedTuple):
    """Which sequences of a pool each member has."""

    order: Array  # numbers of sequences, member after member
    counts: Array  # (members,) how many of these each has

    def parts(self) -> list[Array]:
        return np.split(self.order, np.cumsum(self.counts)[:-1])


class Pool(NamedTuple):
    """The sequences of all members, and each one's own where they do not share them."""

    data: Data
    own: Selection | None

    def everything(self, members: int) -> Selection:
        """All the sequences that each member has."""
        if self.own is not None:
            return self.own
        count = self.data.inputs.count
        return Selection(np.tile(self.data.order, members), np.full(members, count, np.int64))


def is_own(x: Any) -> bool:
    """Whether x is a list with the sequences of each member: arrays (B, T, D), lists of arrays, or
    lists as deep as these. (Lists of lists of numbers are sequences themselves.)"""
    if not isinstance(x, list | tuple):
        return False
    own = [depth(part) > 2 or is_tokens(part) for part in x]
    return any(own) and all(known or len(part) == 0 for known, part in zip(own, x, strict=True))


def is_tokens(part: Any) -> bool:
    """Whether it is a list of arrays of integers, one for each sequence."""
    first = part[0] if isinstance(part, list | tuple) and part else None
    return isinstance(first, np.ndarray) and first.ndim == 1 and first.dtype.kind in "iu"


def depth(value: Any) -> int:
    """How many axes an array, or a list of lists or arrays, has."""
    if isinstance(value, list | tuple):
        try:
            first = value[0] if value else 0
        except Exception:  # of a derived class: `check.items` has the error
            first = 0
        return 1 + depth(first)
    axes = getattr(value, "ndim", 0)
    return axes if isinstance(axes, int) else 0


def pool_of(spec: Spec, given: Given, members: int) -> Pool:
    """The data of all members, checked."""
    if not is_own(given.x):
        return Pool(checked(spec, given), None)
    if len(given.x) != members:
        raise ValueError(
            f"x: expected (batch, time, {spec.input_size}) or a list with the sequences of each of "
            f"the {members} members, got a list of {len(given.x)}"
        )
    joined, counts = join(spec, given, members)
    try:
        data = checked(spec, joined)
    except (TypeError, ValueError):
        for m in range(members):  # the error that names the member
            part = Given(*(value if shared(value) else value[m] for value in given))
            checked_for(m, lambda part=part: checked(spec, part))  # type: ignore[misc]
        raise
    return Pool(data, Selection(np.arange(counts.sum(), dtype=np.int64), counts))


def shared(value: Any) -> bool:
    """Whether all members have the same, even with data of their own."""
    return value is None or isinstance(value, str)


def checked(spec: Spec, given: Given) -> Data:
    inputs = Inputs(spec, given.x, given.h0, given.lengths, given.mask)
    targets = given.y, given.target_mask, given.sample_weight
    data = data_of(inputs, *targets)
    outputs.explain(inputs, *targets)
    return data


def checked_for(member: int, work: Callable[[], Any]) -> Any:
    """What `work` returns; its error names the member."""
    try:
        return work()
    except TypeError as error:
        raise TypeError(f"member {member}: {error}") from None
    except ValueError as error:
        raise ValueError(f"member {member}: {error}") from None


def join(spec: Spec, given: Given, members: int) -> tuple[Given, Array]:
    """Every member's own data as one list of sequences, and how many each has."""
    if given.lengths is not None:
        raise ValueError(
            "lengths: expected None with data of each member's own, whose sequences may be lists "
            "of arrays of different lengths"
        )
    counts = np.array([len(part) for part in given.x], np.int64)
    if not counts.all():
        m = int(counts.argmin())
        raise ValueError(f"x[{m}]: expected at least 1 sequence of member {m}, got none")
    fields = given._asdict()
    for name, value in fields.items():
        if shared(value):
            continue
        if not isinstance(value, list | tuple) or len(value) != members:
            raise ValueError(
                f"{name}: expected a list with one entry for each of the {members} members, as x "
                f"is, got {check.kind(value)}"
            )
        if name == "h0":
            fields[name] = joined_states(spec, value)
            continue
        for m, part in enumerate(value):
            size = len(part) if hasattr(part, "__len__") else check.kind(part)
            if size != counts[m]:
                raise ValueError(f"{name}[{m}]: expected {counts[m]} sequences, got {size}")
        fields[name] = [sequence for part in value for sequence in part]
    return Given(**fields), counts


def joined_states(spec: Spec, states: Sequence[Any]) -> Any:
    if spec.states == 1:
        return np.concatenate([check.array("h0", state) for state in states])
    return tuple(
        np.concatenate([check.array("h0", state[part]) for state in states]) for part in (0, 1)
    )


def selected(name: str, given: Any, everything: Selection) -> Selection:
    """The sequences that an argument selects: numbers or booleans, (n,) for all members or one
    such array for each; of each member's own sequences where it has its own."""
    available = everything.parts()
    members = len(available)
    rows = by_member(name, given, members)
    parts, differ = [], any(row is not rows[0] for row in rows)
    for m, (row, own) in enumerate(zip(rows, available, strict=True)):
        label = f"{name}[{m}]" if differ else name
        parts.append(own[numbers(label, row, len(own))])
        if not len(parts[-1]):
            raise ValueError(f"{label}: expected at least one sequence of member {m}, got none")
    return Selection(
        np.concatenate(parts).astype(np.int64), np.array([len(part) for part in parts], np.int64)
    )


def by_member(name: str, given: Any, members: int) -> list[Any]:
    """One array for each member."""
    if isinstance(given, list | tuple) and any(depth(part) for part in given):
        rows = check.items(name, given)
    else:
        array = check.array(name, given)
        if array.ndim == 1:
            return [array] * members
        if array.ndim != 2:
            raise ValueError(
                f"{name}: expected numbers of sequences, (n,) or one such array for each member, "
                f"got shape {array.shape}"
            )
        rows = list(array)
    if len(rows) != members:
        raise ValueError(
            f"{name}: expected an array for each of {members} members, got {len(rows)}"
        )
    return rows


def numbers(name: str, row: Any, count: int) -> Array:
    """Numbers of sequences, from 0 up to `count`; booleans select those that are true."""
    values = check.array(name, row)
    if values.ndim != 1:
        raise ValueError(f"{name}: expected numbers of sequences, (n,), got shape {values.shape}")
    if values.dtype.kind == "b":
        check.same_shape(name, values, (count,))
        return np.flatnonzero(values)
    if values.size and values.dtype.kind not in "iu":
        raise TypeError(f"{name}: expected integers, got dtype {values.dtype}")
    values = values.astype(np.int64)
    check.within(name, "numbers of sequences", values, 0, count - 1)
    return values


def check_counts(name: str, pool: Pool, selection: Selection) -> None:
    """Raise an error where no target of a member's sequences counts."""
    inputs = pool.data.inputs
    weights = outputs.weights(inputs, pool.data.targets).reshape(inputs.count, -1).sum(axis=1)
    starts = np.cumsum(selection.counts) - selection.counts
    none = np.add.reduceat(weights[selection.order], starts) == 0
    if none.any():
        m = int(none.argmax())
        raise ValueError(f"{name}: expected a target that counts for member {m}, got none")


def share_apart(share: float, everything: Selection, seeds: Array) -> tuple[Selection, Selection]:
    """Of each member's sequences, those to train on and a share that is held out, as `fit` of a
    network draws it from the same seed."""
    train, held = [], []
    for m, (own, seed) in enumerate(zip(everything.parts(), seeds, strict=True)):
        apart = max(1, round(share * len(own)))
        if apart >= len(own):
            raise ValueError(
                f"validation: expected to leave member {m} a sequence to train on, got {share:g} "
                f"of {len(own)}"
            )
        left, out = drawn(len(own), apart, int(seed))
        train.append(own[left])
        held.append(own[out])
    return tuple(  # type: ignore[return-value]
        Selection(np.concatenate(parts), np.array([len(part) for part in parts], np.int64))
        for parts in (train, held)
    )
