"""Fits, and what may be wrong with their options."""

from __future__ import annotations

import os
import tempfile

import numpy as np

import rnncore as rc
from fuzz.promises import Find, attempt, expect, good
from fuzz.sequences import Data
from fuzz.strategies import (
    BAD_NUMBERS,
    RUBBISH,
    UNKNOWN,
    BrokenMapping,
    Raised,
    Value,
    raising,
    rubbish,
)


def training(r, net):
    """fit"""
    bad = r.random() < 0.5
    data = Data(r, net, bad and r.random() < 0.3)
    arguments = dict(data.arguments)
    arguments["y"], _ = data.targets(bad and r.random() < 0.3)
    arguments["epochs"] = Value(r.choice([1, 1, 2, 3]), True)
    also = [FloatingPointError]
    for _ in range(r.choice([0, 1, 1, 2, 3])):
        name, choices = r.choice(FIT_OPTIONS)
        arguments[name] = Value(r.choice(choices), True)
    schedules = rc.schedules
    if r.random() < 0.2:
        arguments["lr"] = Value(
            r.choice(
                [
                    schedules.Step(0.01, 2),
                    schedules.Cosine(0.01),
                    schedules.Plateau(0.01, patience=0),
                    schedules.WarmUp(2, schedules.Cosine(0.01)),
                    lambda epoch: 0.01 / epoch,
                    lambda epoch: 0,
                ]
            ),
            True,
        )
    if r.random() < 0.1:
        arguments["callback"] = Value(
            r.choice([lambda *a: None, lambda *a: True, raising, callback_of(net, data)]), True
        )
        also.append(Raised)
    if r.random() < 0.15:
        arguments["validation"] = validation(r, net, bad)
        if r.random() < 0.5 and arguments["validation"].good:
            arguments["patience"] = Value(r.choice([1, 2]), True)
    path = None
    if r.random() < 0.02:
        path = os.path.join(folder(), "fit.npz")
        arguments["checkpoint"] = Value(path, UNKNOWN)
        also.append(OSError)
    if bad:
        for _ in range(r.choice([1, 1, 2])):
            name = r.choice(ALL_FIT_OPTIONS)[0]
            arguments[name] = bad_fit_option(r, net, name)
        if "checkpoint" in arguments:
            also.append(OSError)
    if net.config["loss"] is None:
        arguments["y"] = Value(arguments["y"].given, UNKNOWN)
    count = data.B
    share = arguments.get("validation")
    sparse = net.readout != "last" or net.config["loss"] == "cross_entropy"
    if share is not None and isinstance(share.given, float | np.floating) and (count < 2 or sparse):
        arguments["validation"] = Value(share.given, UNKNOWN)
    if arguments.get("lr") is not None and callable(arguments["lr"].given):
        also.append(Raised)
    epochs = arguments["epochs"].given
    if isinstance(epochs, int | np.integer) and not isinstance(epochs, bool) and epochs > 3:
        arguments["callback"] = Value(lambda epoch, loss: epoch >= 2, UNKNOWN)
        if arguments.get("lr") is not None and callable(arguments["lr"].given):
            del arguments["lr"]
    moderate = all(name not in arguments for name in ("lr", "eps", "momentum", "weight_decay"))
    kept = net._model.flat.copy()
    try:
        result, fine, label = attempt(net, "fit", net.fit, arguments, tuple(also), changes=True)
    except Find as find:
        refused = isinstance(find.__cause__, FloatingPointError | Raised)
        if not refused or (moderate and isinstance(find.__cause__, FloatingPointError)):
            raise
        result, fine, label = None, False, ""
    finally:
        if path is not None and os.path.exists(path):
            os.unlink(path)
    expect(np.isfinite(net._model.flat).all(), "fit", "parameters", net._model.flat)
    if fine:
        expect(0 < len(result) <= max(3, len(result) and 3), label, len(result))
        expect(np.isfinite(result.loss).all(), label, result.loss)
        repr(result), result.to_dict()
    if np.abs(net._model.flat).max() > 3:
        net.load_state_dict(dict(zip(net._model.shapes, views(kept, net), strict=True)))


def views(flat, net):
    at = 0
    for shape in net._model.shapes.values():
        size = int(np.prod(shape))
        yield flat[at : at + size].reshape(shape)
        at += size


def callback_of(net, data):
    """A callback that uses the network that is being fitted."""

    def callback(epoch, loss):
        if good(data.arguments):
            net.predict(**{name: value.given for name, value in data.arguments.items()})

    return callback


