"""The data of a fit, and how a share of it is held out for validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._data.outputs import Targets
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._core_base_f32 import Batch

#: What may be held out: sequences drawn at random, the last sequences, or the last steps of every
#: sequence.
SPLITS = ("random", "last", "time")


class Data(NamedTuple):
    """Sequences and their targets, or some of them."""

    inputs: Inputs
    given: tuple[Any, Any, Any]  # y, target_mask and sample_weight as they were passed
    batch: Batch
    targets: Targets
    order: Array  # numbers of the sequences that belong to it

    def for_core(self) -> tuple[Batch, Array | None, Array | None, Array | None, Array]:
        return self.batch, *outputs.for_core(self.inputs, self.targets), self.order


def data_of(inputs: Inputs, y: Any, target_mask: Any = None, sample_weight: Any = None) -> Data:
    """All sequences, in the order in which they were passed."""
    targets = outputs.targets(inputs, y, target_mask, sample_weight)
    order = np.arange(inputs.count, dtype=np.int64)
    return Data(inputs, (y, target_mask, sample_weight), inputs.batch, targets, order)


def held_out(share: float, split: str, data: Data, seed: int) -> tuple[Data, Data]:
    """The training data, and the share of the data that is held out."""
    if split == "time":
        return later_steps(share, data)
    count = data.inputs.count
    apart = max(1, round(share * count))
    if apart >= count:
        raise ValueError(
            f"validation: expected to leave a sequence to train on, got {share:g} of {count}"
        )
    if split == "random":
        parts = drawn(count, apart, seed)
    else:
        parts = data.order[: count - apart], data.order[count - apart :]
    by_sequence = outputs.weights(data.inputs, data.targets).reshape(count, -1).sum(axis=1)
    for part, what in zip(parts, ("left to train on", "set apart"), strict=True):
        check_counts(by_sequence[part], f"sequences {what}")
    return data._replace(order=parts[0]), data._replace(order=parts[1])


def drawn(count: int, apart: int, seed: int) -> tuple[Array, Array]:
    """Of so many numbers those that are left and those that are set apart, at random, each in
    order."""
    order = np.random.default_rng(seed).permutation(count).astype(np.int64)
    return np.sort(order[apart:]), np.sort(order[:apart])


def later_steps(share: float, data: Data) -> tuple[Data, Data]:
    """The first steps of every sequence, and the targets of its last steps. The network runs
    through all steps before these when their loss is computed."""
    inputs = data.inputs
    if not inputs.spec.every_step:
        raise ValueError(
            'validation_split: expected "random" or "last" for a network with readout="last", '
            'got "time"'
        )
    lengths = np.full(inputs.count, inputs.time) if inputs.lengths is None else inputs.lengths
    first = lengths - np.maximum(1, np.round(share * lengths).astype(np.int64))
    if first.min() < 1:
        s = int(first.argmin())
        raise ValueError(
            f"validation: expected to leave a step of every sequence to train on, got {share:g} of "
            f"the {lengths[s]} steps of sequence {s}"
        )
    early = np.arange(inputs.time) < first[:, None]
    by_step = outputs.weights(inputs, data.targets)
    check_counts(np.where(early, by_step, 0), "steps left to train on")
    check_counts(np.where(early, 0, by_step), "steps set apart")
    target, classes, weight = data.targets
    if weight is None:
        weight = np.ones((inputs.batch.rows, outputs.width_of(inputs)), inputs.spec.dtype)
    rows = early[inputs.steps] if inputs.listed else early.ravel()
    later = np.where(rows[:, None], 0, weight).astype(inputs.spec.dtype)
    train = data._replace(batch=inputs.until(first))
    # The order is copied because training shuffles its own in place.
    return train, data._replace(targets=(target, classes, later), order=data.order.copy())


def check_counts(weights: Array, what: str) -> None:
    """Raise an error where no target counts."""
    if not weights.any():
        raise ValueError(
            f"validation: expected a target that counts among the {what}, got none of "
            f"{len(weights)}"
        )
