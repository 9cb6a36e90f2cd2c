"""Calls of the whole public face, drawn at random, and what must hold of every one of them."""

from __future__ import annotations

import copy
import os
import re
import tempfile
import warnings

import numpy as np

import rnncore as rc
from fuzz import reference
from fuzz.strategies import (
    BAD_NUMBERS,
    RUBBISH,
    UNKNOWN,
    BrokenMapping,
    Raised,
    Value,
    dress,
    maybe,
    networks,
    numbers,
    raising,
    rubbish,
    spoil,
)

#: What an error's message must begin with: the name of an argument (or of what was called).
NAMES = re.compile(
    r"(x|y|dy|h0|c0|x_t|state|out|lengths|mask|threads|rng|truncate|path|state_dict|init|init_scale"
    r"|input_size|hidden_size|output_size|num_layers|bidirectional|dropout|bias|readout|loss|dtype"
    r"|trainable_h0|forget_bias|seed|nonlinearity|skip|epochs|batch_size|optimizer|lr|momentum|alpha"
    r"|betas|eps|clip_norm|clip_value|weight_decay|l1|activation|validation|patience|shuffle"
    r"|progress|callback|checkpoint|flat|every|factor|end|then|least|predict_proba|step|run_stream"
    r"|fit|parameters\(\))(\[.*?\]|\(.*?\))*: ",
    re.DOTALL,
)
DOCUMENTED = (TypeError, ValueError, MemoryError)
TRIES = {"float32": 3e-3, "float64": 1e-8}


class Find(AssertionError):
    """A promise that was not kept."""


class Counts(dict):
    """How many calls of each kind, and how they ended."""

    def note(self, name, how):
        self[name, how] = self.get((name, how), 0) + 1


COUNTS = Counts()