FIT_OPTIONS = [
    ("batch_size", [1, 2, 5, 2**31 - 1]),
    ("optimizer", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw"]),
    ("lr", [0.01, 1e-30, 1, np.float32(0.1), 1e3]),
    ("momentum", [0, 0.5, 0.999]),
    ("alpha", [0, 0.5]),
    ("betas", [(0, 0), [0.5, 0.5], np.array([0.9, 0.99])]),
    ("eps", [1e-8, 1, 1e-30]),
    ("clip_norm", [None, 1, 1e-30, 1e30]),
    ("clip_value", [None, 1, 1e-30, 1e30]),
    ("weight_decay", [0, 0.1, {"weight_hh": 0.1}, {"": 0.1, "weight_ih_l0": 0}, {}]),
    ("l1", [0, 0.1, {"weight": 0.1}]),
    ("activation", [0, 0.1]),
    ("tie", [None, {}, {"weight_hh_l0": -1}]),
    ("freeze", [None, "weight_ih", ["weight_hh"], {"weight_ih": False}]),
    ("truncate", [None, 1, 2, 2**31 - 1]),
    ("shuffle", [True, False, np.False_]),
    ("rng", [None, 0, 2**100]),
    ("threads", [None, 1, 2, 2**31 - 1]),
    ("progress", [None, False]),
]

ALL_FIT_OPTIONS = [
    *FIT_OPTIONS,
    *((name,) for name in ("lr", "callback", "validation", "progress", "patience", "epochs")),
    *((name,) for name in ("threads", "checkpoint")),
]


def bad_fit_option(r, net, name):
    if name == "progress":  # what it prints is not what is looked for
        return Value(r.choice([0, "yes", 2.0]), UNKNOWN)
    if name == "lr" and r.random() < 0.5:
        return Value(
            r.choice(
                [
                    raising,
                    lambda e: "a",
                    lambda e: float("nan"),
                    lambda e: -1,
                    lambda e: 10**400,
                    lambda e: None,
                    rc.schedules.Step(1e308, 1, 1e308),
                    rc.schedules.WarmUp(1, 1e308),
                ]
            ),
            UNKNOWN,
        )
    if name == "callback":
        return Value(r.choice([0, "a", []]), UNKNOWN)
    if name == "validation" and r.random() < 0.7:
        return validation(r, net, True)
    if name in ("weight_decay", "l1") and r.random() < 0.5:
        key = r.choice(["weight", "nothing", "", None, 3, "bias"])
        return Value(r.choice([{key: r.choice(RUBBISH)()}, BrokenMapping(weight=1)]), UNKNOWN)
    if name == "tie" and r.random() < 0.7:
        key = r.choice(["weight_hh_l0", "weight_ih_l0", "head.bias", "nothing", None, 3])
        value = r.choice([0, -1, [0], True, 0.5, 2**64, np.zeros((2, 2), np.uint8)])
        return Value(r.choice([{key: value}, {key: r.choice(RUBBISH)()}]), UNKNOWN)
    if name == "betas" and r.random() < 0.5:
        return Value((r.choice(RUBBISH)(), 0.5), UNKNOWN)
    if name == "checkpoint":
        return Value(
            r.choice(["", "\0", "/nowhere/at/all", folder(), b"\xff\0", "x" * 5000, no_path(r)]),
            UNKNOWN,
        )
    return Value(r.choice(BAD_NUMBERS), UNKNOWN) if r.random() < 0.2 else rubbish(r)


def validation(r, net, bad):
    if r.random() < 0.4:
        return Value(r.choice([0.2, 0.5, np.float32(0.4)]), True)
    held = Data(r, net, bad)
    y, _ = held.targets(bad)
    fine = good(held.arguments) and y.good
    if r.random() < 0.5 and len(held.arguments) == 1:
        pair = (held.arguments["x"].given, y.given)
        return Value(list(pair) if r.random() < 0.3 else pair, fine or UNKNOWN)
    mapping = {name: value.given for name, value in held.arguments.items()} | {"y": y.given}
    if bad and r.random() < 0.3:
        mapping[r.choice(["z", "h0", None])] = 1
        fine = False
    return Value(mapping, fine or UNKNOWN)


def no_path(r):
    """Rubbish that is not the name of a file."""
    while isinstance(given := r.choice(RUBBISH)(), str | bytes):
        pass
    return given


def folder(kept=[]):  # noqa: B006
    if not kept:
        kept.append(tempfile.mkdtemp(prefix="rnncore-fuzz-"))
    return kept[0]


def schedules(r, net):
    """The constructors of the schedules"""
    name = r.choice(["Step", "Cosine", "WarmUp", "Plateau"])
    arguments = {
        "Step": {"lr": 0.1, "every": 2, "factor": 0.5},
        "Cosine": {"lr": 0.1, "end": 0.01, "epochs": 3},
        "WarmUp": {"epochs": 2, "then": rc.schedules.Step(0.1, 1)},
        "Plateau": {"lr": 0.1, "factor": 0.5, "patience": 1, "least": 0.01},
    }[name]
    values = {key: Value(value, value) for key, value in arguments.items()}
    if r.random() < 0.7:
        values[r.choice(list(values))] = rubbish(r)
    made, fine, label = attempt(net, name, getattr(rc.schedules, name), values)
    if fine:
        rates = [made(epoch, 5) for epoch in range(1, 6)]
        expect(all(0 <= rate for rate in rates), label, rates)
