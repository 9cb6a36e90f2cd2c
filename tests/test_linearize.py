"""`linearize` and `vjp`: gradients of outputs, of states at every step and of final states."""

import re
import threading

import numpy as np
import pytest
from states import parts

import rnncore as rc

KINDS = ("RNN", "LSTM", "GRU", "MGU")


def drawn_network(rng):
    kind = str(rng.choice(KINDS))
    options = {
        "num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2)),
        "bias": bool(rng.integers(2)), "readout": str(rng.choice(["last", "all"])),
        "trainable_h0": bool(rng.integers(2)), "seed": int(rng.integers(1000)),
    }  # fmt: skip
    if kind == "RNN":
        options["nonlinearity"] = str(rng.choice(["tanh", "sigmoid", "identity"]))
        if rng.integers(2):
            options |= {"skip": int(rng.integers(2, 4)), "trainable_h0": False}
    if options["num_layers"] > 1 and rng.integers(2):
        options["dropout"] = 0.4
    outputs = None if rng.integers(3) == 0 else int(rng.integers(1, 4))
    hidden = int(rng.choice([1, 2, 3, 5, 17]))
    dtype = "float32" if rng.integers(4) == 0 else "float64"
    return getattr(rc, kind)(int(rng.integers(1, 4)), hidden, outputs, dtype=dtype, **options)


def drawn_input(rng, net):
    batch, time = int(rng.choice([1, 2, 3, 9, 40])), int(rng.choice([1, 2, 5, 12]))
    D, form, options = net.input_size, str(rng.choice(["array", "lengths", "mask", "list"])), {}
    x = rng.normal(size=(batch, time, D))
    if form == "list":
        x = [rng.normal(size=(int(rng.integers(1, time + 1)), D)) for _ in range(batch)]
    elif rng.integers(5) == 0:
        x = rng.integers(0, D, (batch, time))
    if form == "lengths":
        options["lengths"] = rng.integers(1, time + 1, batch)
    if form == "mask":
        options["mask"] = rng.integers(0, 2, (batch, time)).astype(bool)
    if rng.integers(3) == 0:
        options["h0"] = like(rng, net(x, **options).final)
    return x, options


def like(rng, values):
    if isinstance(values, tuple | list):
        return tuple(like(rng, part) for part in values)
    return rng.normal(size=values.shape)


def inner(a, b):
    if isinstance(a, tuple | list):
        return sum(inner(p, q) for p, q in zip(a, b, strict=True))
    return float(np.vdot(np.asarray(a, float), np.asarray(b, float)))


def moved(values, by, along):
    if isinstance(values, tuple | list):
        return type(values)(moved(v, by, w) for v, w in zip(values, along, strict=True))
    return values + by * along


def same(a, b):
    if a is None or b is None:
        return a is b
    if isinstance(a, tuple | list):
        return all(same(p, q) for p, q in zip(a, b, strict=True))
    return a.tobytes() == b.tobytes()


def drawn_upstream(rng, out):
    """Gradients of some of y, hidden and final, at least of one."""
    which = int(rng.integers(1, 8))
    names = {"dy": out.y, "dhidden": out.hidden, "dfinal": out.final}
    return {name: like(rng, v) for k, (name, v) in enumerate(names.items()) if which >> k & 1}


def weighed(out, upstream):
    of = {"dy": out.y, "dhidden": out.hidden, "dfinal": out.final}
    return sum(inner(of[name], weights) for name, weights in upstream.items())


@pytest.mark.parametrize("seed", range(150))
def test_a_pull_has_the_bits_of_vjp(build, seed):
    rng = np.random.default_rng(seed)
    net = drawn_network(rng)
    x, options = drawn_input(rng, net)
    drop = 7 if rng.integers(2) else None
    plain = net(x, **options)
    out, pull = net.linearize(x, rng=drop, **options)
    if drop is None:
        assert same(tuple(out), tuple(plain))
    without, _ = net.linearize(x, rng=drop, hidden=False, **options)
    assert without.hidden is None
    assert same((without.y, without.final), (out.y, out.final))
    upstream = drawn_upstream(rng, plain)
    expected = net.vjp(x, **upstream, rng=drop, **options)
    pull(dfinal=like(rng, plain.final), params=False, dx=False)  # leaves no trace
    grads, dx, dh0 = pull(**upstream)
    assert same(list(grads.values()), list(expected[0].values()))
    assert same(dx, expected[1])
    assert same(dh0, expected[2])
    without, same_dx, same_dh0 = pull(**upstream, params=False)
    assert without is None
    assert same((same_dx, same_dh0), (dx, dh0))


class Other(np.ndarray):
    """An array that is not numpy's own: calls with it take the way through all checks."""


def other(values):
    if isinstance(values, tuple):
        return tuple(other(part) for part in values)
    return values if values is None else values.view(Other)


