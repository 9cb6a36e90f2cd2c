"""Populations, and what may be wrong with their options."""

from __future__ import annotations

import warnings

import numpy as np

import rnncore as rc
from fuzz.fits import ALL_FIT_OPTIONS, FIT_OPTIONS, bad_fit_option
from fuzz.promises import attempt, expect
from fuzz.sequences import Data
from fuzz.strategies import RUBBISH, UNKNOWN, Raised, Value, rubbish

#: Options that may differ from member to member.
EACH = ("lr", "momentum", "alpha", "eps", "clip_norm", "clip_value", "weight_decay", "l1",
        "activation", "batch_size")  # fmt: skip


def populations(r, net):
    """rc.Population, and its fit"""
    bad = r.random() < 0.5
    members = r.choice([1, 2, 3, 9, 17])
    arguments = {
        "kind": Value(type(net), True), "members": Value(members, True),
        **{name: Value(value, True) for name, value in net.config.items()},
        "seed": Value(r.choice([None, 0, list(range(members))]), True),
    }  # fmt: skip
    if bad and r.random() < 0.3:
        name = r.choice(["members", "seed", "kind", "hidden_size"])
        arguments[name] = rubbish(r) if r.random() < 0.7 else Value(r.choice([0, [1]]), UNKNOWN)
    if isinstance(arguments["members"].given, int) and arguments["members"].given > 100:
        return
    pop, fine, _ = attempt(None, "Population", rc.Population, arguments, also=(Raised,))
    if fine and len(pop) == members:
        training(r, net, pop, bad)


def training(r, net, pop, bad):
    data = Data(r, net, bad and r.random() < 0.3)
    arguments = dict(data.arguments)
    arguments["y"], _ = data.targets(bad and r.random() < 0.3)
    arguments["epochs"] = Value(r.choice([1, 2, 3]), True)
    for _ in range(r.choice([0, 1, 2, 3])):
        name, choices = r.choice(FIT_OPTIONS)
        value = r.choice(choices)
        if name in EACH and isinstance(value, int | float) and r.random() < 0.5:
            value = [value] * len(pop)
        arguments[name] = Value(value, True)
    sequences = list(range(data.B))
    arguments["train"] = Value(
        r.choice([None, sequences, np.array(sequences), [sequences] * len(pop),
                  np.ones(data.B, bool), np.ones((len(pop), data.B), bool)]),
        True,
    )  # fmt: skip
    if r.random() < 0.3:
        arguments["validation"] = Value(r.choice([sequences, [[0]] * len(pop)]), UNKNOWN)
        arguments["patience"] = Value(r.choice([1, 2]), True)
    if bad:
        name = r.choice([*ALL_FIT_OPTIONS, ("train",), ("validation",)])[0]
        if name == "callback":
            return
        arguments[name] = bad_option(r, net, name, len(pop))
    if data.net.config["loss"] in (None, "cross_entropy"):  # where no target may count
        arguments["y"] = Value(arguments["y"].given, UNKNOWN)
    epochs = arguments["epochs"].given
    if isinstance(epochs, int | np.integer) and not isinstance(epochs, bool) and epochs > 3:
        return
    before = pop.flat.copy()

    def fit(**given):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of members that diverge
            return pop.fit(**given)

    also = (Raised, OSError, RuntimeError)
    result, fine, label = attempt(None, "Population.fit", fit, arguments, also)
    expect(np.isfinite(pop.flat).all(), label, pop.flat)
    if not fine:
        expect((pop.flat == before).all(), label, "changed the population")
        return
    expect(result.loss.shape == (len(result), len(pop)), label, result.loss.shape)
    expect((result.epochs[result.stopped != "diverged"] > 0).all(), label, result.epochs)
    expect(np.isfinite(pop[0].flat).all(), label)
    repr(result), result.to_dict()


def bad_option(r, net, name, members):
    if name in ("train", "validation") or r.random() < 0.3:
        return Value(
            r.choice([[], [0, -1], [[0]] * (members + 1), [0.5], np.zeros((members, 0), int),
                      [True], ["a"], [[0], [None]], {}, r.choice(RUBBISH)(), 0.5,
                      np.zeros((1, 1, 1, 1)), [1.0] * (members + 1), [np.nan] * members]),
            UNKNOWN,
        )  # fmt: skip
    return bad_fit_option(r, net, name)
