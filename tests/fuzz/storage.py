"""Parameters by name, files and copies."""

from __future__ import annotations

import copy
import os

import numpy as np

import rnncore as rc
from fuzz.fits import folder, no_path
from fuzz.promises import attempt, close, expect
from fuzz.strategies import (
    RUBBISH,
    UNKNOWN,
    BrokenMapping,
    Value,
    dress,
    numbers,
    rubbish,
    spoil,
)


def state_dicts(r, net):
    """load_state_dict"""
    bad = r.random() < 0.5
    state = {name: dress(r, numbers(r, shape)) for name, shape in net._model.shapes.items()}
    if bad:
        name = r.choice(list(state))
        state[name] = (
            spoil(r, np.zeros(net._model.shapes[name])) if r.random() < 0.7 else rubbish(r)
        )
        if r.random() < 0.2:
            state[r.choice(["extra", 3, None])] = rubbish(r)
        if r.random() < 0.2:
            state.pop(name)
    prefix = r.choice(["", "", "rnn."])
    given = {
        f"{prefix}{name}" if isinstance(name, str) else name: value.given
        for name, value in state.items()
    }
    if bad and r.random() < 0.1:
        given = r.choice(RUBBISH)()
    elif bad and r.random() < 0.1:
        given = BrokenMapping(given)
    fine = not bad
    _, done, label = attempt(
        net,
        "load_state_dict",
        net.load_state_dict,
        {
            "state_dict": Value(given, fine or UNKNOWN),
            "strict": Value(r.random() < 0.7, True),
            "prefix": Value(prefix, True),
        },
        changes=True,
    )
    if fine and done:
        for name, values in net.state_dict().items():
            close(label, net, values, state[name].means, name)
    expect(np.isfinite(net._model.flat).all(), label, "parameters", net._model.flat)
    if not np.abs(net._model.flat).max() < 3:
        net.load_state_dict({name: numbers(r, s) for name, s in net._model.shapes.items()})


def files(r, net):
    """save, load, copies, and what else there is to see"""
    what = r.randrange(6)
    if what == 0 and r.random() < 0.2:
        path = os.path.join(folder(), "net.npz")
        attempt(net, "save", net.save, {"path": Value(path, True)})
        again, _, label = attempt(None, "load", rc.load, {"path": Value(path, True)})
    elif what == 1:
        bad = r.choice(["\0", "/nowhere/at/all", folder(), "x" * 5000, b"\0", "\ud800", ""])
        path = Value(bad if r.random() < 0.3 else no_path(r), UNKNOWN)
        call = r.choice([net.save, rc.load])
        attempt(net, call.__name__, call, {"path": path}, also=(OSError,))
        return
    else:
        again, _, label = attempt(net, "copy", copy.deepcopy, {"x": Value(net, True)})
    expect(again.config == net.config, label, again.config)
    expect(again._model.flat.tobytes() == net._model.flat.tobytes(), label, "parameters")
    repr(net), net.flat, net.parameters()