@pytest.mark.parametrize("seed", range(100))
def test_calls_that_need_no_conversion_have_the_bits_of_others(build, seed):
    rng = np.random.default_rng([seed, 1])
    net = drawn_network(rng)
    batch, time = int(rng.choice([1, 2, 3, 9, 40])), int(rng.choice([1, 2, 5, 12]))
    x, options = rng.normal(size=(batch, time, net.input_size)).astype(net.dtype), {}
    if rng.integers(2):
        options["lengths"] = rng.integers(1, time + 1, batch)
    if rng.integers(2):
        h0 = like(rng, net(x).final)
        cast = [part.astype(net.dtype) for part in parts(h0)]
        options["h0"] = tuple(cast) if isinstance(h0, tuple) else cast[0]
    hidden = bool(rng.integers(2))
    out, pull = net.linearize(x, **options, hidden=hidden)
    rest = {name: other(values) for name, values in options.items()}
    expected, slow = net.linearize(other(x), **rest, hidden=hidden)
    assert same(tuple(out), tuple(expected))
    assert (out.y.shape, type(out.final)) == (expected.y.shape, type(expected.final))
    upstream = drawn_upstream(rng, net(x, **options))
    for name, values in upstream.items():
        cast = [part.astype(net.dtype) for part in parts(values)]
        upstream[name] = tuple(cast) if isinstance(values, tuple) else cast[0]
    checked = {name: other(values) for name, values in upstream.items()}
    wanted = {"dx": bool(rng.integers(2)), "params": bool(rng.integers(2))}
    x[...] = np.nan  # nothing is read again
    options.get("lengths", np.zeros(1))[...] = 0
    first = slow(**checked, **wanted)
    for call in (
        lambda: pull(**upstream, **wanted),  # before any with a conversion, and after
        lambda: pull(**checked, **wanted),
        lambda: pull(**upstream, **wanted),
        lambda: slow(**upstream, **wanted),
    ):
        grads, dx, dh0 = call()
        assert (grads is None, dx is None) == (not wanted["params"], not wanted["dx"])
        assert grads is None or same(list(grads.values()), list(first[0].values()))
        assert same((dx, dh0), first[1:])
        assert dx is None or dx.shape == x.shape
        assert [part.shape for part in parts(dh0)] == [part.shape for part in parts(first[2])]
    assert repr(pull) == f"<the backward pass of {batch} sequences>"


@pytest.mark.parametrize("seed", range(150))
def test_they_are_slopes(build, seed):
    """Central differences along a direction, of the parameters, of x and of h0."""
    rng, by = np.random.default_rng(1000 + seed), 1e-6
    net = drawn_network(rng)
    if net.dtype != np.float64:
        return
    x, options = drawn_input(rng, net)
    upstream = drawn_upstream(rng, net(x, **options))
    grads, dx, dh0 = net.vjp(x, **upstream, **options)

    def slope(at):
        return (weighed(at(by), upstream) - weighed(at(-by), upstream)) / (2 * by)

    def check(at, found):
        assert slope(at) == pytest.approx(found, rel=1e-6, abs=1e-6)

    kept, along = net.flat.copy(), rng.normal(size=net.flat.shape)

    def with_parameters(by):
        net.flat[:] = kept + by * along
        return net(x, **options)

    check(with_parameters, inner(np.concatenate([g.ravel() for g in grads.values()]), along))
    net.flat[:] = kept
    if dx is not None:
        way = like(rng, dx)
        way = list(way) if isinstance(x, list) else way
        check(lambda by: net(moved(x, by, way), **options), inner(dx, way))
    if "h0" in options:
        way = like(rng, options["h0"])
        rest = {k: v for k, v in options.items() if k != "h0"}
        check(lambda by: net(x, h0=moved(options["h0"], by, way), **rest), inner(dh0, way))


