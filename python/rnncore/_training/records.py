"""Records of a fit: one row of numbers for each epoch."""

from __future__ import annotations

import numpy as np

from rnncore._types import Array

#: Columns of a record, as the core writes them.
LOSS, VALIDATION, NORM, RATE, SECONDS, COLUMNS = range(6)


class Records:
    """The records of the epochs so far, in an array that grows."""

    def __init__(self, rows: Array) -> None:
        self.rows, self.count = rows, len(rows)

    @property
    def filled(self) -> Array:
        return self.rows[: self.count]

    def next(self, count: int) -> Array:
        """The next rows, for `count` epochs. The array is doubled when it is full, so that few rows
        are copied however many follow."""
        needed = self.count + count
        if needed > len(self.rows):
            larger = np.zeros((max(needed, 2 * len(self.rows)), COLUMNS))
            larger[: self.count] = self.filled
            self.rows = larger
        return self.rows[self.count : needed]
