"""Calls of the whole public face, drawn at random."""

from __future__ import annotations

import copy
import os
import warnings

import numpy as np

import rnncore as rc
from fuzz import reference
from fuzz.fits import folder, no_path, training
from fuzz.promises import COUNTS, Find, attempt, close, expect, good
from fuzz.sequences import Data
from fuzz.strategies import (
    RUBBISH,
    UNKNOWN,
    BrokenMapping,
    Raised,
    Value,
    dress,
    maybe,
    networks,
    numbers,
    read_only,
    rubbish,
    spoil,
)

__all__ = ["COUNTS", "Find", "Value", "attempt", "example", "losses", "network"]


def known(net):
    """The parameters for the reference; None where they are too large for it to be compared."""
    p = {name: values.astype(np.float64) for name, values in net._model.parameters.items()}
    largest = max(np.abs(v).max() for v in p.values())
    return p if largest < 4 else None


def outputs(r, net):
    """net(x), trace, predict, predict_proba"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    h0, means = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    arguments |= data.threads(bad)
    name = r.choice(["__call__", "__call__", "predict", "predict_proba"])
    if name == "predict_proba" and net.config["loss"] not in ("bce", "cross_entropy"):
        arguments["x"] = Value(arguments["x"].given, UNKNOWN)
    result, fine, label = attempt(net, name, getattr(net, name), arguments)
    expect(not fine or not data.impossible(), label, "took what it must refuse")
    if not fine or not good(arguments):
        return
    B, T, K, form = data.B, data.T, net._model.spec.outputs, net._model.spec
    shape = (B, T, K) if net.readout == "all" else (B, K)
    p = known(net)
    ys = None
    if p is not None and r.random() < 0.6:
        ys, hiddens, finals = reference.forward(net, p, data.sequences, means)
    if name == "__call__":
        y, hidden, final = result
        expect(y.shape == shape and y.dtype == net.dtype, label, "y", y.shape)
        expect(hidden.shape == (B, T, form.width), label, "hidden", hidden.shape)
        for part in final if form.states == 2 else (final,):
            expect(part.shape == (B, form.state_rows, net.hidden_size), label, part.shape)
            expect(np.isfinite(part).all(), label, "final", part)
        expect(np.isfinite(y).all() and np.isfinite(hidden).all(), label, "finite", y, hidden)
        if ys is not None:
            for b, n in enumerate(data.lengths):
                of = y[b, :n] if net.readout == "all" else y[b]
                close(label, net, of, ys[b], f"y of sequence {b}")
                close(label, net, hidden[b, :n], hiddens[b], f"hidden of sequence {b}")
                for k, part in enumerate(final if form.states == 2 else (final,)):
                    wanted = finals[b][k] if form.states == 2 else finals[b]
                    close(label, net, part[b], wanted, f"final of sequence {b}")
                expect(not hidden[b, n:].any(), label, "after the end", hidden)
                expect(net.readout != "all" or not y[b, n:].any(), label, "after the end", y)
        if r.random() < 0.1:
            arguments.pop("threads", None)
            layers, _, label = attempt(net, "trace", net.trace, arguments)
            expect(len(layers) == form.passes, label, list(layers))
            for layer in layers.values():
                for part in (layer.hidden, *layer.gates.values(), layer.cell):
                    expect(part is None or np.isfinite(part).all(), label, part)
            expect((layer.hidden == hidden[..., -net.hidden_size :]).all(), label, hidden)
        return
    expect(np.isfinite(result).all(), label, "finite", result)
    if name == "predict_proba":
        expect(result.shape == shape, label, result.shape)
        expect(((result >= 0) & (result <= 1.0001)).all(), label, result)
    elif net.config["loss"] == "cross_entropy":
        expect(result.shape == shape[:-1], label, result.shape)
    else:
        expect(result.shape == (shape[:-1] if K == 1 else shape), label, result.shape)
    for b, counted in enumerate(data.counted if ys is not None else ()):
        of, y = result[b], ys[b]
        if net.readout == "all":
            of, y = of[counted], y[counted[: len(y)]]
        wanted = meaning(net, name, y)
        clear = ~np.isnan(wanted)
        of = np.reshape(of, wanted.shape)
        close(label, net, of[clear], wanted[clear], f"{name} of sequence {b}")


def meaning(net, name, y):
    """What predict or predict_proba says of logits; NaN where a little would change it."""
    loss, margin = net.config["loss"], 0.01 * np.abs(y).max(initial=1)
    if loss == "cross_entropy":
        p = np.exp(y - y.max(axis=-1, keepdims=True))
        if name == "predict_proba":
            return p / p.sum(axis=-1, keepdims=True)
        others = np.sort(y, axis=-1)[..., -2:]
        close_call = (others[..., -1] - others[..., 0] < margin) & (y.shape[-1] > 1)
        return np.where(close_call, np.nan, y.argmax(axis=-1))
    if loss == "bce" and name == "predict_proba":
        return 1 / (1 + np.exp(-y))
    if loss == "bce":
        return np.where(np.abs(y) < margin, np.nan, y >= 0)
    return y


def losses(r, net):
    """loss, loss_and_grad, objective, gradient_flow"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    y, targets = data.targets(bad)
    arguments["y"] = y
    h0, means = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    name = r.choice(["loss"] * 4 + ["loss_and_grad"] * 6 + ["objective", "gradient_flow"])
    plain = True
    if name != "gradient_flow":
        arguments |= data.threads(bad)
    if name == "loss_and_grad":
        extra = gradient_options(r, bad)
        plain = not extra
        arguments |= extra
    result, fine, label = attempt(net, name, getattr(net, name), arguments)
    refuse = data.impossible() or data.impossible_targets(y.given)
    expect(not fine or not refuse, label, "took what it must refuse")
    if not fine or not good(arguments):
        return
    p = known(net)
    wanted = None
    if p is not None and r.random() < 0.6:
        wanted = reference.loss(net, p, data.sequences, targets, means)
    if name == "loss":
        value = result
    elif name == "loss_and_grad":
        value, grads = result
        same_parameters(label, net, grads)
        expect("rng" not in arguments or np.isfinite(value), label, value)
        if "rng" in arguments:
            return
        if wanted is not None and plain and smooth(net) and r.random() < 0.2:
            way = {name: numbers(r, values.shape) for name, values in p.items()}

            def loss_at(s):
                moved = {name: p[name] + s * way[name] for name in p}
                return reference.loss(net, moved, data.sequences, targets, means)

            slope(label, loss_at, [(grads[name], way[name]) for name in p])
    elif name == "objective":
        flat = maybe(r, 0.3, Value(net._model.flat.copy(), True), lambda: spoil(r, net._model.flat))
        made, fine, label = attempt(net, "objective()", result, {"flat": flat})
        if not fine or not flat.good:
            return
        value, gradient = made
        expect(
            gradient.shape == net._model.flat.shape and gradient.dtype == np.float64,
            label,
            gradient,
        )
        close(label, net, gradient, flat_gradient(net, arguments), "gradient")
    else:
        value = result.loss
        flow(label, net, result, flat_gradient(net, arguments))
    expect(isinstance(value, float) and np.isfinite(value), label, "loss", value)
    if wanted is not None and abs(wanted) < 1e6:
        close(label, net, value, wanted, "loss")


