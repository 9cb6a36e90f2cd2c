"""Calls with a batch: outputs, losses, gradients, and what is read from them."""

from __future__ import annotations

import numpy as np

from fuzz import reference
from fuzz.answers import flat_gradient, flow, known, meaning, same_parameters, slope, smooth
from fuzz.promises import attempt, close, expect, good
from fuzz.sequences import Data
from fuzz.strategies import (
    UNKNOWN,
    Value,
    maybe,
    numbers,
    rubbish,
    spoil,
)


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
    shape = (B, T, K) if net.readout != "last" else (B, K)
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
                of = y[b, :n] if net.readout != "last" else y[b]
                close(label, net, of, ys[b], f"y of sequence {b}")
                close(label, net, hidden[b, :n], hiddens[b], f"hidden of sequence {b}")
                for k, part in enumerate(final if form.states == 2 else (final,)):
                    wanted = finals[b][k] if form.states == 2 else finals[b]
                    close(label, net, part[b], wanted, f"final of sequence {b}")
                expect(not hidden[b, n:].any(), label, "after the end", hidden)
                expect(net.readout == "last" or not y[b, n:].any(), label, "after the end", y)
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
        if net.readout != "last":
            of, y = of[counted], y[counted[: len(y)]]
        wanted = meaning(net, name, y)
        clear = ~np.isnan(wanted)
        of = np.reshape(of, wanted.shape)
        close(label, net, of[clear], wanted[clear], f"{name} of sequence {b}")


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


def gradient_options(r, bad):
    extra = {}
    if r.random() < 0.2:
        extra["rng"] = Value(r.choice([0, 1, np.uint8(3), np.random.default_rng(1)]), True)
    if r.random() < 0.2:
        extra["truncate"] = Value(r.choice([1, 2, 3, 2**31 - 1]), True)
    if bad and r.random() < 0.2:
        extra[r.choice(["rng", "truncate"])] = rubbish(r)
    return extra


def in_two_steps(net, arguments, expected):
    """linearize and a pull have the bits of vjp."""
    forward = {name: value for name, value in arguments.items() if name != "dy"}
    (out, pull), _, label = attempt(net, "linearize", net.linearize, forward)
    grads, dx, dh0 = pull(dy=arguments["dy"].given)
    if chunked(net, out):
        return
    for name, values in grads.items():
        expect(values.tobytes() == expected[0][name].tobytes(), label, name)
    for got, wanted in ((dx, expected[1]), (dh0, expected[2])):
        pairs = zip(got, wanted, strict=True) if isinstance(got, list | tuple) else [(got, wanted)]
        for a, b in pairs:
            expect(a is b or a.tobytes() == b.tobytes(), label, a, b)


def chunked(net, out):
    """Whether `vjp` may have cut the time of few long sequences of one unit into chunks."""
    return net.hidden_size == 1 and len(out.hidden) <= 4 and out.hidden.shape[1] >= 64


def slopes(r, net):
    """vjp, gradient_flow"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    every = net.readout != "last"
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
    if not extra and r.random() < 0.3:
        in_two_steps(net, arguments, result)
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
