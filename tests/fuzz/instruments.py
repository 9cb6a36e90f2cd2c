"""What reads a network: slopes of one step, fixed points, exponents, second derivatives; what is
pruned, and files in other forms."""

from __future__ import annotations

import os

import numpy as np
import rnncore.dynamics
import rnncore.export

import rnncore as rc
from fuzz.answers import same_parameters
from fuzz.fits import folder, no_path
from fuzz.live import no_count, state
from fuzz.promises import attempt, close, expect, good
from fuzz.sequences import Data
from fuzz.strategies import UNKNOWN, Value, dress, numbers, rubbish, spoil


def one_input(r, net, bad):
    """The input of one step as a Value; and as (D,) numbers, of tokens one-hot."""
    D = net.input_size
    if r.random() < 0.3:
        token, x = r.randrange(D), None
        value = Value(r.choice([int, np.int8, np.uint64])(token), True)
        means = np.eye(D)[token]
    else:
        x = means = numbers(r, (D,))
        value = dress(r, x)
    if bad and r.random() < 0.5:
        value = spoil(r, numbers(r, (D,))) if r.random() < 0.6 else rubbish(r)
    return value, means


def unless_both(net, arguments):
    """The arguments, unknown to be right for a network that goes both ways."""
    if net.config["bidirectional"]:
        name = next(iter(arguments))
        arguments[name] = Value(arguments[name].given, UNKNOWN)
    return arguments


def flat_state(net, arrays):
    """Without the axis of rows, where there is one of them."""
    return [part[..., 0, :] if net._model.spec.state_rows == 1 else part for part in arrays]


def states_of(r, net, lead, bad):
    """States as the instruments take them: a Value, and the arrays it stands for."""
    spec = net._model.spec
    rows = (spec.state_rows, spec.hidden_size)
    arrays = [numbers(r, (*lead, *rows), -8, 8) for _ in range(spec.states)]
    parts = [dress(r, part) for part in flat_state(net, arrays)]
    if bad and r.random() < 0.5:
        parts[0] = spoil(r, parts[0].means)
    fine = all(part.good for part in parts)
    given = parts[0].given if spec.states == 1 else tuple(part.given for part in parts)
    return Value(given, True if fine else UNKNOWN), arrays


def jacobians(r, net):
    """jacobian, against differences of step"""
    bad = r.random() < 0.4
    h, arrays = states_of(r, net, (), bad)
    x, means = one_input(r, net, bad)
    arguments = unless_both(net, {"h": h, "x": x})
    J, fine, label = attempt(net, "jacobian", net.jacobian, arguments)
    if not fine or not good(arguments):
        return
    n = sum(part.size for part in arrays)
    expect(J.shape == (n, n) and np.isfinite(J).all(), label, J)
    if net.dtype != np.float64 or net.config.get("nonlinearity") == "relu":
        return
    way, at = numbers(r, (n,)), np.concatenate([part.ravel() for part in arrays])

    def after(s):
        parts = np.split(at + s * way, len(arrays))
        given = [part.reshape(arrays[0].shape) for part in parts]
        _, final = net.step(means, given[0] if len(given) == 1 else tuple(given))
        return np.concatenate([np.ravel(part) for part in (final if len(given) > 1 else (final,))])

    difference = (after(1e-5) - after(-1e-5)) / 2e-5
    expect(np.abs(J @ way - difference).max() <= 1e-5 * (1 + np.abs(difference).max()), label, J)


def dynamics(r, net):
    """fixed_points, flow_field, lyapunov"""
    bad = r.random() < 0.4
    r.choice([points, fields, exponents])(r, net, bad)


def points(r, net, bad):
    x, _ = one_input(r, net, bad)
    arguments = {"x": x, "starts": Value(r.choice([1, 3, 8]), True)}
    if r.random() < 0.3:
        arguments["starts"], _ = states_of(r, net, r.choice([(1,), (3,)]), bad)
    if r.random() < 0.3:
        arguments["slow"] = Value(r.choice([None, 0.1, 1e-30]), True)
    if bad:
        name = r.choice(["starts", "slow", "merge", "rng"])
        arguments[name] = no_count(r) if name == "starts" else rubbish(r)
    arguments = unless_both(net, arguments)
    found, fine, label = attempt(net, "fixed_points", net.fixed_points, arguments)
    if fine:
        expect(all(np.isfinite(part).all() for part in np.atleast_1d(found.speed)), label, found)
        repr(found)


