"""Steps of a trainer, with input in every form."""

from __future__ import annotations

import numpy as np

from fuzz.promises import Find, attempt, expect
from fuzz.sequences import Data
from fuzz.strategies import UNKNOWN, Value

OPTIONS = [
    ("optimizer", ["sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw", "lion"]),
    ("clip_norm", [None, 1, 1e-30]),
    ("l1", [0, 0.1, {"weight": 0.1}]),
    ("activation", [0, 0.1]),
    ("freeze", [None, "weight_ih", {"weight_ih": False}]),
    ("truncate", [None, 1, 2]),
    ("batch_size", [None, 1, 40]),
    ("threads", [None, 1, 2]),
]


def steps(r, net):
    """trainer, and steps of it: one that is refused changes nothing."""
    options = {name: r.choice(choices) for name, choices in OPTIONS if r.random() < 0.3}
    trainer = net.trainer(lr=0.001, **options)
    for _ in range(r.choice([1, 1, 3])):
        bad = r.random() < 0.4
        data = Data(r, net, bad)
        arguments = dict(data.arguments)
        arguments["y"], _ = data.targets(bad and r.random() < 0.3)
        if net.config["loss"] is None:
            arguments["y"] = Value(arguments["y"].given, UNKNOWN)
        before, flat = trainer.state_dict(), net._model.flat.copy()
        try:
            loss, fine, label = attempt(net, "step", trainer.step, arguments, changes=True)
        except Find as find:  # the squares of numbers may overflow
            if not (bad and isinstance(find.__cause__, FloatingPointError)):
                raise
            fine, label = False, "step"
            expect(np.array_equal(net._model.flat, flat), label, "changed the network")
        after = trainer.state_dict()
        expect(np.isfinite(net._model.flat).all(), label, "parameters", net._model.flat)
        if fine:
            expect(isinstance(loss, float) and np.isfinite(loss), label, loss)
            expect(after["updates"] == before["updates"] + 1, label, after["updates"])
        else:
            same = all(np.array_equal(after[name], before[name]) for name in before)
            expect(same, label, "another state")
