"""Networks as notebooks show them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from rnncore._html import pieces
from rnncore._model.model import HasModel, Model
from rnncore._model.parameters import Shapes

#: Options that are told in words of their own, or by the parameters that there are.
TOLD = ("input_size", "hidden_size", "output_size", "num_layers", "bidirectional", "bias",
        "readout_bias", "trainable_h0", "readout", "loss", "dtype")  # fmt: skip
READOUTS = {
    "last": "read out after the last step", "all": "read out after every step",
    "before": "read out before every step",
}  # fmt: skip


def _repr_html_(self: HasModel) -> str:
    """The network for a notebook: its sizes, options and parameters."""
    model = self._model
    return described(model, type(self).__name__)


def described(model: Model, title: str, members: int = 1) -> str:
    """A network of a population of so many members, or one alone."""
    memory = pieces.size(members * model.flat.nbytes)
    count = pieces.plural(model.flat.size, "parameter")
    count += " each" if members > 1 else ""
    return pieces.box(
        title,
        pieces.facts(sizes(model.config), layers(model.config), *options(model.config)),
        pieces.facts(f"{count}, {memory}", model.config["dtype"]),
        pieces.table(["layer", "parameters", "numbers"], rows_of(model.shapes)),
    )


def sizes(config: Mapping[str, Any]) -> str:
    """In, hidden and out, in words."""
    parts = [
        pieces.plural(config["input_size"], "input"),
        pieces.plural(config["hidden_size"], "hidden unit"),
    ]
    if config["output_size"] is not None:
        parts.append(pieces.plural(config["output_size"], "output"))
    return " → ".join(parts)


def layers(config: Mapping[str, Any]) -> str | None:
    """How many layers there are, where it is more than one in one direction."""
    count = pieces.plural(config["num_layers"], "layer")
    if config["bidirectional"]:
        return f"{count} in both directions"
    return count if config["num_layers"] > 1 else None


def options(config: Mapping[str, Any]) -> list[str]:
    """What else the network was made with: read-out, loss, and the options of its cell that are
    in use."""
    loss = config["loss"]
    rest = [
        f"{name}={value!r}"
        for name, value in config.items()
        if name not in TOLD and value is not None and value is not False and value != 0
    ]
    told = READOUTS[config["readout"]]
    if config["output_size"] is None:
        told = told.replace("read out", "states")
    return [told, "no loss" if loss is None else f"loss {loss}", *rest]


def rows_of(shapes: Shapes) -> list[tuple[object, ...]]:
    """A row for every layer in every direction, one for the read-out, one for first states."""
    groups: dict[str, list[str]] = {}
    for name in shapes:
        groups.setdefault(layer_of(name), []).append(name)
    return [
        (
            layer,
            pieces.Html(", ".join(f"{pieces.code(n)} {pieces.shape(shapes[n])}" for n in names)),
            sum(prod(shapes[n]) for n in names),
        )
        for layer, names in groups.items()
    ]


def layer_of(name: str) -> str:
    """To what a parameter belongs."""
    if name.startswith("head."):
        return "read-out"
    if name in ("h0", "c0"):
        return "first state"
    layer = name.partition("_l")[2].replace("_reverse", ", reverse")
    return f"l{layer}"