def test_states_of_a_network_without_a_head_are_its_outputs(build, dtype):
    rng = np.random.default_rng(0)
    net = rc.GRU(3, 5, num_layers=2, bidirectional=True, readout="all", dtype=dtype, seed=0)
    x = rng.normal(size=(6, 7, 3)).astype(dtype)
    dy = rng.normal(size=(6, 7, 10)).astype(dtype)
    by_outputs, by_states = net.vjp(x, dy), net.vjp(x, dhidden=dy)
    for a, b in zip(parts(by_outputs[1]), parts(by_states[1]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize(("batch", "time", "hidden"), [(1, 50, 16), (2, 9000, 8), (40, 30, 3)])
def test_arrays_may_be_changed_before_a_pull(build, dtype, kind, tokens, batch, time, hidden):
    """One sequence reads x where it is, and a long tape takes its steps again."""
    rng = np.random.default_rng(0)
    net = getattr(rc, kind)(3, hidden, 2, dtype=dtype, seed=0)
    x = rng.normal(size=(batch, time, 3)).astype(dtype)
    if tokens:
        x = rng.integers(0, 3, (batch, time))
    dy = rng.normal(size=(batch, 2)).astype(dtype)
    expected = net.vjp(x, dy)
    out, pull = net.linearize(x)
    x[...] = 0
    assert same(out.y, net.linearize(x)[0].y) is False
    for _ in range(2):
        grads, dx, dh0 = pull(dy)
        assert same((list(grads.values()), dx, dh0), (list(expected[0].values()), *expected[1:]))


def test_any_number_of_threads_gives_the_same_bits(build, dtype):
    rng = np.random.default_rng(0)
    net = rc.LSTM(3, 24, 2, num_layers=2, readout="all", dtype=dtype, seed=0)
    x = rng.normal(size=(300, 40, 3)).astype(dtype)
    dy, results = rng.normal(size=(300, 40, 2)).astype(dtype), []
    for threads in (1, 2, 3):
        out, pull = net.linearize(x, threads=threads)
        grads, dx, dh0 = pull(dy, dfinal=out.final)
        results.append((tuple(out), list(grads.values()), dx, dh0))
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_a_changed_network_refuses_to_go_back(build):
    net = rc.GRU(2, 3, 1, loss="mse", seed=0)
    x = np.ones((4, 5, 2))
    out, pull = net.linearize(x)
    weight = net.parameters()["weight_hh_l0"]
    weight[0, 0] += 1
    with pytest.raises(RuntimeError, match="its parameters have been changed since"):
        pull(out.y)
    weight[0, 0] -= 1
    before = weight[0, 0].copy()
    _, pull = net.linearize(x)
    net.fit(x, np.ones(4), epochs=1, lr=0.1)
    assert weight[0, 0] != before
    with pytest.raises(RuntimeError, match="its parameters have been changed since"):
        pull(out.y)


def test_states_of_one_unit_may_be_given_without_their_axis(build):
    net, x, dh = rc.RNN(2, 1, dtype="float64", seed=0), np.ones((4, 5, 2)), np.ones((4, 5))
    _, pull = net.linearize(x)
    assert same(pull(dhidden=dh)[1], pull(dhidden=dh[..., None])[1])
    dh[2, 3] = np.nan
    with pytest.raises(
        ValueError, match=r"dhidden: expected finite numbers, got nan at \[2, 3, 0\]"
    ):
        pull(dhidden=dh)


def test_a_tape_outlives_the_network_and_other_calls(build):
    net = rc.GRU(2, 3, 1, seed=0)
    x = np.ones((4, 5, 2))
    expected = net.vjp(x, np.ones((4, 1)))
    pulls = [net.linearize(x)[1] for _ in range(3)]
    net(np.zeros((50, 20, 2)))
    del net
    for pull in pulls:
        assert same(pull(np.ones((4, 1)))[1], expected[1])


def test_threads_that_pull_at_once_are_refused_or_right(build):
    net = rc.GRU(3, 32, 1, readout="all", seed=0)
    x = np.random.default_rng(0).normal(size=(64, 100, 3))
    out, pull = net.linearize(x)
    expected, wrong = pull(out.y)[1], []

    def work():
        for _ in range(5):
            try:
                if not same(pull(out.y)[1], expected):
                    wrong.append("bits")
            except RuntimeError as error:
                if "one call at a time" not in str(error):
                    wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


X = np.zeros((4, 5, 3))
BAD = [
    ({}, ValueError, "dy: expected a gradient, or dhidden or dfinal in its place, got none"),
    ({"dy": np.zeros((4, 3))}, ValueError, "dy: expected (4, 2), got (4, 3)"),
    ({"dhidden": np.zeros((4, 5, 3))}, ValueError, "dhidden: expected (4, 5, 6), got (4, 5, 3)"),
    ({"dfinal": np.zeros((4, 2, 3))}, TypeError, "dfinal: expected a pair (dh, dc) for an LSTM"),
    ({"dfinal": (None, np.zeros((4, 3)))}, ValueError, "dfinal: expected (4, 2, 3), got (4, 3)"),
    ({"dy": np.full((4, 2), np.inf)}, ValueError, "dy: expected finite numbers, got inf at [0, 0]"),
    ({"dhidden": np.full((4, 5, 6), np.nan)}, ValueError, "dhidden: expected finite numbers"),
    ({"dfinal": (np.full((4, 2, 3), np.nan), None)}, ValueError, "dfinal: expected finite numbers"),
    ({"dhidden": "no"}, TypeError, "dhidden: "),
]


@pytest.mark.parametrize(("given", "error", "text"), BAD)
def test_bad_gradients_are_refused(build, dtype, given, error, text):
    net = rc.LSTM(3, 3, 2, bidirectional=True, dtype=dtype, seed=0)
    _, pull = net.linearize(X)
    for call in (lambda: pull(**given), lambda: net.vjp(X, **given)):
        with pytest.raises(error, match=re.escape(text)):
            call()
    assert pull(np.ones((4, 2)))[1].shape == X.shape  # and all is as before


def test_bad_calls_are_refused(build):
    net = rc.GRU(3, 3, seed=0)
    with pytest.raises(ValueError, match=re.escape("x: expected")):
        net.linearize(np.zeros((4, 5, 2)))
    with pytest.raises(ValueError, match=re.escape("x: expected finite numbers")):
        net.linearize(np.full((4, 5, 3), np.nan))
    with pytest.raises(TypeError, match="params: expected True or False"):
        net.linearize(X)[1](np.ones((4, 3)), params="yes")
