"""What can be exported, and where to."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from rnncore._checks import arguments as check
from rnncore._model.model import Model
from rnncore._networks.network import Network
from rnncore._storage import files
from rnncore.population import Population


def model_of(net: Any) -> Model:
    """The model of a network that runs forwards and whose parameters are finite."""
    if not isinstance(net, Network):
        hint = "; write net[i] for one of its members" if isinstance(net, Population) else ""
        raise TypeError(f"net: expected an RNN, LSTM, GRU or MGU, got {check.kind(net)}{hint}")
    model = net._model
    if model.config["bidirectional"]:
        raise ValueError(
            "net: expected a network with bidirectional=False; with True, a step would have to "
            "know those that follow"
        )
    if model.config["zoneout"]:
        raise ValueError(
            f"net: expected a network with zoneout=0.0, got {model.config['zoneout']!r}: exported "
            "steps do not mix a state with the one before"
        )
    model.check_not_switching("net")
    model.check_finite()
    return model


def check_place(path: str) -> None:
    """Raise an OSError where no file of that name could be written."""
    with suppress(FileNotFoundError):
        files.check_regular("path", path)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"path: expected a file in a folder that exists, got {check.shown(path)}"
        )


def counted(number: int, what: str) -> str:
    """As in "1 unit" and "2 units"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def description(model: Model) -> str:
    """Cell and sizes in words."""
    spec, config = model.spec, model.config
    layers = "" if spec.passes == 1 else f"{spec.passes} layers of "
    own = [] if config.get("nonlinearity", "tanh") == "tanh" else [config["nonlinearity"]]
    own += [f"skip={config['skip']}"] if config.get("skip") else []
    own += ['reset="before"'] if config.get("reset") == "before" else []
    parts = [
        f"{layers}{counted(spec.hidden_size, 'unit')}",
        counted(spec.input_size, "input"),
        counted(spec.outputs, "output"),
    ]
    options = f" ({', '.join(own)})" if own else ""
    return f"{model.cell.name}{options}, {', '.join(parts)}"
