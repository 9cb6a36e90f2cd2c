"""Streams that learn, many streams at once, and generation, with input in every form."""

from __future__ import annotations

import copy

import numpy as np

from fuzz.promises import Find, attempt, close, expect, good
from fuzz.steps import OPTIONS
from fuzz.strategies import UNKNOWN, Raised, Value, dress, numbers, raising, rubbish, spoil

#: What is wrong for a count of things that memory is taken for.
NO_COUNTS = [0, -1, 1.5, True, None, "a", [], np.nan, 2**63 - 1, 2**64, 10**400, np.float64(2)]
ONLINE = [(name, choices) for name, choices in OPTIONS if name in ("optimizer", "clip_norm", "l1",
                                                                    "freeze")]  # fmt: skip


def no_count(r):
    return Value(r.choice(NO_COUNTS), UNKNOWN)


def one_step(r, net):
    """x_t of one stream."""
    D = net.input_size
    if r.random() < 0.3:
        token = r.randrange(D)
        return Value(r.choice([int, np.int8, np.int64, np.uint64])(token), np.eye(D)[token])
    return dress(r, numbers(r, (D,)))


def state(r, net, lead, bad):
    """The state of some sequences, (*lead, rows, H), as a Value."""
    spec = net._model.spec
    shape = (*lead, spec.state_rows, spec.hidden_size)
    parts = [dress(r, numbers(r, shape)) for _ in range(spec.states)]
    if bad and r.random() < 0.5:
        parts[0] = spoil(r, numbers(r, shape))
    fine = all(part.good for part in parts)
    given = parts[0].given if spec.states == 1 else tuple(part.given for part in parts)
    return Value(given, True if fine else UNKNOWN)


def target(r, net, bad):
    """y_t as a Value."""
    loss, K = net.config["loss"], net._model.spec.outputs
    if bad and r.random() < 0.4:
        return spoil(r, numbers(r, (K,))) if r.random() < 0.5 else rubbish(r)
    if r.random() < 0.2:
        return Value(None, True)
    if loss == "cross_entropy":
        return Value(r.choice([int, np.int16, np.int64])(r.randint(-1, K - 1)), True)
    low, high = (0, 8) if loss == "bce" else (-16, 16)
    return dress(r, numbers(r, (K,), low, high))


def suitable(r, net):
    """A network of the same kind that can learn online."""
    config = net.config | {"num_layers": 1, "bidirectional": False, "dropout": 0.0}
    config |= {"readout": r.choice(["all", "before"]), "loss": net.config["loss"] or "mse"}
    for name, value in (("skip", None), ("reset", "after")):
        if name in config:
            config[name] = value
    return type(net)(**config, seed=0)


def online(r, net):
    """online, and what a learner has: what is refused changes nothing."""
    bad = r.random() < 0.3
    if r.random() < 0.9:
        net = suitable(r, net)
    config = net.config
    suits = config["num_layers"] == 1 and not config["bidirectional"]
    suits &= not config.get("skip") and config.get("reset", "after") == "after"
    suits &= config["readout"] != "last" and config["loss"] is not None
    arguments = {"lr": Value(r.choice([0, 0.001, 1e-30]), True)}
    arguments["method"] = Value(r.choice(["rtrl", "snap1", "eprop", "uoro"]), True)
    arguments["rng"] = Value(r.choice([None, 0, np.uint8(3), np.random.default_rng(1)]), True)
    for name, choices in ONLINE:
        if r.random() < 0.2:
            arguments[name] = Value(r.choice(choices), True)
    if bad:
        name = r.choice([*arguments, "tie", "betas", "clip_value", "weight_decay", "freeze"])
        arguments[name] = rubbish(r)
    if not suits:
        arguments["lr"] = Value(arguments["lr"].given, UNKNOWN)
    learner, fine, label = attempt(net, "online", net.online, arguments)
    expect(suits or not fine, label, "took a network that it cannot learn")
    for _ in range(r.choice([1, 2, 4]) if fine else 0):
        r.choice([learner_step, learner_step, learner_step, learner_state])(r, net, learner)


