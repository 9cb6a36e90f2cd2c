"""What the calls of a network need to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from rnncore._model.cells import Cell
from rnncore._model.configuration import state_width
from rnncore._model.losses import LOSSES, Loss
from rnncore._runtime.builds import core


@dataclass(frozen=True, slots=True)
class Spec:
    """Sizes, precision and loss of a network, worked out once from its configuration.

    Every call reads several of them, so they are plain attributes.
    """

    core: ModuleType  # the compiled core in the network's precision
    dtype: np.dtype[Any]
    input_size: int  # D
    hidden_size: int  # H
    width: int  # of the states that are read out: H, or of both directions side by side 2 H
    outputs: int  # K; without a read-out, the width
    directions: int  # 1 or 2
    passes: int  # layers times directions
    states: int  # arrays that a state consists of: 2 for a pair (h, c), else 1
    history: int  # states before a step that it depends on: 1, or s with a skip connection
    state_rows: int  # rows of H numbers in a state: passes times history
    every_step: bool  # whether there is an output for every step
    before: bool  # whether that reads the state before the step
    switching: bool  # whether every token has recurrent weights of its own
    loss: Loss | None


def spec_of(cell: Cell, config: dict[str, Any]) -> Spec:
    width, outputs, loss = state_width(config), config["output_size"], config["loss"]
    directions, history = 2 if config["bidirectional"] else 1, config.get("skip") or 1
    passes = config["num_layers"] * directions
    return Spec(
        core=core(config["dtype"]),
        dtype=np.dtype(config["dtype"]),
        input_size=config["input_size"],
        hidden_size=config["hidden_size"],
        width=width,
        outputs=width if outputs is None else outputs,
        directions=directions,
        passes=passes,
        states=cell.states,
        history=history,
        state_rows=passes * history,
        every_step=config["readout"] != "last",
        before=config["readout"] == "before",
        switching=config.get("switching", False),
        loss=None if loss is None else LOSSES[loss],
    )