def told(value):
    """A short text for anything, also for what breaks when it is looked at."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    if isinstance(value, np.ndarray):
        text = f"array {value.dtype} {value.shape} {value.strides}: {text}"
    return text[:400]


def attempt(net, name, call, arguments, also=(), changes=False):
    """Make the call. (its result, whether it succeeded); a Find where it fails as it must not.

    arguments: Values by name; `also`: further errors that may come; `changes`: a call that
    succeeds may change the network.
    """
    good = all(value.good for value in arguments.values())
    before = None if net is None else net._flat.tobytes()
    label = f"{name}({', '.join(f'{k}={told(v.given)}' for k, v in arguments.items())})"
    given = {
        key: (value.given, value.given.tobytes())
        for key, value in arguments.items()
        if isinstance(value.given, np.ndarray) and value.given.size < 1000
        if key != "out" and not (key == "state" and "out" in arguments)
        if value.given.dtype.kind in "fiub" and not isinstance(value.given, np.ma.MaskedArray)
    }
    result, error = None, None
    try:
        result = call(**{key: value.given for key, value in arguments.items()})
    except Exception as caught:
        error = caught
    if error is not None:
        if not isinstance(error, (*DOCUMENTED, *also)) or isinstance(error, Warning):
            raise Find(f"{label}: {type(error).__name__}: {told(error)}") from error
        text = str(error)
        functions = [arguments[n].given for n in ("init", "lr", "callback") if n in arguments]
        theirs = isinstance(error, TypeError) and any(map(callable, functions))
        if isinstance(error, TypeError | ValueError) and not theirs:
            if not NAMES.match(text):
                kind = type(error).__name__
                raise Find(f"{label}: names no argument: {kind} {text[:300]}") from error
            if len(text) > 20_000:
                raise Find(f"{label}: a message of {len(text)} characters") from error
        if good:
            raise Find(f"{label}: refused: {type(error).__name__}: {text[:300]}") from error
    COUNTS.note(name, "ok" if error is None else type(error).__name__)
    if before is not None and not (changes and error is None) and net._flat.tobytes() != before:
        late = isinstance(error, FloatingPointError | Raised) or str(error).startswith("lr(")
        if not late:
            raise Find(f"{label}: changed the network")
        if not np.isfinite(net._flat).all():
            raise Find(f"{label}: left a network that is not finite")
    for key, (array, numbers_before) in given.items():
        if array.tobytes() != numbers_before:
            raise Find(f"{label}: changed {key}")
    return result, error is None, label


def expect(condition, label, *what):
    if not condition:
        raise Find(f"{label}: {' '.join(map(told, what))}")


def close(label, net, got, wanted, what):
    wanted = np.asarray(wanted, np.float64)
    expect(np.shape(got) == wanted.shape, label, what, "shape", np.shape(got), wanted.shape)
    if wanted.size and not np.abs(wanted).max() < 1e6:
        return  # too large to be compared
    scale = max(1.0, np.abs(wanted).max(initial=0))
    error = np.abs(np.asarray(got, np.float64) - wanted).max(initial=0)
    expect(error <= TRIES[net.dtype.name] * scale, label, what, got, "instead of", wanted)


# ---- sequences -------------------------------------------------------------------------


class Data:
    """Sequences in one of the forms x may take, with what goes with them, as Values; and, where
    all is right, `sequences` (x, counted) for the reference."""

    def __init__(self, r, net, bad):
        self.r, self.net = r, net
        D = net.input_size
        self.B, self.T = r.choice([1, 1, 2, 3, 5]), r.choice([1, 1, 2, 3, 4])
        if r.random() < 0.01:
            self.B = r.choice([17, 33, 65])
        self.form = r.choice(["array", "array", "array", "tokens", "list", "token list"])
        self.tokens = "token" in self.form
        self.listed = "list" in self.form
        self.lengths = [self.T] * self.B
        if self.listed:
            self.lengths = [r.randint(1, self.T) for _ in range(self.B)]
            self.T = max(self.lengths)
        self.arguments: dict[str, Value] = {}
        counted = np.arange(self.T) < np.array(self.lengths)[:, None]
        extra = {}
        if not self.listed and r.random() < 0.3:
            lengths = numbers(r, (self.B,), 1, self.T, whole=True)
            extra["lengths"] = dress(r, lengths)
            counted = np.arange(self.T) < lengths[:, None]
        if r.random() < 0.25:
            mask = numbers(r, (self.B, self.T), 0, 1, whole=True)
            extra["mask"] = self.mask(mask)
            counted &= mask == 1
        self.counted = counted
        rows = []
        for length in self.lengths:
            rows.append(
                numbers(r, (length,), 0, D - 1, True) if self.tokens else numbers(r, (length, D))
            )
        if self.listed:
            parts = [dress(r, row) if len(row) else Value(row, row) for row in rows]
            given = [part.given for part in parts]
            x = Value(tuple(given) if r.random() < 0.2 else given, [p.means for p in parts])
        else:
            x = dress(r, np.stack(rows), lists=False)
            if (
                r.random() < 0.2
                and not counted.all()
                and not self.tokens
                and type(x.given) is np.ndarray
            ):
                x = self.junk(x, counted[..., None])
        self.arguments = {"x": x, **extra}
        if bad and r.random() < 0.6:
            name = r.choice(["x", "x", "lengths", "mask"])
            self.arguments[name] = self.wrong(name)
        means = x.means
        eye = np.eye(D)
        self.sequences = [
            (eye[m] if self.tokens else np.asarray(m), c[: len(m)])
            for m, c in zip(means, counted, strict=True)
        ]

    def junk(self, x, counted):
        """The same, with numbers where nothing counts that must not be looked at."""
        given = np.array(x.given, order="K")
        given[np.broadcast_to(~counted, given.shape)] = self.r.choice([np.nan, np.inf, -np.inf])
        return Value(given, x.means)

    def mask(self, mask):
        r = self.r
        if self.listed and r.random() < 0.5:
            rows = [row[:n] for row, n in zip(mask, self.lengths, strict=True)]
            return Value([dress(r, row).given for row in rows], True)
        if r.random() < 0.4:
            mask = mask.astype(bool)
            return Value(np.asfortranarray(mask) if r.random() < 0.3 else mask, True)
        return Value(
            dress(r, mask if r.random() < 0.5 else mask.astype(float), lists=False).given, True
        )

    def wrong(self, name):
        r, given = self.r, self.arguments.get(name)
        if given is None or r.random() < 0.3:
            return rubbish(r)
        given = given.given
        if isinstance(given, list | tuple):
            given, at = list(given), r.randrange(len(given))
            if r.random() < 0.3:
                given.pop() if r.random() < 0.5 else given.append(given[0])
            elif r.random() < 0.5:
                given[at] = rubbish(r).given
            else:
                given[at] = spoil(r, given[at]).given
            return Value(given, UNKNOWN)
        return spoil(r, given)

    def targets(self, bad):
        """y, and the targets of every sequence."""
        r, net = self.r, self.net
        K, every, loss = net._outputs, net.readout == "all", net.config["loss"]
        shape = (self.B, self.T) if every else (self.B,)
        if loss == "cross_entropy":
            y = numbers(r, shape, -1, K - 1, whole=True)
            if not ((y >= 0) & (self.counted if every else True)).any():
                bad = True  # nothing counts
        else:
            if K > 1 or r.random() < 0.5:
                shape = (*shape, K)
            y = numbers(r, shape, 0, 8) if loss == "bce" else numbers(r, shape)
        nothing = (every and not self.counted.any()) or (
            loss == "cross_entropy" and not ((y >= 0) & (self.counted if every else True)).any()
        )
        value = self.per_output(y)
        targets = [part[:n] if every else part for part, n in zip(y, self.lengths, strict=True)]
        if bad and r.random() < 0.7:
            value = spoil(r, y) if r.random() < 0.7 else rubbish(r)
        if nothing or loss is None:
            value = Value(value.given, UNKNOWN)
        return value, targets

    def per_output(self, y):
        """As an array, or a list of one for every sequence."""
        r, every = self.r, self.net.readout == "all"
        if every and self.listed and r.random() < 0.5:
            rows = [row[:n] for row, n in zip(y, self.lengths, strict=True)]
            return Value([dress(r, row).given for row in rows], True)
        value = dress(r, y, lists=not (every and self.listed))
        if (
            type(value.given) is np.ndarray
            and every
            and r.random() < 0.1
            and value.given.dtype.kind == "f"
        ):
            counted = self.counted if y.ndim == 2 else self.counted[..., None]
            value = self.junk(value, counted)
        return value

    def state(self, bad):
        """(h0 or None, its meaning or None)"""
        r, form = self.r, self.net._form
        if r.random() < 0.6:
            return (None, None) if not bad or r.random() < 0.8 else (rubbish(r), None)
        H, passes, s = form.hidden_size, form.passes, form.history
        shapes = [(self.B, passes * s, H)]
        if s > 1:
            shapes.append((self.B, passes, H))
        if passes == 1:
            shapes.append((self.B, H))
        shape = r.choice(shapes)
        # (B, passes, H) with several states a pass is ambiguous only where the sizes agree
        parts = [dress(r, numbers(r, shape)) for _ in range(form.states)]
        if bad and r.random() < 0.5:
            at = r.randrange(len(parts))
            parts[at] = spoil(r, parts[at].means)
        means = [part.means for part in parts]
        unknown = any(m is UNKNOWN for m in means)
        if form.states == 1:
            return Value(parts[0].given, UNKNOWN if unknown else means[0]), means[0]
        given = [part.given for part in parts]
        given = tuple(given) if r.random() < 0.5 else given
        return Value(given, UNKNOWN if unknown else means), means

    def threads(self, bad):
        r = self.r
        if r.random() < 0.9:
            return {}
        if bad and r.random() < 0.3:
            return {"threads": rubbish(r)}
        count = r.choice([None, 1, 2, 3, 2**31 - 1, np.int8(1)])
        return {"threads": Value(count, True)}


def known(net):
    """The parameters for the reference; None where they are too large for it to be compared."""
    p = {name: values.astype(np.float64) for name, values in net._parameters.items()}
    largest = max(np.abs(v).max() for v in p.values())
    return p if largest < 4 else None


def good(arguments):
    return all(value.good for value in arguments.values())


# ---- calls -----------------------------------------------------------------------------


def outputs(r, net):
    """net(x), predict, predict_proba"""
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
    if not fine or not good(arguments):
        return
    B, T, K, form = data.B, data.T, net._outputs, net._form
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
        return
    expect(np.isfinite(result).all(), label, "finite", result)
    if name == "predict_proba":
        expect(result.shape == shape, label, result.shape)
        expect(((result >= 0) & (result <= 1.0001)).all(), label, result)
    elif net.config["loss"] == "cross_entropy":
        expect(result.shape == shape[:-1], label, result.shape)
    else:
        expect(result.shape == (shape[:-1] if K == 1 else shape), label, result.shape)
        if ys is not None and net.config["loss"] != "bce":
            for b, n in enumerate(data.lengths):
                of = result[b, :n] if net.readout == "all" else result[b]
                close(label, net, np.reshape(of, np.shape(ys[b])), ys[b], f"predicted of {b}")


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
        smooth = net.config.get("nonlinearity", "tanh") != "relu" and net.dtype == np.float64
        if wanted is not None and plain and smooth and r.random() < 0.2:
            slope(r, label, net, p, data, targets, means, grads)
    elif name == "objective":
        flat = maybe(r, 0.3, Value(net._flat.copy(), True), lambda: spoil(r, net._flat))
        made, fine, label = attempt(net, "objective()", result, {"flat": flat})
        if not fine or not flat.good:
            return
        value, gradient = made
        expect(gradient.shape == net._flat.shape and gradient.dtype == np.float64, label, gradient)
    else:
        value = result.loss
        flow(label, net, result)
    expect(isinstance(value, float) and np.isfinite(value), label, "loss", value)
    if wanted is not None and abs(wanted) < 1e6:
        close(label, net, value, wanted, "loss")


def slope(r, label, net, p, data, targets, means, grads):
    """The gradient along some direction, against a difference."""
    way = {name: numbers(r, values.shape) for name, values in p.items()}
    step = 1e-5
    ends = [
        reference.loss(
            net, {n: p[n] + sign * step * way[n] for n in p}, data.sequences, targets, means
        )
        for sign in (1, -1)
    ]
    along = sum((grads[name] * way[name]).sum() for name in p)
    difference = (ends[0] - ends[1]) / (2 * step)
    scale = 1 + sum(np.abs(grads[name] * way[name]).sum() for name in p) + abs(ends[0])
    expect(abs(along - difference) <= 1e-5 * scale, label, "slope", along, "instead of", difference)


def flow(label, net, result):
    expect(result.verdict in ("vanishing", "exploding", "healthy"), label, result.verdict)
    for name, terms in result.terms.items():
        expect(terms.shape == (result.steps, *net._shapes[name]), label, name, terms.shape)
        expect(np.isfinite(terms).all(), label, name, terms)
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
    expect(list(grads) == list(net._shapes), label, list(grads))
    for name, values in grads.items():
        expect(values.shape == net._shapes[name] and values.dtype == net.dtype, label, name)
        expect(np.isfinite(values).all(), label, name, values)
        expect(values.flags.writeable and not np.shares_memory(values, net._flat), label, name)


def slopes(r, net):
    """vjp"""
    bad = r.random() < 0.4
    data = Data(r, net, bad)
    arguments = dict(data.arguments)
    every = net.readout == "all"
    shape = (data.B, data.T, net._outputs) if every else (data.B, net._outputs)
    dy = numbers(r, shape[:-1] if shape[-1] == 1 and r.random() < 0.5 else shape)
    arguments["dy"] = data.per_output(dy)
    if bad and r.random() < 0.5:
        arguments["dy"] = spoil(r, dy)
    h0, _ = data.state(bad)
    if h0 is not None:
        arguments["h0"] = h0
    arguments |= data.threads(bad) | gradient_options(r, bad)
    result, fine, label = attempt(net, "vjp", net.vjp, arguments)
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
    for k, part in enumerate(dh0 if net._form.states == 2 else (dh0,)):
        shape = (data.B, net._form.state_rows, net.hidden_size)
        if h0 is not None:
            shape = np.shape(h0.means[k] if net._form.states == 2 else h0.means)
        expect(part.shape == shape and np.isfinite(part).all(), label, "dh0", part, shape)


def streams(r, net):
    """step, run_stream"""
    bad, form, D, K = r.random() < 0.4, net._form, net.input_size, net._outputs
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
    label_x = "x" if name == "run_stream" else "x_t"
    arguments = {label_x: value}
    H, rows = net.hidden_size, form.state_rows
    states = [numbers(r, (*count, rows, H)) for _ in range(form.states)]
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
        out_y = np.full(y_shape, 7, net.dtype)
        out_state = tuple(np.full((*count, rows, H), 7, net.dtype) for _ in range(form.states))
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
            what = r.randrange(5)
            if what == 0:
                out = (spoil(r, out_y).given, out[1])
            elif what == 1:
                out = (out[0], spoil(r, out_state[0]).given)
            elif what == 2:
                out = (out[0], (out_state[0], out_state[0]))
            elif what == 3:
                out = (out_y[::-1] if out_y.ndim else out_y, out[1])
            else:
                out = rubbish(r).given
            arguments["out"] = Value(out, UNKNOWN)
    if bad and r.random() < 0.5:
        arguments[label_x] = spoil(r, x) if r.random() < 0.6 else rubbish(r)
    if bad and r.random() < 0.1:
        arguments["state"] = rubbish(r)
    ambiguous = tokens or value.means.dtype.kind in "iu"
    if form.width != H or (name == "step" and ambiguous and leading == (D,) and not has_state):
        arguments[label_x] = Value(arguments[label_x].given, UNKNOWN)
    result, fine, label = attempt(net, name, getattr(net, name), arguments)
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
    readout, net._config["readout"] = net._config["readout"], "all"
    try:
        ys, _, finals = reference.forward(net, p, [(s, ever) for s in steps], h0)
    finally:
        net._config["readout"] = readout
    close(label, net, np.reshape(y, (-1, K)), np.concatenate(ys), "y")
    for k, part in enumerate(state):
        wanted = [f[k] if form.states == 2 else f for f in finals]
        close(label, net, np.reshape(part, np.shape(wanted)), wanted, "state")


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
    sparse = net.readout == "all" or net.config["loss"] == "cross_entropy"
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
    kept = net._flat.copy()
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
    expect(np.isfinite(net._flat).all(), "fit", "parameters", net._flat)
    if fine:
        expect(0 < len(result) <= max(3, len(result) and 3), label, len(result))
        expect(np.isfinite(result.loss).all(), label, result.loss)
        repr(result), result.to_dict()
    if np.abs(net._flat).max() > 3:
        net.load_state_dict(dict(zip(net._shapes, views(kept, net), strict=True)))


def views(flat, net):
    at = 0
    for shape in net._shapes.values():
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


def state_dicts(r, net):
    """load_state_dict"""
    bad = r.random() < 0.5
    state = {name: dress(r, numbers(r, shape)) for name, shape in net._shapes.items()}
    if bad:
        name = r.choice(list(state))
        state[name] = spoil(r, np.zeros(net._shapes[name])) if r.random() < 0.7 else rubbish(r)
        if r.random() < 0.2:
            state[r.choice(["extra", 3, None])] = rubbish(r)
        if r.random() < 0.2:
            state.pop(name)
    given = {name: value.given for name, value in state.items()}
    if bad and r.random() < 0.1:
        given = r.choice(RUBBISH)()
    elif bad and r.random() < 0.1:
        given = BrokenMapping(given)
    fine = not bad
    _, done, label = attempt(
        net,
        "load_state_dict",
        net.load_state_dict,
        {"state_dict": Value(given, fine or UNKNOWN)},
        changes=True,
    )
    if fine and done:
        for name, values in net.state_dict().items():
            close(label, net, values, state[name].means, name)
    expect(np.isfinite(net._flat).all(), label, "parameters", net._flat)
    if not np.abs(net._flat).max() < 3:
        net.load_state_dict({name: numbers(r, s) for name, s in net._shapes.items()})


def no_path(r):
    """Rubbish that is not the name of a file."""
    while isinstance(given := r.choice(RUBBISH)(), str | bytes):
        pass
    return given


def folder(kept=[]):  # noqa: B006
    if not kept:
        kept.append(tempfile.mkdtemp(prefix="rnncore-fuzz-"))
    return kept[0]


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
    expect(again._flat.tobytes() == net._flat.tobytes(), label, "parameters")
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
    if net._flat.size > 10_000 or (net.config.get("skip") or 0) > 1000:
        return None
    expect(np.isfinite(net._flat).all(), kind, "parameters", net._flat)
    return net if np.abs(net._flat).max() < 4 else None


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
