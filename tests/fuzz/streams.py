"""Calls step by step, and what is written to the places given for results."""

from __future__ import annotations

import numpy as np

from fuzz import reference
from fuzz.answers import known
from fuzz.promises import attempt, close, expect, good
from fuzz.strategies import (
    UNKNOWN,
    Value,
    dress,
    numbers,
    read_only,
    rubbish,
    spoil,
)


def room(shape, dtype):
    """An array to write to, and all of the memory that it is in the middle of."""
    size = int(np.prod(shape))
    around = np.full(size + 32, 7, dtype)
    return around[16 : 16 + size].reshape(shape), around


def streams(r, net):
    """step, run_stream"""
    bad, form, D, K = r.random() < 0.4, net._model.spec, net.input_size, net._model.spec.outputs
    name = r.choice(["step", "run_stream"])
    tokens = r.random() < 0.3
    count: tuple[int, ...] = ()
    if name == "run_stream":
        leading: tuple[int, ...] = (r.choice([1, 2, 5]),)
    else:
        count = leading = r.choice([(), (), (1,), (3,)])
    x = numbers(r, leading, 0, D - 1, True) if tokens else numbers(r, (*leading, D))
    value = dress(r, x)
    if tokens and not leading:
        value = Value(r.choice([int, np.int8, np.int64, np.uint64])(x), x)
    elif tokens and count and D > 1 and r.random() < 0.5:
        value = dress(r, x[:, None])
    label_x = "x" if name == "run_stream" else "x_t"
    arguments = {label_x: value}
    H, rows = net.hidden_size, form.state_rows
    states = [numbers(r, (*count, rows, H)) for _ in range(form.states)]
    if rows == 1 and r.random() < 0.3:
        states = [part.reshape(*count, H) for part in states]
    rooms, locked = [], False
    has_state = r.random() < 0.5
    if has_state:
        parts = [dress(r, part) for part in states]
        if bad and r.random() < 0.4:
            parts[0] = spoil(r, states[0])
        unknown = not all(part.good for part in parts)
        given = parts[0].given if form.states == 1 else tuple(part.given for part in parts)
        arguments["state"] = Value(given, UNKNOWN if unknown else True)
    y_shape = (*(leading if name == "run_stream" else count), K)
    if r.random() < 0.3:
        out_y, around = room(y_shape, net.dtype)
        rooms.append(around)
        out_state = tuple(room((*count, rows, H), net.dtype) for _ in range(form.states))
        rooms += [around for _, around in out_state]
        out_state = tuple(array for array, _ in out_state)
        if has_state and r.random() < 0.3:
            given = arguments["state"].given
            given = given if isinstance(given, tuple) else (given,)
            if all(
                type(g) is np.ndarray
                and g.dtype == net.dtype
                and g.flags.writeable
                and g.shape == (*count, rows, H)
                for g in given
            ) and good(arguments):
                out_state = given
        out = (out_y, out_state if form.states == 2 else out_state[0])
        arguments["out"] = Value(out, True)
        if bad and r.random() < 0.5:
            what = r.randrange(6)
            if what == 0:
                out = (spoil(r, out_y).given, out[1])
            elif what == 1:
                out = (out[0], spoil(r, out_state[0]).given)
            elif what == 2:
                out = (out[0], (out_state[0], out_state[0]))
            elif what == 3:
                out = (out_y[::-1] if out_y.ndim else out_y, out[1])
            elif what == 4:
                out, locked = (read_only(r, out_y), out[1]), True
            else:
                out = rubbish(r).given
            arguments["out"] = Value(out, UNKNOWN)
    if bad and r.random() < 0.5:
        arguments[label_x] = spoil(r, x) if r.random() < 0.6 else rubbish(r)
    if bad and r.random() < 0.1:
        arguments["state"] = rubbish(r)
    ambiguous = value.means.dtype.kind in "iu" and np.shape(value.means) == (D,)
    if form.width != H or (name == "step" and ambiguous):
        arguments[label_x] = Value(arguments[label_x].given, UNKNOWN)
    result, fine, label = attempt(net, name, getattr(net, name), arguments)
    expect(not fine or not locked, label, "took what it must not write to")
    for around in rooms:
        expect((around[:16] == 7).all() and (around[-16:] == 7).all(), label, "beyond out", around)
    if not fine or not good(arguments):
        return
    y, state = result
    expect(y.shape == y_shape and y.dtype == net.dtype, label, "y", y.shape)
    state = state if form.states == 2 else (state,)
    for part in state:
        expect(part.shape == (*count, rows, H) and np.isfinite(part).all(), label, "state", part)
    if "out" in arguments:
        expect(y is arguments["out"].given[0], label, "out not returned")
    expect(np.isfinite(y).all(), label, "y", y)
    p = known(net)
    if p is None or r.random() < 0.4:
        return
    steps = np.eye(D)[x] if tokens else np.asarray(value.means, float)
    one = name == "run_stream" or not count
    steps = np.reshape(steps, (1, -1, D)) if one else steps[:, None]
    h0 = None
    if has_state:
        h0 = [np.reshape(s, (len(steps), rows, H)) for s in states]
        h0 = h0 if form.states == 2 else h0[0]
    ever = np.ones(steps.shape[1], bool)
    readout = net._model.config["readout"]
    net._model.config["readout"] = "before" if readout == "before" else "all"
    try:
        ys, _, finals = reference.forward(net, p, [(s, ever) for s in steps], h0)
    finally:
        net._model.config["readout"] = readout
    close(label, net, np.reshape(y, (-1, K)), np.concatenate(ys), "y")
    for k, part in enumerate(state):
        wanted = [f[k] if form.states == 2 else f for f in finals]
        close(label, net, np.reshape(part, np.shape(wanted)), wanted, "state")
