"""Types that signatures have in common."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]

#: (B, R, H), or of an LSTM a pair (h, c) of such arrays.
State = Array | tuple[Array, Array]
