"""Which cases a plain run leaves out.

Tests of the core run on every build and in both precisions. For a function with many cases that
product is most of the time of all tests, and hardly any mistake shows in one case on one build in
one precision only. So a plain run takes every case of such a function once, and deals the cases
out to the builds and precisions; ``-m exhaustive`` runs what is left out.
"""

from collections import Counter, defaultdict
from dataclasses import fields, is_dataclass

import pytest

#: The parameters whose product is thinned.
CROSSED = ("build", "dtype")

#: A function with fewer cases than this runs all of them on every build, in both precisions.
MANY = 24

#: Where a session keeps all that was collected, for the test that counts what is left out.
COLLECTED = pytest.StashKey[list[pytest.Item]]()


def left_out(items):
    """The items that a plain run does without.

    Which build and precision a case gets is decided by the cases before it: those on which the
    values of its options have been the least. So every value of an option (a cell, a loss, a
    number of layers) meets every build and precision as evenly as the number of cases allows.
    """
    functions = defaultdict(lambda: defaultdict(dict))
    for item in items:
        if "build" in params(item):
            functions[function(item)][case(item)][crossing(item)] = item
    for cases in functions.values():
        if len(cases) >= MANY:
            yield from thinned(cases.values())


def share(text):
    """(k, n) of "k/n", the k-th of n shares."""
    k, n = map(int, text.split("/"))
    if not 1 <= k <= n:
        raise ValueError(text)
    return k, n


def other_shares(items, k, n):
    """The exhaustive items that are not in share k of n. A case is in one share with all builds and
    precisions, for which the oracle is asked once."""
    left = [item for item in items if item.get_closest_marker("exhaustive")]
    number = {}
    for item in left:
        number.setdefault((function(item), case(item)), len(number))
    return [item for item in left if number[function(item), case(item)] % n != k - 1]


def thinned(cases):
    """Of each case, as {crossing: item}, all items but one."""
    met = Counter()
    for items in cases:
        values = options(next(iter(items.values())))
        least = min(items, key=lambda on: (sum(met[on, v] for v in values), met[on]))
        met.update([least, *((least, v) for v in values)])
        yield from (item for on, item in items.items() if on != least)


def function(item):
    return item.nodeid.split("[")[0]


def params(item):
    return item.callspec.params if hasattr(item, "callspec") else {}


def crossing(item):
    """The build and the precision that an item runs with, as far as it has them."""
    return tuple(params(item)[name] for name in CROSSED if name in params(item))


def case(item):
    """What tells an item from others of its function, beside build and precision."""
    return tuple((k, id(v)) for k, v in params(item).items() if k not in CROSSED)


def options(item):
    """The values that make a case, by name: those of a `Case` or a dictionary one by one."""
    found = {}
    for name, value in params(item).items():
        if is_dataclass(value):
            found |= {field.name: getattr(value, field.name) for field in fields(value)}
        elif isinstance(value, dict):
            found |= value
        elif name not in CROSSED:
            found[name] = value
    return [(name, repr(value)) for name, value in found.items()]