def learner_step(r, net, learner):
    bad = r.random() < 0.4
    arguments = {"x_t": one_step(r, net), "y_t": target(r, net, bad)}
    if bad and r.random() < 0.5:
        arguments["x_t"] = spoil(r, numbers(r, (net.input_size,)))
    before = learner.state_dict() | learner.gradient | {"y": learner.y}
    flat = net._model.flat.copy()
    try:
        loss, fine, label = attempt(net, "step", learner.step, arguments, changes=True)
    except Find as find:  # squares of numbers, and states of unbounded cells, may overflow
        if not isinstance(find.__cause__, FloatingPointError):
            raise
        loss, fine, label = None, False, "step"
        expect(np.array_equal(net._model.flat, flat), label, "changed the network")
    expect(np.isfinite(net._model.flat).all(), label, "parameters", net._model.flat)
    after = learner.state_dict() | learner.gradient | {"y": learner.y}
    if not fine:
        same = all(np.array_equal(after[name], before[name]) for name in before)
        expect(same, label, "another learner")
        return
    learns = loss is not None
    expect(loss is None or np.isfinite(loss), label, loss)
    expect(after["updates"] == before["updates"] + (learns and learner.lr > 1e-300), label)
    expect(all(np.isfinite(g).all() for g in learner.gradient.values()), label, "gradient")


def learner_state(r, net, learner):
    """reset, load_state_dict, lr and copies."""
    what, bad = r.randrange(4), r.random() < 0.5
    if what == 0:
        given = state(r, net, (), bad) if r.random() < 0.7 else Value(None, True)
        attempt(net, "reset", learner.reset, {"state": given})
    elif what == 1:
        entries = learner.state_dict()
        if bad:
            name = r.choice(list(entries))
            spoils = isinstance(entries[name], np.ndarray) and r.random() < 0.5
            entries[name] = (spoil(r, entries[name]) if spoils else rubbish(r)).given
        before = learner.state_dict()
        _, fine, label = attempt(
            net, "load_state_dict", learner.load_state_dict,
            {"state_dict": Value(entries, UNKNOWN if bad else True)},
        )  # fmt: skip
        after = learner.state_dict()
        same = all(np.array_equal(after[name], before[name]) for name in before)
        expect(fine or same, label, "another learner")
    elif what == 2:
        given = rubbish(r) if bad else Value(0.001, True)
        attempt(net, "lr", lambda lr: setattr(learner, "lr", lr), {"lr": given})
        learner.lr = 0.001
    else:
        other = copy.deepcopy(learner)
        expect(other.net is not net, "copy", "shares the network")


def many_streams(r, net):
    """streams, and what they have."""
    n, bad = r.choice([1, 2, 3, 9]), r.random() < 0.4
    given = no_count(r) if bad and r.random() < 0.3 else Value(n, True)
    if net.config["bidirectional"]:
        given = Value(given.given, UNKNOWN)
    streams, fine, label = attempt(net, "streams", net.streams, {"n": given})
    if not fine or len(streams) != n:
        expect(not fine or len(streams) == given.given, label, "another number")
        return
    D, K, spec = net.input_size, net._model.spec.outputs, net._model.spec
    for _ in range(r.choice([1, 2, 3])):
        before = streams.state
        tokens = r.random() < 0.3
        x = numbers(r, (n,), 0, D - 1, True) if tokens else numbers(r, (n, D))
        arguments = {"x_t": dress(r, x)}
        if r.random() < 0.3:
            arguments["out"] = Value(np.full((n, K), 7, net.dtype), True)
        if bad:
            name = r.choice(["x_t", "out"])
            what = x if name == "x_t" else np.zeros((n, K), net.dtype)
            arguments[name] = spoil(r, what) if r.random() < 0.6 else rubbish(r)
        if n == 1 and arguments["x_t"].good:  # one number of a stream may be a token
            arguments["x_t"] = Value(arguments["x_t"].given, UNKNOWN)
        y, fine, label = attempt(net, "step", streams.step, arguments)
        after = streams.state
        if not fine:
            expect(same_states(before, after), label, "another state")
        elif good(arguments):
            given = np.eye(D)[x] if tokens and D > 1 else x.reshape(n, D).astype(float)
            expected, final = net.step(given, before)
            close(label, net, y, expected, "y")
            pairs = zip(parts_of(after), parts_of(final), strict=True)
            for got, wanted in pairs:
                close(label, net, got, wanted, "state")
    chosen = Value(r.choice([0, [0], np.ones(n, bool), [], None]), True)
    attempt(net, "reset", streams.reset, {"which": rubbish(r) if bad else chosen})
    before, given = streams.state, state(r, net, (n,), bad)
    _, fine, label = attempt(
        net, "state", lambda state: setattr(streams, "state", state), {"state": given}
    )
    expect(fine or same_states(before, streams.state), label, "another state")
    repr(streams), spec.states