def smooth(net):
    """Whether differences can tell its gradients."""
    return net.config.get("nonlinearity", "tanh") != "relu" and net.dtype == np.float64


def slope(label, f, parts):
    """A gradient along some direction, f(s) being so many steps in it, against a difference:
    parts are pairs of gradient and direction."""
    step = 1e-5
    ends = f(step), f(-step)
    along = sum((gradient * way).sum() for gradient, way in parts)
    difference = (ends[0] - ends[1]) / (2 * step)
    scale = 1 + sum(np.abs(gradient * way).sum() for gradient, way in parts) + abs(ends[0])
    expect(abs(along - difference) <= 1e-5 * scale, label, "slope", along, "instead of", difference)


def flat_gradient(net, arguments):
    """What loss_and_grad makes of the same."""
    grads = net.loss_and_grad(**{name: value.given for name, value in arguments.items()})[1]
    return np.concatenate([values.ravel() for values in grads.values()])


def flow(label, net, result, gradient):
    expect(result.verdict in ("vanishing", "exploding", "healthy"), label, result.verdict)
    for name, terms in result.terms.items():
        expect(terms.shape == (result.steps, *net._model.shapes[name]), label, name, terms.shape)
        expect(np.isfinite(terms).all(), label, name, terms)
    terms = [terms.sum(axis=0).ravel() for terms in result.terms.values()]
    close(label, net, np.concatenate(terms), gradient, "terms")
    result.summary(), repr(result), result.to_dict()


def gradient_options(r, bad):
    extra = {}
    if r.random() < 0.2:
        extra["rng"] = Value(r.choice([0, 1, np.uint8(3), np.random.default_rng(1)]), True)
    if r.random() < 0.2:
        extra["truncate"] = Value(r.choice([1, 2, 3, 2**31 - 1]), True)
    if bad and r.random() < 0.2:
        extra[r.choice(["rng", "truncate"])] = rubbish(r)
    return extra


def same_parameters(label, net, grads):
    expect(list(grads) == list(net._model.shapes), label, list(grads))
    for name, values in grads.items():
        expect(values.shape == net._model.shapes[name] and values.dtype == net.dtype, label, name)
        expect(np.isfinite(values).all(), label, name, values)
        expect(
            values.flags.writeable and not np.shares_memory(values, net._model.flat), label, name
        )