def fields(r, net, bad):
    x, _ = one_input(r, net, bad)
    arguments = {"x": x, "points": Value(r.choice([None, 2, 5]), True)}
    if r.random() < 0.3:
        arguments["extent"] = Value(r.choice([(-1, 1), [0, 0.5], None]), True)
    if bad:
        name = r.choice(["points", "extent"])
        arguments[name] = no_count(r) if name == "points" else rubbish(r)
    spec = net._model.spec
    if spec.states * spec.state_rows * spec.hidden_size > 2:
        arguments["x"] = Value(arguments["x"].given, UNKNOWN)
    arguments = unless_both(net, arguments)

    def call(**given):
        return rc.dynamics.flow_field(net, **given)

    field, fine, label = attempt(net, "flow_field", call, arguments)
    if fine:
        expect(np.isfinite(field.change).all(), label, field)


def exponents(r, net, bad):
    D, T, B = net.input_size, r.choice([1, 2, 4]), r.choice([None, 1, 2])
    shape = (T,) if B is None else (B, T)
    tokens = r.random() < 0.3
    x = numbers(r, shape, 0, D - 1, True) if tokens else numbers(r, (*shape, D))
    arguments = {"x": dress(r, x)}
    if tokens:  # a last axis of D integers may be numbers
        arguments["x"] = Value(arguments["x"].given, UNKNOWN)
    if r.random() < 0.4:
        arguments["h0"], _ = states_of(r, net, () if B is None else (B,), bad)
    if r.random() < 0.3:
        arguments["discard"] = Value(r.randrange(T), True)
    if bad:
        name = r.choice(["x", "discard", "h0"])
        arguments[name] = spoil(r, x) if name == "x" and r.random() < 0.6 else rubbish(r)
    arguments = unless_both(net, arguments)
    # The trajectory of an unbounded cell may leave what floats can hold.
    also = (FloatingPointError,)
    found, fine, label = attempt(net, "lyapunov", net.lyapunov, arguments, also)
    if fine:
        expect(not np.isnan(found.exponents).any(), label, found)


def second(r, net):
    """per_sample_grad and hvp"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    arguments["y"], _ = data.targets(bad)
    h0, _ = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    if r.random() < 0.3:
        arguments["reduction"] = Value(r.choice(["mean", "sum"]), True)
    if bad and r.random() < 0.2:
        arguments[r.choice(["reduction", "target_mask", "sample_weight"])] = rubbish(r)
    if r.random() < 0.5:
        each(r, net, data, arguments, bad)
    else:
        along(r, net, data, arguments, bad)


def each(r, net, data, arguments, bad):
    if bad and r.random() < 0.2:
        arguments[r.choice(["rng", "truncate"])] = rubbish(r)
    result, fine, label = attempt(net, "per_sample_grad", net.per_sample_grad, arguments)
    refuse = data.impossible() or data.impossible_targets(arguments["y"].given)
    expect(not fine or not refuse, label, "took what it must refuse")
    if not fine or not good(arguments):
        return
    losses, grads = result
    expect(losses.shape == (data.B,) and np.isfinite(losses).all(), label, losses)
    same_parameters(label, net, {name: part[0].copy() for name, part in grads.items()})
    given = {name: value.given for name, value in arguments.items()} | {"reduction": "sum"}
    _, each = net.per_sample_grad(**given)
    _, together = net.loss_and_grad(**given)
    for name, part in each.items():
        close(label, net, part.sum(axis=0), together[name], name)


def along(r, net, data, arguments, bad):
    size = net._model.flat.size
    v = numbers(r, (size,))
    arguments["v"] = dress(r, v)
    if r.random() < 0.4:
        parts = {name: numbers(r, shape) for name, shape in net._model.shapes.items()}
        if bad and r.random() < 0.5:
            parts[r.choice([*parts, "nothing", None])] = rubbish(r).given
            arguments["v"] = Value(parts, UNKNOWN)
        else:
            arguments["v"] = Value(parts, True)
    elif bad and r.random() < 0.5:
        arguments["v"] = spoil(r, v) if r.random() < 0.6 else rubbish(r)
    if bad and r.random() < 0.1:
        arguments["threads"] = rubbish(r)
    product, fine, label = attempt(net, "hvp", net.hvp, arguments)
    if fine and good(arguments):
        parts = product.values() if isinstance(product, dict) else [product]
        expect(all(np.isfinite(part).all() for part in parts), label, product)


def pulls(r, net):
    """linearize, and pulls of all kinds"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    h0, _ = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    if r.random() < 0.3:
        arguments["hidden"] = Value(r.choice([True, False]), True)
    if bad and r.random() < 0.2:
        arguments[r.choice(["hidden", "rng", "threads"])] = rubbish(r)
    result, fine, label = attempt(net, "linearize", net.linearize, arguments)
    expect(not fine or not data.impossible(), label, "took what it must refuse")
    if not fine:
        return
    out, pull = result
    spec, B = net._model.spec, len(out.y)
    given = {}
    for name, like in (("dy", out.y), ("dhidden", out.hidden)):
        if like is not None and r.random() < 0.6:
            given[name] = dress(r, numbers(r, like.shape), lists=False)
    if r.random() < 0.5:
        given["dfinal"] = state(r, net, (B,), bad)
    for name in ("dx", "params"):
        if r.random() < 0.2:
            given[name] = Value(r.random() < 0.5, True)
    if bad:
        name = r.choice(["dy", "dhidden", "dfinal", "dx", "params"])
        given[name] = spoil(r, out.y) if r.random() < 0.5 else rubbish(r)
    if not {"dy", "dhidden", "dfinal"} & given.keys() or not good(arguments) or data.listed:
        given["dy"] = Value(given["dy"].given if "dy" in given else None, UNKNOWN)
    slopes, fine, label = attempt(net, "pull", pull, given)
    if fine and good(given):
        grads, dx, dh0 = slopes
        parts = [*(grads or {}).values(), *([] if dx is None else [dx])]
        parts += list(dh0) if spec.states == 2 else [dh0]
        expect(all(np.isfinite(part).all() for part in parts), label, slopes)


