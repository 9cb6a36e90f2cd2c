"""Things to call a network with: right ones in every guise, and wrong ones of every kind.

All of it is drawn from a ``random.Random``. Given hypothesis's, it finds and shrinks; given
Python's own, seeded with a number, it makes thousands of cases a second, each known by its number.
"""

from __future__ import annotations

import tempfile
from typing import Any, NamedTuple

import numpy as np

HUGE = 2**56

#: Whether this process may be asked for gigabytes, because it will not get them.
LIMITED = False


class Value(NamedTuple):
    """What is passed, and the plain thing it stands for: UNKNOWN where it may be refused."""

    given: Any
    means: Any

    @property
    def good(self):
        return self.means is not UNKNOWN


class Unknown:
    def __repr__(self):
        return "UNKNOWN"


UNKNOWN = Unknown()


class Raised(Exception):
    """What functions of the caller's own raise."""


def raising(*_args):
    raise Raised("a function of the caller's")


class Trouble(RuntimeError):
    """What broken objects raise where they are looked at: never to be seen outside."""


def trouble(*_args, **_options):
    raise Trouble("a broken object")


def broken(*names, **others):
    """An object whose special methods of those names raise."""
    return type("Broken", (), dict.fromkeys(names, trouble) | others)()


class BrokenMapping(dict):
    __getitem__ = trouble
    get = items = values = trouble


class BrokenList(list):
    __len__ = trouble


class LyingList(list):
    def __len__(self):
        return 7


class Texts(str):
    """A string of a class of its own."""


class Sub(np.ndarray):
    """An array of a class of its own, which takes nothing from the core's results."""

    def __array_finalize__(self, other):
        self.extra = getattr(other, "extra", 1)


RECORD = np.dtype([("a", "f8"), ("b", "i4")])

#: Makers of things that are no array, number, name, path or function.
RUBBISH = [
    lambda: None,
    lambda: "text",
    lambda: "",
    lambda: Texts("tanh"),
    lambda: "t" * 100_000,
    lambda: "\ud800\0",
    lambda: b"bytes",
    lambda: bytearray(3),
    lambda: memoryview(b"abcdefgh"),
    lambda: (i for i in range(3)),
    lambda: {1, 2},
    lambda: {"x": 1},
    lambda: [],
    lambda: (),
    lambda: [[], []],
    lambda: [None, None],
    lambda: [[1, [2]], 3],
    lambda: object(),
    lambda: object,
    lambda: len,
    lambda: ...,
    lambda: slice(3),
    lambda: range(3),
    lambda: True,
    lambda: np.True_,
    lambda: -1,
    lambda: 0,
    lambda: 1.5,
    lambda: -0.0,
    lambda: float("nan"),
    lambda: float("inf"),
    lambda: -float("inf"),
    lambda: 5e-324,
    lambda: 1e308,
    lambda: 2**31 - 1,
    lambda: 2**31,
    lambda: 2**63 - 1,
    lambda: -(2**63),
    lambda: 2**64,
    lambda: 10**400,
    lambda: 10**5000,
    lambda: -(10**5000),
    lambda: 3 + 4j,
    lambda: np.float16(2),
    lambda: np.longdouble(2),
    lambda: np.longdouble("1e4000"),
    lambda: np.complex64(1),
    lambda: np.int8(-128),
    lambda: np.uint64(2**64 - 1),
    lambda: np.datetime64("2020-01-01"),
    lambda: np.timedelta64("NaT"),
    lambda: np.str_("mse"),
    lambda: np.array(2),
    lambda: np.array(2.0),
    lambda: np.array([]),
    lambda: np.array([None, 1.0]),
    lambda: np.array(["a", "bc"]),
    lambda: np.array(["2020-01-01"], "M8[D]"),
    lambda: np.zeros(2, RECORD),
    lambda: np.zeros((2, 3), "V4"),
    lambda: np.zeros((1,) * 64),
    lambda: np.zeros((0, HUGE)),
    lambda: np.broadcast_to(np.float64(1), (HUGE, 1, 1)),
    lambda: np.broadcast_to(np.float32(1), (1, HUGE, 2)),
    lambda: np.broadcast_to(np.int64(0), (1, HUGE)),
    lambda: np.broadcast_to(np.int8(0), HUGE),
    lambda: np.broadcast_to(False, (2, HUGE)),
    lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    lambda: np.ma.masked,
    lambda: np.matrix([[1.0, 2.0]]),
    lambda: np.random.default_rng(0),
    lambda: np.random.RandomState(0),
    lambda: broken("__array__", "__len__", "__iter__", "__getitem__"),
    lambda: broken("__array__", __len__=lambda _s: 2),
    lambda: broken("__len__", "__getitem__"),
    lambda: broken("__getitem__", __len__=lambda _s: 2),
    lambda: broken("__index__", "__float__", "__int__"),
    lambda: broken("__repr__", "__str__"),
    lambda: broken("__repr__", "__eq__", "__hash__"),
    lambda: broken("__fspath__"),
    lambda: broken(__fspath__=lambda _s: 5),
    lambda: broken(__index__=lambda _s: 1.5, __float__=lambda _s: "1"),
    lambda: broken(__array__=lambda _s, *_a, **_o: [1, 2]),
    lambda: broken(__array__=lambda _s, *_a, **_o: 5),
    lambda: broken("__bool__", "__lt__"),
    lambda: BrokenMapping(x=1, y=2),
    lambda: BrokenList([1, 2]),
    lambda: LyingList([1, 2]),
    lambda: [broken("__float__", "__array__"), 1.0],
    lambda: {1: 2, None: 3},
    lambda: {"weight": 0.1, "": "a"},
    lambda: (1, 2, 3),
    lambda: [0.9, "x"],
    lambda: 0.25,
    lambda: 1,
    lambda: 2,
]