def slopes(r, net):
    """vjp, gradient_flow"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    every = net.readout == "all"
    shape_of_y = (
        (data.B, data.T, net._model.spec.outputs) if every else (data.B, net._model.spec.outputs)
    )
    narrow = net._model.spec.outputs == 1 and r.random() < 0.5
    dy = numbers(r, shape_of_y[:-1] if narrow else shape_of_y)
    arguments["dy"] = data.per_output(dy)
    if bad and r.random() < 0.5:
        arguments["dy"] = spoil(r, dy)
    h0, means = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    extra = gradient_options(r, bad)
    arguments |= data.threads(bad) | extra
    result, fine, label = attempt(net, "vjp", net.vjp, arguments)
    expect(not fine or not data.impossible(), label, "took what it must refuse")
    if not fine or not good(arguments):
        return
    grads, dx, dh0 = result
    same_parameters(label, net, grads)
    if data.tokens:
        expect(dx is None, label, dx)
    elif data.listed:
        shapes = [(n, net.input_size) for n in data.lengths]
        expect([part.shape for part in dx] == shapes, label, dx)
        expect(all(np.isfinite(part).all() for part in dx), label, dx)
    else:
        expect(dx.shape == (data.B, data.T, net.input_size), label, dx.shape)
        expect(np.isfinite(dx).all() and not dx[~data.counted].any(), label, dx)
    for k, part in enumerate(dh0 if net._model.spec.states == 2 else (dh0,)):
        shape = (data.B, net._model.spec.state_rows, net.hidden_size)
        if h0 is not None:
            shape = np.shape(h0.means[k] if net._model.spec.states == 2 else h0.means)
        expect(part.shape == shape and np.isfinite(part).all(), label, "dh0", part, shape)
    if not extra and r.random() < 0.1:
        arguments.pop("threads", None)
        result, _, label = attempt(net, "gradient_flow", net.gradient_flow, arguments)
        expect(result.loss is None, label, result.loss)
        flow(label, net, result, np.concatenate([values.ravel() for values in grads.values()]))
    p = known(net)
    if p is None or extra or not smooth(net) or r.random() < 0.6:
        return
    parts = [(grads[name], numbers(r, values.shape)) for name, values in p.items()]
    way = dict(zip(p, (of for _, of in parts), strict=True))
    way_x = [numbers(r, np.shape(x)) for x, _ in data.sequences]
    if data.tokens:
        way_x = [0] * data.B
    else:
        parts += [(dx[b][: len(of)], of) for b, of in enumerate(way_x)]
    pair = [dh0] if net._model.spec.states == 1 else dh0
    way_h = [numbers(r, np.shape(part)) for part in pair] if h0 is not None else []
    parts += list(zip(pair, way_h, strict=False))

    def along(s):
        states = [np.add(h, s * of) for h, of in zip(of_state(net, means), way_h, strict=True)]
        ys, _, _ = reference.forward(
            net,
            {name: p[name] + s * way[name] for name in p},
            [(x + s * of, c) for (x, c), of in zip(data.sequences, way_x, strict=True)],
            None if not states else states if net._model.spec.states == 2 else states[0],
        )
        slopes = np.reshape(dy, shape_of_y)
        return sum((y * of[: len(y)]).sum() for y, of in zip(ys, slopes, strict=True))

    slope(label, along, parts)


def of_state(net, means):
    """The arrays of a state, of none no arrays."""
    return [] if means is None else means if net._model.spec.states == 2 else [means]


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
    readout, net._model.config["readout"] = net._model.config["readout"], "all"
    try:
        ys, _, finals = reference.forward(net, p, [(s, ever) for s in steps], h0)
    finally:
        net._model.config["readout"] = readout
    close(label, net, np.reshape(y, (-1, K)), np.concatenate(ys), "y")
    for k, part in enumerate(state):
        wanted = [f[k] if form.states == 2 else f for f in finals]
        close(label, net, np.reshape(part, np.shape(wanted)), wanted, "state")


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


CALLS = [outputs] * 4 + [losses] * 4 + [slopes] * 2 + [streams] * 4 + [training] * 3
CALLS += [state_dicts, files, schedules]


def network(r, share=0.3):
    """A network, or None where its options are wrong."""
    kind, arguments = networks(r, share)
    net, fine, _ = attempt(None, kind, getattr(rc, kind), arguments, also=(Raised,))
    if not fine:
        return None
    if net._model.flat.size > 10_000 or (net.config.get("skip") or 0) > 1000:
        return None
    expect(np.isfinite(net._model.flat).all(), kind, "parameters", net._model.flat)
    return net if np.abs(net._model.flat).max() < 4 else None


def example(r, most=12):
    """A network and some calls of it; raises a Find."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "the matrix subclass")
        net = network(r)
        if net is None:
            return
        for _ in range(r.randint(1, most)):
            if r.random() < 0.02:
                _ = net.flat  # from now on anybody may change the parameters
            r.choice(CALLS)(r, net)