def pruning(r, net):
    """prune"""
    H, config, bad = net.hidden_size, net.config, r.random() < 0.5
    names = [f"l{k}{d}" for k in range(config["num_layers"])
             for d in ("", "_reverse")[: 1 + config["bidirectional"]]]  # fmt: skip
    count = r.randrange(H)
    units = {name: dress(r, np.array(r.sample(range(H), count), int)).given for name in names}
    given = Value(units[names[0]] if len(names) == 1 and r.random() < 0.7 else units, True)
    if bad:
        wrong = r.choice([[0, 0], [H], [-1], list(range(H)), [0.5], [True], [[0]], "l0", 2**64])
        given = Value(units | {r.choice([*names, "l9", None]): wrong}, UNKNOWN)
        given = rubbish(r) if r.random() < 0.5 else given
    small, fine, label = attempt(net, "prune", net.prune, {"units": given})
    if fine and given.good:
        expect(small.hidden_size == H - count, label, small.hidden_size)
        expect(np.isfinite(small._model.flat).all(), label, small._model.flat)


def exports(r, net):
    """export.c and export.rtneural"""
    bad = r.random() < 0.5
    path = Value(os.path.join(folder(), "exported"), True)
    if bad and r.random() < 0.4:
        wrong = r.choice(["\0", "/nowhere/at/all", "x" * 5000, b"\0", "\ud800", ""])
        path = Value(wrong if r.random() < 0.5 else no_path(r), UNKNOWN)
    if r.random() < 0.2:
        path = Value(path.given, UNKNOWN)
        attempt(net, "rtneural", lambda path: rnncore.export.rtneural(net, path),
                {"path": path}, also=(OSError,))  # fmt: skip
        return
    arguments = {"path": path, "dtype": Value(r.choice(["float32", "int8"]), True)}
    if r.random() < 0.3:
        arguments["tokens"] = Value(r.choice([True, False]), True)
    if r.random() < 0.3:
        arguments["libm"] = Value(r.choice([True, False]), True)
    if arguments["dtype"].given == "int8" and r.random() < 0.5:
        x = numbers(r, (2, 3, net.input_size))
        arguments["x"] = spoil(r, x) if bad else dress(r, x, lists=False)
    if bad:
        arguments[r.choice(["dtype", "name", "libm", "tokens", "x", "y"])] = rubbish(r)
    arguments = unless_both(net, arguments)

    def call(**given):
        return rnncore.export.c(net, **given)

    report, fine, label = attempt(net, "c", call, arguments, also=(OSError,))
    if fine and good(arguments):
        expect(report.weights > 0, label, report)
        repr(report)
