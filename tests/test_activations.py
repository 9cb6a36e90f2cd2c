"""exp, log, tanh and the logistic function of every build, in units in the last place."""

import numpy as np
import pytest
from rnncore._runtime import builds as _builds

# The largest error of each, over all its arguments. 2 ulp is the promise for tanh and logistic.
LIMITS = {
    "tanh": 2.0,
    "logistic": 2.0,
    "exp": 1.0,
    "log": 2.0,
    "log1p": 2.0,
    "dtanh": 3.0,
    "dlogistic": 3.0,
}


def logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


TRUTH = {
    "tanh": np.tanh,
    "logistic": logistic,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "dtanh": lambda x: 4 * (e := np.exp(-2 * np.abs(x))) / (1 + e) ** 2,
    "dlogistic": lambda x: (e := np.exp(-np.abs(x))) / (1 + e) ** 2,
}
SLOPES = ("dtanh", "dlogistic")


def evaluate(name, x):
    out = np.empty_like(x)
    _builds.core(x.dtype.name).evaluate(name, x, out)
    return out


def errors(name, x, wide):
    """Errors in ulp of the true value, which is computed in the wider type."""
    with np.errstate(over="ignore", under="ignore"):
        truth = TRUTH[name](x.astype(wide))
        rounded = truth.astype(x.dtype)
    got = evaluate(name, x)
    finite = np.isfinite(rounded)
    assert (got[~finite] == rounded[~finite]).all()
    with np.errstate(under="ignore"):
        ulp = np.spacing(np.abs(rounded[finite])).astype(wide)
        return np.abs(got[finite].astype(wide) - truth[finite]) / ulp


def all_floats(first, count, step=1):
    """Finite float32 numbers in increasing order: numbers first.. of all 2 x 0x7f800000."""
    n = np.arange(first, min(first + count, 2 * 0x7F800000), step, dtype=np.int64)
    positive = n >= 0x7F800000
    bits = np.where(positive, n - 0x7F800000, 0x80000000 + 0x7F7FFFFF - n)
    return bits.astype(np.uint32).view(np.float32)


def check_floats(name, step):
    chunk = 1 << 22 if step == 1 else 1 << 30
    last = -np.inf
    for first in range(0, 2 * 0x7F800000, chunk):
        x = all_floats(first, chunk, step)
        assert errors(name, x, np.float64).max() <= LIMITS[name]
        y = evaluate(name, x)
        assert last <= y[0]
        assert (y[1:] >= y[:-1]).all()
        last = y[-1]


@pytest.mark.parametrize("name", ["tanh", "logistic", "exp"])
def test_float32_at_a_stride(build, name):
    check_floats(name, step=9973)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tanh", "logistic"])
def test_every_float32(build, name):
    check_floats(name, step=1)


@pytest.fixture(params=["float32", "float64"])
def arguments(request):
    """A million numbers: near zero on a log scale, where the functions bend, where they end."""
    rng = np.random.default_rng(0)
    n, wide = 250_000, 80 if request.param == "float32" else 700
    x = np.concatenate([
        rng.uniform(-1, 1, n), rng.uniform(-20, 20, n), rng.uniform(-wide, wide, n),
        10.0 ** rng.uniform(-30, 1, n) * rng.choice([-1, 1], n),
    ])  # fmt: skip
    return x.astype(request.param)


@pytest.mark.parametrize("name", list(LIMITS))
def test_a_million_points(build, arguments, name):
    single = arguments.dtype == np.float32
    wide = np.float64 if single else np.longdouble
    if np.finfo(wide).nmant <= np.finfo(arguments.dtype).nmant:
        pytest.skip("no wider type to compare with")
    x = arguments
    if name == "log1p":
        x = np.abs(x[np.abs(x) <= 1])
    elif name == "log":
        x = 1 + np.abs(x)
    elif name in SLOPES:  # where the slope is a normal number
        x = x[np.abs(x) < (40 if single else 350)]
    assert errors(name, x, wide).max() <= LIMITS[name]


@pytest.mark.parametrize("name", ["tanh", "logistic", "exp", "dtanh", "dlogistic"])
def test_special_values(build, dtype, name):
    x = np.array(
        [np.nan, np.inf, -np.inf, 0.0, -0.0, np.finfo(dtype).max, np.finfo(dtype).min], dtype
    )
    y = evaluate(name, x)
    assert np.isnan(y[0])
    assert not np.isnan(y[1:]).any()
    tiny = 1e-37 if dtype == "float32" else 1e-300
    ends = {"tanh": (1, -1), "logistic": (1, 0), "exp": (np.inf, 0)}.get(name, (0, 0))
    assert y[1] == pytest.approx(ends[0], abs=tiny)
    assert y[2] == pytest.approx(ends[1], abs=tiny)
    if name == "tanh":
        assert np.signbit(y[4])
        assert y[3] == 0
        assert (evaluate("tanh", -x[1:]) == -y[1:]).all()


def test_subnormal_results_of_the_logistic_are_not_flushed(build):
    x = np.array([-90.0, -100.0], np.float32)
    assert (evaluate("logistic", x) > 0).all()


def test_a_gate_is_the_logistic_function_where_that_is_normal(build, arguments):
    """Where it is not, the loops flush it to 0: there a gate is anything subnormal."""
    tiny = np.finfo(arguments.dtype).tiny
    x = np.concatenate([arguments, arguments / 80 * (87.4 if arguments.dtype == "f4" else 708.5)])
    for gate, logistic in (("gate", "logistic"), ("dgate", "dlogistic")):
        expected, got = evaluate(logistic, x), evaluate(gate, x)
        normal = expected >= tiny
        assert (got[normal] == expected[normal]).all()
        assert (got[~normal] < tiny).all()
    assert (evaluate("gate", np.array([-1e30, 1e30], x.dtype)) < [tiny, 1.1]).all()


@pytest.mark.parametrize("name", [*LIMITS, "gate", "dgate"])
def test_nan_in_nan_out(build, dtype, name):
    assert np.isnan(evaluate(name, np.array([np.nan, -np.nan], dtype))).all()
