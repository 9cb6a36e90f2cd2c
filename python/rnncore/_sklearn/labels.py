"""Labels of any kind as the classes 0, 1 .. of a network, and their probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._types import Array


def numbered(labels: Array, known: Array, but: Any = None) -> Array:
    """The place of every label among those known; -1 for the label `but`, where one is given."""
    skipped = np.zeros(labels.shape, bool) if but is None else labels == but
    numbers: Array = np.searchsorted(known, np.where(skipped, known[0], labels))
    numbers = np.minimum(numbers, len(known) - 1)
    wrong = (known[numbers] != labels) & ~skipped
    if wrong.any():
        at = check.first(wrong)
        raise ValueError(
            f"y: expected labels of the classes {check.shown(known.tolist())}, got "
            f"{check.shown(labels[at])} at {list(at)}"
        )
    return np.where(skipped, -1, numbers).astype(np.int64)


def probabilities(logits: Array) -> Array:
    """Of every class, along the last axis; one logit is that of the second of two classes."""
    logits = logits.astype(np.float64)
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result