def rubbish(r):
    return Value(r.choice(RUBBISH)(), UNKNOWN)


REALS = ["f4", "f8", "f2", "g", ">f4", ">f8", ">f2"]
WHOLE = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i2", ">i4", ">i8", ">u8", "q", "Q"]


def numbers(r, shape, low=-16, high=16, whole=False):
    """Multiples of 1/8, which every floating-point format has; or whole numbers."""
    size = int(np.prod(shape))
    values = [r.randint(low, high) for _ in range(size)]
    return np.reshape(np.array(values, int) if whole else np.array(values) / 8, shape)


MAPPED: list[Any] = []  # a file, and where in it there is room


def mapped(array):
    """The same in a file that is mapped into memory."""
    if not MAPPED:
        with tempfile.TemporaryFile() as file:
            MAPPED.extend([np.memmap(file, np.uint8, "w+", shape=(1 << 20,)), 0])
    size = array.nbytes
    if MAPPED[1] + size > MAPPED[0].size:
        MAPPED[1] = 0
    result = MAPPED[0][MAPPED[1] : MAPPED[1] + size].view(array.dtype).reshape(array.shape)
    MAPPED[1] += -(-size // 64) * 64
    result[...] = array
    return result


def reversed_axis(r, array):
    axis = r.randrange(array.ndim)
    turned = np.flip(array, axis).copy()
    return np.flip(turned, axis)


def strided(r, array):
    room = np.full([2 * n + 1 for n in array.shape], 99, array.dtype)
    view = room[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def unaligned(_r, array):
    room = np.zeros(array.nbytes + 1, np.uint8)
    view = room[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def read_only(_r, array):
    array = array.copy()
    array.setflags(write=False)
    return array


def moved(r, array):
    """The same with its axes in another order in memory."""
    order = list(range(array.ndim))
    r.shuffle(order)
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


FORMS = [
    lambda r, a: a,
    lambda r, a: a,
    lambda r, a: np.asfortranarray(a),
    reversed_axis,
    strided,
    unaligned,
    read_only,
    moved,
    lambda r, a: mapped(a),
    lambda r, a: a.copy().view(Sub),
    lambda r, a: a.view(np.recarray),
    lambda r, a: a.astype(a.dtype, subok=False)[...],
    lambda r, a: broken(__array__=lambda _s, dtype=None, copy=None: a),
    lambda r, a: np.asmatrix(a) if a.ndim == 2 else a,
]


def dress(r, array, lists=True, plain=0.3):
    """The same numbers in some type, order and class: a Value that means an array of float64 (or
    int64 for integers)."""
    whole = array.dtype.kind in "iu"
    if whole:
        fits = [d for d in WHOLE if np.dtype(d).kind == "i" or array.min(initial=0) >= 0]
        fits = [d for d in fits if array.max(initial=0) <= np.iinfo(d).max]
        dtype = "i8" if r.random() < plain else r.choice(fits)
    else:
        dtype = r.choice(["f4", "f8"]) if r.random() < plain else r.choice(REALS)
    means = array.astype(np.int64 if whole else np.float64)
    given = array.astype(dtype)
    if r.random() < plain or not array.ndim:
        return Value(given, means)
    if lists and r.random() < 0.1:
        given = array.tolist()
        return Value(tuple(given) if r.random() < 0.3 else given, means)
    return Value(r.choice(FORMS)(r, given), means)


BAD_NUMBERS = [
    float("nan"),
    float("inf"),
    -float("inf"),
    1e300,
    -1e300,
    1e38,
    5e-324,
    1e-40,
    1e-300,
    3.4e38,
]
BAD_WHOLE = [-1, -(2**31), 2**31, 2**62, 2**63 - 1, -(2**63), 7, 100]


def spoil(r, array):
    """A Value with something that may be wrong with it: a number, a type or the shape."""
    array = np.array(array)
    what = r.randrange(12)
    if not 1 < what < 9 and array.size:
        whole = array.dtype.kind in "iu"
        at = r.randrange(array.size)
        array = array.astype(np.int64 if whole else np.float64)
        array.flat[at] = r.choice(BAD_WHOLE if whole else BAD_NUMBERS)
        return Value(array, UNKNOWN)
    if what == 2:
        dtypes = ["c8", "c16", "O", "S3", "U3", "M8[s]", "m8[s]", "?", "f2", "i1", "u8", "f8"]
        with np.errstate(all="ignore"):
            return Value(array.astype(r.choice(dtypes)), UNKNOWN)
    if what == 3:
        room = np.zeros(array.shape, [("a", "f8"), ("b", "f4")])
        return Value(room if r.random() < 0.3 else room["a"], UNKNOWN)
    if what == 4:
        mask = np.zeros(array.shape, bool)
        return Value(np.ma.masked_array(array, mask), UNKNOWN)
    if what == 5:
        shape = list(array.shape)
        if shape:
            shape[r.randrange(len(shape))] = r.choice([0, 1, 2, 3, 7, HUGE])
        try:
            return Value(np.broadcast_to(array.dtype.type(0), shape), UNKNOWN)
        except ValueError:  # more than numpy can count
            return Value(np.zeros((0, 1, 1)), UNKNOWN)
    if what == 6:
        return Value(array[None] if r.random() < 0.5 else array[..., None], UNKNOWN)
    if what == 7:
        return Value(array.ravel() if r.random() < 0.5 else array.T, UNKNOWN)
    return rubbish(r)


def maybe(r, share, value, bad=None):
    """`value`, or now and then something else."""
    if r.random() >= share:
        return value
    return rubbish(r) if bad is None or r.random() < 0.5 else bad()
