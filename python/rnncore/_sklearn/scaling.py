"""Targets with mean 0 and standard deviation 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnncore._types import Array


class Scale(NamedTuple):
    """What is taken from numbers, and what they are divided by."""

    mean: Array
    std: Array

    def __call__(self, values: Array) -> Array:
        result: Array = (values - self.mean) / self.std
        return result

    def back(self, values: Array) -> Array:
        result: Array = values * self.std + self.mean
        return result


def scale_of(values: Array, weights: Array | None = None) -> Scale:
    """That of rows of numbers (n, K), of which those that are NaN do not count."""
    there = ~np.isnan(values)
    weight = there.astype(float) if weights is None else there * weights[:, None]
    numbers = np.where(there, values, 0)
    total = weight.sum(axis=0)
    total[total == 0] = 1
    mean = (weight * numbers).sum(axis=0) / total
    variance = (weight * np.square(numbers - mean)).sum(axis=0) / total
    std = np.sqrt(variance)
    std[~(std > 1e-10 * np.abs(mean))] = 1  # of a constant
    return Scale(mean, std)
