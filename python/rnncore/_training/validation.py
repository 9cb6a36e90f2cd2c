"""The validation data of a fit: passed by the caller, or a share of the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data import outputs
from rnncore._data.inputs import Inputs
from rnncore._data.splits import SPLITS, Data, data_of
from rnncore._model.spec import Spec


def is_share(validation: Any) -> bool:
    """Whether it is a number: the share of the sequences to hold out."""
    return isinstance(validation, int | float | np.number) and not isinstance(validation, bool)


def checked_share(validation: Any, split: Any) -> tuple[float, str]:
    """The share to hold out, and how it is chosen."""
    share = check.number("validation", validation, 0, 1, above=True)
    return share, str(check.choice("validation_split", split or "random", SPLITS))


def passed_data(spec: Spec, validation: Any, split: Any) -> Data | None:
    """Validation data that the caller passed: a pair (x, y), or a mapping with x, y and the other
    arguments of `loss`; None for None."""
    data = None if validation is None else converted(spec, validation)
    if split is not None:
        raise ValueError(
            "validation_split: expected None unless validation= is a share of the sequences, "
            f"got {check.shown(split)}"
        )
    return data


def converted(spec: Spec, given: Any) -> Data:
    if isinstance(given, Mapping):
        given = check.entries("validation", given)
        known = {"x", "y", "h0", "lengths", "mask", "target_mask", "sample_weight"}
        if not {"x", "y"} <= set(given) <= known:
            raise ValueError(
                "validation: expected a mapping with x, y, and maybe h0, lengths, mask, "
                f"target_mask or sample_weight, got {check.names(given)}"
            )
    elif isinstance(given, list | tuple) and len(pair := check.items("validation", given)) == 2:
        given = {"x": pair[0], "y": pair[1]}
    else:
        raise TypeError(
            "validation: expected a share of the sequences, a pair (x, y) or a mapping, got "
            f"{check.kind(given)}"
        )
    try:
        inputs = Inputs(spec, given["x"], given.get("h0"), given.get("lengths"), given.get("mask"))
        targets = given["y"], given.get("target_mask"), given.get("sample_weight")
        data = data_of(inputs, *targets)
        outputs.explain(inputs, *targets)
    except TypeError as error:
        raise TypeError(f"validation: {error}") from None
    except ValueError as error:
        raise ValueError(f"validation: {error}") from None
    return data
