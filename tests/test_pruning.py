"""net.prune: what is left does what the whole does without what the units give to others."""

import copy

import numpy as np
import pytest
from crossed.draw import draw
from refusals import unchanged
from states import parts

import rnncore as rc


def silenced(net, units):
    """A copy in which nothing reads these units."""
    quiet, H = copy.deepcopy(net), net.hidden_size
    p, names = quiet.parameters(), list(units)
    directions = 2 if net.config["bidirectional"] else 1
    for k, name in enumerate(names):
        p[f"weight_hh_{name}"][..., units[name]] = 0
        if f"weight_skip_{name}" in p:
            p[f"weight_skip_{name}"][:, units[name]] = 0
        columns = [k % directions * H + unit for unit in units[name]]
        layer = k // directions + 1
        for reader in (f"weight_ih_l{layer}", f"weight_ih_l{layer}_reverse"):
            if reader in p:
                p[reader][:, columns] = 0
        if k // directions == net.config["num_layers"] - 1 and "head.weight" in p:
            p["head.weight"][:, columns] = 0
    return quiet


@pytest.mark.parametrize("number", range(120))
def test_with_all_options_crossed(build, dtype, number):
    example = draw(number)
    net, rng = example.network(dtype), np.random.default_rng(number)
    H, spec = net.hidden_size, net._model.spec
    if H == 1:
        return
    directions = ("", "_reverse")[: spec.directions]
    names = [f"l{k}{d}" for k in range(net.config["num_layers"]) for d in directions]
    count = rng.integers(0, H)
    units = {name: rng.choice(H, count, replace=False) for name in names}
    kept = {name: np.setdiff1d(np.arange(H), gone) for name, gone in units.items()}
    small = net.prune(units if len(names) > 1 or number % 2 else units["l0"])
    assert type(small) is type(net)
    assert small.config == net.config | {"hidden_size": H - count}
    assert not np.shares_memory(small.flat, net.flat)
    x, options = example.arguments(dtype)
    wide, narrow = silenced(net, units)(x, **options), None
    if "h0" in options:
        cut = []
        for part in parts(options["h0"]):
            rows = part.reshape(len(part), len(names), -1, H)
            rows = [rows[:, k][..., kept[name]] for k, name in enumerate(names)]
            cut.append(np.stack(rows, axis=1).reshape(len(part), -1, H - count))
        options["h0"] = tuple(cut) if spec.states == 2 else cut[0]
    narrow = small(x, **options)
    limit = 1e-12 if dtype == "float64" else 2e-5
    last = [kept[name] + k * H for k, name in enumerate(names[-spec.directions :])]
    hidden = wide.hidden[..., np.concatenate(last)]
    scale = max(1, np.abs(wide.hidden).max())
    assert np.abs(narrow.hidden - hidden).max() <= limit * scale
    if net.output_size is not None:
        assert np.abs(narrow.y - wide.y).max() <= limit * max(1, np.abs(wide.y).max())


class Derived(rc.GRU):
    def __init__(self):
        super().__init__(2, 3, 1, seed=0)


def test_the_network_stays_and_its_class_too():
    net = Derived()
    net.note = "kept"
    before = net.flat.copy()
    small = net.prune([1])
    assert type(small) is Derived
    assert small.note == "kept"
    assert (net.flat == before).all()
    small.flat[:] = 0
    assert (net.flat == before).all()
    assert (net.prune([]).flat == before).all()
    assert small.hidden_size == 2
    assert net.prune(np.array([2, 0])).hidden_size == 1


@pytest.mark.parametrize(
    ("units", "error", "text"),
    [
        ([3], ValueError, "units: expected units from 0 to 2, got 3 at [0]"),
        ([-1], ValueError, "units: expected units from 0 to 2, got -1 at [0]"),
        ([1, 1], ValueError, "units: expected each unit once, got [1, 1]"),
        ([0, 1, 2], ValueError, "units: expected at least one unit to be left, got all 3"),
        (1, TypeError, "units: expected a sequence of integers, got () of int64"),
        ([1.0], TypeError, "units: expected a sequence of integers, got (1,) of float64"),
        (
            [True, False, True],
            TypeError,
            "units: expected a sequence of integers, got (3,) of bool",
        ),
        ({"l1": [0]}, ValueError, "units: expected an entry for each of l0, got l1"),
        ("a", TypeError, "units: expected real numbers"),
    ],
)
def test_bad_units(units, error, text):
    net = rc.GRU(2, 3, 1, seed=0)
    unchanged(net, lambda: net.prune(units), error, text)


@pytest.mark.parametrize(
    ("units", "error", "text"),
    [
        ([0], TypeError, "units: expected a dict with the units of l0, l0_reverse, l1, l1_reverse"),
        ({"l0": [0]}, ValueError, "units: expected an entry for each of l0, l0_reverse, l1, l1_"),
        ({"l0": [0], "l0_reverse": [0], "l1": [0], "l1_reverse": [0, 1]}, ValueError,
         "units: expected as many of every layer and direction, got 1 of l0, 1 of l0_reverse, 1 of "
         "l1, 2"),
        ({"l0": [0], "l0_reverse": [0], "l1": [0], "l1_reverse": [9]}, ValueError,
         "units['l1_reverse']: expected units from 0 to 2, got 9"),
    ],
)  # fmt: skip
def test_bad_units_of_a_stack(units, error, text):
    net = rc.GRU(2, 3, 1, num_layers=2, bidirectional=True, seed=0)
    unchanged(net, lambda: net.prune(units), error, text)
