"""Teacher forcing: how often the inputs of a training step are those of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._data.inputs import Inputs
from rnncore._model.model import Model
from rnncore._types import Array

#: Losses whose outputs are predictions, as which they can be the next input.
PREDICTED = ("mse", "huber")

#: (first, count) -> the shares of `count` epochs; None where it is 1 in all.
Shares = Callable[[int, int], Array]


def checked_share(name: str, share: Any) -> float:
    if not check.number(name, share, 0, above=False) <= 1:
        raise ValueError(f"{name}: expected at least 0 and at most 1, got {check.shown(share)}")
    return float(share)


def shares_of(teacher_forcing: Any, model: Model, inputs: Inputs) -> Shares | None:
    """The shares of a fit: a number, or a function of the epoch."""
    if callable(teacher_forcing):
        check_expressible(model, inputs, teacher_forcing)

        def shares(first: int, count: int) -> Array:
            return np.array([
                checked_share(f"teacher_forcing({epoch})", teacher_forcing(epoch))
                for epoch in range(first, first + count)
            ])  # fmt: skip

        return shares
    share = checked_share("teacher_forcing", teacher_forcing)
    if share == 1:
        return None
    check_expressible(model, inputs, share)
    return lambda _first, count: np.full(count, share)


def share_settings(teacher_forcing: Any) -> dict[str, Any]:
    """What a checkpoint of the fit is recognised by."""
    if callable(teacher_forcing):
        return {"teacher_forcing": "a function"}
    return {} if teacher_forcing == 1 else {"teacher_forcing": float(teacher_forcing)}


def check_network(model: Model, share: Any) -> None:
    """Raise an error where a network's outputs cannot be its next inputs."""
    spec, config, shown = model.spec, model.config, check.shown(share)
    for name, wanted in (("readout", "all"), ("bidirectional", False)):
        if config[name] != wanted:
            raise ValueError(
                f"teacher_forcing: expected 1 unless {name}={wanted!r}, got {shown} with "
                f"{config[name]!r}: an output must be there before the next input"
            )
    if spec.outputs != spec.input_size:
        raise ValueError(
            f"teacher_forcing: expected 1 unless there are as many outputs as inputs, got {shown} "
            f"with {spec.input_size} inputs and {spec.outputs} outputs"
        )


def check_expressible(model: Model, inputs: Inputs, share: Any) -> None:
    """And where these inputs are not of the outputs' kind, or have gaps."""
    check_network(model, share)
    loss, shown = model.config["loss"], check.shown(share)
    wanted = ("cross_entropy",) if inputs.tokens is not None else PREDICTED
    if loss not in wanted:
        kind = "tokens" if inputs.tokens is not None else "numbers"
        raise ValueError(
            f"teacher_forcing: expected 1 unless the loss is {' or '.join(map(repr, wanted))}, "
            f"whose outputs can be the next {kind}, got {shown} with {loss!r}"
        )
    if inputs.mask is not None:
        raise ValueError(
            f"mask: expected no gaps with teacher_forcing={shown}: the output before an input is "
            "that of the step before"
        )