def parts_of(state):
    return state if isinstance(state, tuple) else (state,)


def same_states(one, other):
    return all(map(np.array_equal, parts_of(one), parts_of(other)))


def generation(r, net):
    """generate"""
    D, K, config, bad = net.input_size, net._model.spec.outputs, net.config, r.random() < 0.4
    single, B, T = r.random() < 0.5, r.choice([1, 2, 3]), r.choice([1, 2, 4])
    shape = (T,) if single else (B, T)
    tokens = r.random() < 0.4
    x = numbers(r, shape, 0, D - 1, True) if tokens else numbers(r, (*shape, D))
    classes = config["loss"] == "cross_entropy"
    steps = r.choice([1, 2, 5])
    arguments = {"start": dress(r, x, lists=False), "steps": Value(steps, True)}
    if classes:
        arguments["sample"] = Value(
            r.choice(["argmax", "softmax", None, lambda y, t: np.zeros(np.shape(y)[:-1], int)]),
            True,
        )
        arguments["temperature"] = Value(r.choice([1, 0.5, 1e-30, 1e30]), True)
    count = 1 if single else B
    arguments["rng"] = Value(r.choice([None, 0, list(range(count))]), True)
    if r.random() < 0.3:
        arguments["h0"] = state(r, net, () if single else (B,), bad)
    lead = () if single else (B,)
    if D != K or config["loss"] not in (None, "mse", "cross_entropy") or r.random() < 0.2:
        arguments["feedback"] = Value(lambda y, t: np.zeros((*lead, D)), True)
    also = []
    if bad:
        name = r.choice(["start", "start", "steps", "sample", "temperature", "rng", "feedback"])
        if name == "start":
            arguments[name] = spoil(r, x) if r.random() < 0.6 else rubbish(r)
        elif name == "steps":
            arguments[name] = no_count(r)
        elif name in ("sample", "feedback") and r.random() < 0.6:
            given = r.choice([raising, lambda y, t: None, lambda y, t: np.nan, lambda y, t: y * 9,
                              lambda y, t: 2**62, lambda y, t: "a"])  # fmt: skip
            arguments[name], also = Value(given, UNKNOWN), [Raised]
        else:
            arguments[name] = rubbish(r)
    doubtful = config["bidirectional"] or config["readout"] == "before"
    unbounded = config.get("nonlinearity") in ("relu", "identity")
    numeric = tokens and not single and "feedback" not in arguments and not classes
    if doubtful or unbounded or numeric or (tokens and D in (1, *shape)):
        arguments["start"] = Value(arguments["start"].given, UNKNOWN)
    result, fine, label = attempt(net, "generate", net.generate, arguments, tuple(also))
    if not fine or not good(arguments):
        return
    values = result.values
    expect(values.shape[: len(lead) + 1] == (*lead, steps), label, values.shape)
    expect(np.isfinite(values).all(), label, values)
