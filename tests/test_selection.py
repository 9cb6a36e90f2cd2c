"""A plain run leaves out cases, but no build, no precision, no cell and no value of an option."""

from itertools import product
from types import SimpleNamespace

import pytest
import selection
from cases import Case
from selection import COLLECTED, MANY, case, crossing, function, left_out, options, params

BUILDS, DTYPES, CELLS = ("v4", "v3", "base"), ("float32", "float64"), ("RNN", "LSTM", "GRU")
CASES = [
    Case(cell, layers=layers, bidirectional=both, readout=readout)
    for cell, layers, both, readout in product(CELLS, (1, 2), (False, True), ("last", "all"))
]


def items_of(name="test_x", **lists):
    """The items of a test function with these parameters."""
    return [
        SimpleNamespace(
            nodeid=f"tests/test_some.py::{name}[{n}]",
            callspec=SimpleNamespace(params=dict(zip(lists, values, strict=True))),
        )
        for n, values in enumerate(product(*lists.values()))
    ]


def met_by(items):
    """What a set of items tries: builds and precisions, alone and with each cell, and options."""
    met = set()
    for item in items:
        values = dict(options(item))
        cell = values.get("cell", values.get("kind"))
        met |= {("option", *pair) for pair in values.items()}
        met |= {(on, cell) for on in (*crossing(item), crossing(item), "any")}
    return met


def kept_of(items):
    dropped = {id(item) for item in left_out(items)}
    return [item for item in items if id(item) not in dropped]


def test_every_case_is_kept_once():
    items = items_of(build=BUILDS, dtype=DTYPES, case=CASES)
    kept = kept_of(items)
    assert sorted(map(case, kept)) == sorted({case(item) for item in items})


def test_every_option_meets_every_build_in_both_precisions():
    kept = kept_of(items_of(build=BUILDS, dtype=DTYPES, case=CASES))
    for option in {pair for item in kept for pair in options(item)}:
        assert len({crossing(item) for item in kept if option in options(item)}) == 6, option


def test_the_choice_is_the_same_every_time():
    chosen = [
        [item.nodeid for item in kept_of(items_of(build=BUILDS, dtype=DTYPES, case=CASES))]
        for _ in range(2)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    "lists",
    [
        {"build": BUILDS, "dtype": DTYPES, "case": CASES[: MANY - 1]},
        {"build": BUILDS, "dtype": DTYPES},
        {"dtype": DTYPES, "case": CASES * 2},
        {"build": BUILDS[:1], "case": CASES},
        {"case": CASES},
    ],
    ids=["few", "no cases", "no build", "one build", "neither"],
)
def test_others_are_kept_whole(lists):
    assert not list(left_out(items_of(**lists)))


def test_one_item_asked_for_by_its_name_is_run():
    (item, *_) = items_of(build=BUILDS, dtype=DTYPES, case=CASES)
    assert not list(left_out([item]))


def test_shares_are_the_whole():
    """Every exhaustive item is in one share, with those of its case; others are in all."""
    items = [
        SimpleNamespace(**vars(item), get_closest_marker=lambda _, i=i: i % 3 or None)
        for i, item in enumerate(items_of(build=BUILDS, dtype=DTYPES, case=CASES))
    ]
    seen = {}
    for k in range(1, 5):
        dropped = {id(item) for item in selection.other_shares(items, k, 4)}
        for item in items:
            if id(item) not in dropped:
                seen.setdefault(id(item), []).append(k)
    assert all(len(seen[id(item)]) == (1 if i % 3 else 4) for i, item in enumerate(items))
    of_case = {}
    for item in items[1:]:
        if item.get_closest_marker("exhaustive"):
            of_case.setdefault(case(item), set()).update(seen[id(item)])
    assert all(len(shares) == 1 for shares in of_case.values())
    assert selection.share("2/4") == (2, 4)
    for wrong in ("0/4", "5/4", "a/4"):
        with pytest.raises(ValueError, match=r"0/4|5/4|'a'"):
            selection.share(wrong)


def test_what_this_run_leaves_out_is_met_elsewhere(request):
    """Of every function that was collected together with this test."""
    functions = {}
    for item in request.config.stash[COLLECTED]:
        functions.setdefault(function(item), []).append(item)
    thinned = 0
    for name, items in functions.items():
        kept = [item for item in items if item.get_closest_marker("exhaustive") is None]
        assert met_by(kept) == met_by(items), name
        if len(kept) < len(items) and "build" in params(items[0]):
            thinned += 1
            assert {case(item) for item in kept} == {case(item) for item in items}, name
    if "tests/test_gradients.py::test_vjp_equals_the_oracle" in functions:
        assert thinned > 0
