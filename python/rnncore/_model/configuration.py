"""The arguments that a network is made with, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._model.cells import Cell
from rnncore._model.losses import LOSSES, Loss

READOUTS = ("last", "all", "before")
DTYPES = ("float32", "float64")

#: Layers that the core allows, times directions.
MOST_LAYERS = 64


def checked(cell: Cell, given: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a network: all arguments but those for its first parameters.

    Raises
    ------
    TypeError, ValueError
        Naming the argument.
    """
    outputs = given["output_size"]
    config = {
        "input_size": check.whole("input_size", given["input_size"], 1),
        "hidden_size": check.whole("hidden_size", given["hidden_size"], 1),
        "output_size": None if outputs is None else check.whole("output_size", outputs, 1),
        **cell.options(given),
        **checked_layers(given),
        **checked_noise(cell, given),
        "switching": check.flag("switching", given.get("switching", False)),
        "bias": check.flag("bias", given["bias"]),
        "readout_bias": checked_readout_bias(given),
        "readout": checked_readout(given),
        "loss": check.choice("loss", given["loss"], [None, *LOSSES]),
        "dtype": dtype_name(given["dtype"]),
    }
    if config["switching"]:
        check_switching(config)
    if config["loss"] is not None:
        check_outputs(LOSSES[config["loss"]], outputs or state_width(config), config)
    return config


def checked_readout(given: dict[str, Any]) -> str:
    name: str = check.choice("readout", given["readout"], READOUTS)
    if name == "before" and given["bidirectional"]:
        raise ValueError(
            "readout: expected 'last' or 'all' with bidirectional=True, got 'before': a network "
            "that runs backwards has seen what it would predict"
        )
    return name


def checked_readout_bias(given: dict[str, Any]) -> bool | None:
    """Whether the read-out has a bias; None: where the layers have."""
    own = given.get("readout_bias")  # which older pickles lack
    if own is None:
        return None
    own = check.flag("readout_bias", own)
    if given["output_size"] is None:
        raise ValueError(
            f"readout_bias: expected None without a read-out (output_size=None), got {own}"
        )
    return own


def checked_layers(given: dict[str, Any]) -> dict[str, Any]:
    """The arguments that say how layers are put together."""
    bidirectional = check.flag("bidirectional", given["bidirectional"])
    most = MOST_LAYERS // 2 if bidirectional else MOST_LAYERS
    layers = check.whole("num_layers", given["num_layers"], 1, most)
    dropout = check.number("dropout", given["dropout"], 0, 1, above=False)
    if dropout and layers == 1:
        raise ValueError(
            f"dropout: expected 0 with num_layers=1, got {dropout!r}: it acts between layers"
        )
    return {
        "num_layers": layers,
        "bidirectional": bidirectional,
        "dropout": dropout,
        "trainable_h0": check.flag("trainable_h0", given["trainable_h0"]),
    }


def checked_noise(cell: Cell, given: dict[str, Any]) -> dict[str, Any]:
    """What is drawn at the steps of a layer, during a fit."""
    share = given.get("recurrent_dropout", 0.0)  # which older pickles lack, as the next
    return {
        "recurrent_dropout": check.number("recurrent_dropout", share, 0, 1, above=False),
        "zoneout": checked_zoneout(cell, given.get("zoneout", 0.0)),
    }


def checked_zoneout(cell: Cell, given: Any) -> float | tuple[float, float]:
    """The rate of h, or where c has another the rates of both."""
    if not isinstance(given, tuple | list):
        return check.number("zoneout", given, 0, 1, above=False)
    if cell.states != 2 or len(given) != 2:
        expected = "a number, or a pair (h, c)" if cell.states == 2 else "a number"
        raise ValueError(f"zoneout: expected {expected}, got {check.shown(given)}")
    of_h, of_c = (
        check.number(f"zoneout[{k}]", rate, 0, 1, above=False) for k, rate in enumerate(given)
    )
    return of_h if of_h == of_c else (of_h, of_c)


def zoneout_of(config: Mapping[str, Any]) -> tuple[float, float]:
    """The rates of h and of c."""
    rate = config["zoneout"]
    return rate if isinstance(rate, tuple) else (rate, rate)


def check_switching(config: dict[str, Any]) -> None:
    """Raise an error where weights of every token do not go with the rest."""
    alone = {"num_layers": 1, "bidirectional": False, "skip": None, "reset": "after"}
    for name, value in alone.items():
        if config.get(name, value) != value:
            raise ValueError(
                f"switching: expected False with {name}={config[name]!r}, got True: weights of "
                f"every token are for networks with {name}={value!r}"
            )


def check_outputs(loss: Loss, outputs: int, config: dict[str, Any]) -> None:
    """Raise an error where a loss cannot be computed from so many outputs."""
    if loss.classes and config["dtype"] == "float32":
        check.whole("output_size", outputs, 1, 2**24)  # the core compares class numbers as floats
    if outputs % loss.outputs:
        raise ValueError(
            f"output_size: expected a multiple of {loss.outputs} for loss={loss.name!r}, which "
            f"takes {loss.outputs} outputs for each target, got {outputs}"
        )


def state_width(config: dict[str, Any]) -> int:
    """How many numbers the read-out gets of each step: H, or of two directions 2 H."""
    directions = 2 if config["bidirectional"] else 1
    return directions * int(config["hidden_size"])


def dtype_name(dtype: Any) -> str:
    try:
        name = None if dtype is None else np.dtype(dtype).name
    except Exception:  # raised by numpy, or by the object itself
        name = dtype if isinstance(dtype, str) else check.shown(dtype)
    return check.choice("dtype", name, DTYPES)  # type: ignore[no-any-return]
