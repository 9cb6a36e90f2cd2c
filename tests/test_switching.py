"""Recurrent weights of every token's own: what they are, and what else a network with them does.

Outputs and gradients with all options crossed are in tests/crossed/ and, with the cases of
tests/stacks.py, in the tests of each method; members of populations are in test_population.py."""

import copy
import pickle
import re

import numpy as np
import pytest
from refusals import unchanged
from states import same

import rnncore as rc
from rnncore import dynamics, export

KINDS = ["RNN", "LSTM", "GRU", "MGU"]
SIZES = {"input_size": 4, "hidden_size": 3, "output_size": 2}


def network(kind="GRU", **options):
    given = SIZES | {"readout": "all", "loss": "cross_entropy", "dtype": "float64", "seed": 0}
    return getattr(rc, kind)(**given | {"switching": True} | options)


def data(B=5, T=7, V=4, K=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, V, (B, T)), rng.integers(0, K, (B, T))


def flat(grads):
    return np.concatenate([g.ravel() for g in grads.values()])


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("MGU", 2), ("GRU", 3), ("LSTM", 4)])
def test_shapes_and_places_of_the_parameters(build, kind, gates):
    net = network(kind)
    shapes = {name: values.shape for name, values in net.parameters().items()}
    assert shapes == {
        "weight_ih_l0": (3 * gates, 4), "weight_hh_l0": (4, 3 * gates, 3),
        "bias_ih_l0": (3 * gates,), "bias_hh_l0": (4, 3 * gates),
        "head.weight": (2, 3), "head.bias": (2,),
    }  # fmt: skip
    assert same(flat(net.parameters()), net.flat)
    assert net.config["switching"] is True
    assert "switching=True" in repr(net)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 3, 16, 17])
def test_with_the_same_weights_for_all_tokens_it_is_a_plain_network(build, dtype, kind, hidden):
    """Its gradients are then the plain network's, parted by token."""
    make = {"hidden_size": hidden, "dtype": dtype, "trainable_h0": True}
    net, plain = network(kind, **make), network(kind, switching=False, **make)
    for name, values in plain.parameters().items():
        net.parameters()[name][...] = values
    x, y = data(B=19)
    limit = 1e-13 if dtype == "float64" else 1e-5
    np.testing.assert_allclose(net(x).y, plain(x).y, rtol=limit, atol=limit)
    value, grads = net.loss_and_grad(x, y)
    expected, of_plain = plain.loss_and_grad(x, y)
    assert value == pytest.approx(expected, rel=limit)
    for name, values in of_plain.items():
        parted = grads[name].ndim > values.ndim
        got = grads[name].sum(axis=0) if parted else grads[name]
        np.testing.assert_allclose(got, values, rtol=limit, atol=limit, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_that_does_not_come_has_no_gradient_and_no_influence(build, dtype, kind):
    net = network(kind, dtype=dtype)
    x, y = data()
    x[x == 2] = 0
    before = net(x).y
    _, grads = net.loss_and_grad(x, y)
    for name in ("weight_hh_l0", "bias_hh_l0"):
        assert (grads[name][2] == 0).all()
        assert (grads[name][[0, 1, 3]] != 0).any(axis=-1).all()
        net.parameters()[name][2] = 1e30
    net.parameters()["weight_ih_l0"][:, 2] = 1e30
    assert same(net(x).y, before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bits_of_a_sequence_are_its_own(build, dtype, kind):
    net = network(kind, dtype=dtype)
    x, _ = data(B=37, T=9)
    y = net(x).y
    for s in (0, 20, 36):
        assert same(net(x[s : s + 1]).y[0], y[s])
    assert same(net(list(x)).y, y)
    assert same(net(x, threads=3).y, y)
    many, targets = data(B=300, T=40)
    one = net.loss_and_grad(many, targets, threads=1)
    two = net.loss_and_grad(many, targets, threads=2)
    assert one[0] == two[0]
    assert same(flat(one[1]), flat(two[1]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("readout", ["last", "all", "before"])
@pytest.mark.parametrize("options", [{}, {"trainable_h0": True}, {"zoneout": 0.3}], ids=str)
def test_streams_have_the_bits_of_a_call(build, dtype, kind, readout, options):
    net = network(kind, readout=readout, dtype=dtype, **options)
    if "trainable_h0" in options:
        for name in set(net.parameters()) & {"h0", "c0"}:
            net.parameters()[name][...] = 0.3
    every = network(kind, readout="all" if readout == "last" else readout, dtype=dtype, **options)
    every.flat[:] = net.flat
    x, _ = data(T=9)
    expected = every(x)
    finals = expected.final if kind == "LSTM" else (expected.final,)
    y, state = net.run_stream(x[0, :4])
    rest, state = net.run_stream(x[0, 4:], state)
    assert same(np.concatenate([y, rest]), expected.y[0])
    for part, final in zip(state if kind == "LSTM" else (state,), finals, strict=True):
        assert same(part, final[0])
    state = None
    for t in range(9):
        y_t, state = net.step(int(x[1, t]), state)
        assert same(y_t, expected.y[1, t])
    state, streams = None, net.streams(5)
    for t in range(9):
        y_t, state = net.step(x[:, t], state)
        assert same(y_t, expected.y[:, t])
        assert same(streams.step(x[:, t]), expected.y[:, t])
    out = (np.empty(2, dtype), state[0][0] if kind == "LSTM" else state[0])
    if kind == "LSTM":
        out = (out[0], (state[0][0], state[1][0]))
    again = net.step(np.int64(1), out[1], out=out)
    assert again[0] is out[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_is_the_descent_of_its_loss(build, kind):
    """Penalties, decay and freezing by name, and the trainer, as for other networks."""
    x, y = data(B=8)
    net, lr = network(kind), 0.25
    _, grads = net.loss_and_grad(x, y)
    before = net.flat.copy()
    step = {"epochs": 1, "batch_size": None, "optimizer": "sgd", "lr": lr, "shuffle": False}
    net.fit(x, y, **step)
    np.testing.assert_allclose(before - net.flat, lr * flat(grads), rtol=1e-12, atol=1e-15)
    trained = network(kind)
    trained.trainer(optimizer="sgd", lr=lr).step(x, y)
    np.testing.assert_allclose(trained.flat, net.flat, rtol=1e-13)
    kept = network(kind)
    kept.fit(x, y, **step, freeze=["weight_hh", "bias"])
    fresh = network(kind).parameters()
    for name, values in kept.parameters().items():
        assert same(values, fresh[name]) == name.startswith(("weight_hh", "bias")), name
    shrunk = network(kind)
    shrunk.fit(x, y, **step, l1={"weight_hh": 0.01})
    values = network(kind).parameters()["weight_hh_l0"]
    expected = values - lr * (grads["weight_hh_l0"] + 0.01 * np.sign(values))
    np.testing.assert_allclose(shrunk.parameters()["weight_hh_l0"], expected, rtol=1e-10)


def test_a_fit_learns_what_only_such_a_network_of_one_unit_can(build):
    """A state that one token keeps, one flips and one clears."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 3, (200, 12))
    state, y = np.ones(200), np.empty((200, 12))
    for t in range(12):
        state = np.where(x[:, t] == 0, state, np.where(x[:, t] == 1, -state, 0 * state + 1))
        y[:, t] = state
    losses = []
    for switching in (True, False):
        net = rc.RNN(
            3, 1, 1, readout="all", loss="mse", switching=switching, trainable_h0=True, seed=1
        )
        losses.append(net.fit(x, y, epochs=300, lr=0.02, rng=0).loss[-1])
    assert losses[0] < 0.01 < 0.3 < losses[1]


def test_files_and_copies(build, dtype, tmp_path):
    net = network(dtype=dtype, trainable_h0=True)
    x, _ = data()
    net.save(tmp_path / "net.npz")
    others = [
        rc.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)
    ]  # fmt: skip
    loaded = network(dtype=dtype, trainable_h0=True, seed=9)
    loaded.load_state_dict(net.state_dict())
    for other in (*others, loaded):
        assert other.config == net.config
        assert same(other.flat, net.flat)
        assert same(other(x).y, net(x).y)
    pop = rc.Population(rc.GRU, 3, **SIZES, switching=True, dtype=dtype, seed=0)
    pop.save(tmp_path / "pop.npz")
    again = rc.load(tmp_path / "pop.npz")
    assert same(again.flat, pop.flat)
    assert same(again[1](x).y, pop[1](x).y)


def test_first_values(build):
    make = {"dtype": "float64", "hidden_size": 16}
    for kind in KINDS:
        bound = 1 / np.sqrt(16)
        values = network(kind, **make).parameters()["weight_hh_l0"]
        assert 0.9 * bound < np.abs(values).max() <= bound
        p = network(kind, init="orthogonal", init_scale=2.0, **make).parameters()
        assert (p["bias_hh_l0"] == 0).all()
        for square in p["weight_hh_l0"].reshape(-1, 16, 16):
            np.testing.assert_allclose(square @ square.T, 4 * np.eye(16), atol=1e-12)
        p = network(kind, init="glorot", **make).parameters()
        assert (p["bias_hh_l0"] == 0).all()
        bound = np.sqrt(6 / 32)
        assert 0.9 * bound < np.abs(p["weight_hh_l0"]).max() <= bound
    assert (
        network("RNN", init="identity", **make).parameters()["weight_hh_l0"] == np.eye(16)
    ).all()
    p = network("GRU", update_bias=2.0).parameters()
    assert (p["bias_ih_l0"][3:6] == 2).all()
    assert (p["bias_hh_l0"][:, 3:6] == 0).all()
    assert (p["bias_hh_l0"][:, :3] != 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_one_step(build, kind):
    """jacobian against differences of a step, fixed points and Lyapunov exponents by token."""
    net, x = network(kind, readout="last"), np.array([0, 3])
    parts = 2 if kind == "LSTM" else 1
    states = np.random.default_rng(0).standard_normal((2, 2, 3))[:, :parts]

    def after(vectors):
        given = tuple(vectors[:, k][:, None] for k in range(parts))
        _, new = net.step(x, given if parts == 2 else given[0])
        return np.concatenate([part[:, 0] for part in (new if parts == 2 else (new,))], axis=1)

    given = tuple(states[:, k] for k in range(parts))
    exact = net.jacobian(given if parts == 2 else given[0], x)
    for j in range(3 * parts):
        step = np.zeros(3 * parts)
        step[j] = 1e-6
        step = step.reshape(parts, 3)
        slope = (after(states + step) - after(states - step)) / 2e-6
        np.testing.assert_allclose(exact[..., j], slope, atol=1e-8)
    found = net.fixed_points(np.int64(1), 16, rng=0)
    assert found.is_fixed.any()
    _, new = net.step(np.full(len(found.points), 1), found.state)
    for got, part in zip(
        *((new, found.state) if parts == 2 else ([new], [found.state])), strict=True
    ):
        np.testing.assert_allclose(got[found.is_fixed], part[found.is_fixed], atol=1e-9)
    tokens, _ = data(B=2, T=50)
    assert np.isfinite(net.lyapunov(tokens).exponents).all()


def test_portraits_by_token(build):
    """For tokens as many as there are inputs, which elsewhere could be one input's numbers."""
    net = network(hidden_size=1)
    found = dynamics.phase_portrait(net, range(4), points=5)
    W, b = (net.parameters()[f"head.{name}"] for name in ("weight", "bias"))
    for token in range(4):
        _, after = net.step(np.full(5, token), found.state[:, None])
        y = after[:, 0] @ W.T + b
        np.testing.assert_allclose(found.logit + found.change[token], y[:, 1] - y[:, 0], atol=1e-12)
    field = dynamics.vector_field(network(hidden_size=2), range(4), points=3)
    assert field.change.shape == (4, 3, 3, 2)
    at = field.state.reshape(-1, 2)
    for token in range(4):
        _, after = network(hidden_size=2).step(np.full(9, token), at)
        np.testing.assert_allclose(after[:, 0] - at, field.change[token].reshape(-1, 2), atol=1e-12)


REFUSED = [
    ("generate", ValueError, lambda net: net.generate([0, 1], 3)),
    ("online", ValueError, lambda net: net.online(lr=0.1)),
    ("net", ValueError, lambda net: export.c(net, "net.h")),
    ("net", ValueError, lambda net: export.rtneural(net, "net.json")),
    ("net", ValueError, lambda net: dynamics.simulate(net, lambda choices, t, rng: choices, 3)),
    ("inputs", TypeError, lambda net: dynamics.phase_portrait(network(hidden_size=1), np.eye(4))),
    ("x", TypeError, lambda net: net.jacobian(np.zeros(3), np.eye(4)[0])),
    ("x", TypeError, lambda net: net.fixed_points(np.zeros(4))),
    ("x", TypeError, lambda net: net.lyapunov(np.zeros((5, 4)))),
    ("x", TypeError, lambda net: net(np.zeros((2, 3, 4)))),
    ("x", TypeError, lambda net: net(np.zeros((2, 3, 4)), lengths=[1, 2])),
    ("x", TypeError, lambda net: net([np.zeros((3, 4))])),
    ("x", TypeError, lambda net: net.loss_and_grad(np.zeros((2, 3, 4)), np.zeros((2, 3), int))),
    ("x", TypeError, lambda net: net.vjp(np.zeros((2, 3, 4)), np.zeros((2, 3, 2)))),
    ("x", TypeError, lambda net: net.linearize(np.zeros((2, 3, 4)))),
    ("x", TypeError, lambda net: net.fit(np.zeros((2, 3, 4)), np.zeros((2, 3), int), epochs=1)),
    ("x", TypeError, lambda net: net.trainer().step(np.zeros((2, 3, 4)), np.zeros((2, 3), int))),
    ("x", TypeError, lambda net: net.gradient_flow(np.zeros((2, 3, 4)), np.zeros((2, 3), int))),
    ("x", TypeError, lambda net: net.trace(np.zeros((2, 3, 4)))),
    ("x_t", TypeError, lambda net: net.step(np.zeros(4))),
    ("x_t", TypeError, lambda net: net.step(np.zeros((5, 4)))),
    ("x_t", TypeError, lambda net: net.streams(2).step(np.zeros((2, 4)))),
    ("x", TypeError, lambda net: net.run_stream(np.zeros((5, 4)))),
]


@pytest.mark.parametrize(("name", "error", "call"), REFUSED)
def test_what_there_is_not_is_refused(build, name, error, call):
    net = network()
    with pytest.raises(error, match=rf"^{name}: .*switching"):
        call(net)
    assert same(net.flat, network().flat)


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("GRU", {"num_layers": 2}), ("GRU", {"bidirectional": True}), ("RNN", {"skip": 2}),
        ("GRU", {"reset": "before"}),
    ],
)  # fmt: skip
def test_what_it_does_not_go_with(kind, option):
    (name,) = option
    with pytest.raises(ValueError, match=rf"^switching: expected False with {name}="):
        network(kind, **option)
    with pytest.raises(TypeError, match=r"^switching: expected"):
        network(switching=1)


def test_tokens_out_of_range(build):
    net = network()
    for call in (
        lambda: net(np.array([[0, 4]])), lambda: net.step(4), lambda: net.step(np.array([0, -1])),
        lambda: net.run_stream(np.array([0, 4])), lambda: net.streams(1).step(np.array([7])),
        lambda: net.loss_and_grad(np.array([[0, -1]]), [[0, 1]]),
    ):  # fmt: skip
        unchanged(net, call, ValueError, "tokens")
    for call in (
        lambda: net.step(0, np.full((1, 3), np.nan)),
        lambda: net.run_stream(np.array([0]), np.full((1, 3), np.inf)),
    ):
        unchanged(net, call, ValueError, "state: ")


def test_doors_that_are_closed():
    net = network(readout="last")
    with pytest.raises((ValueError, ImportError), match=r"switching|torch"):
        net.to_torch()
    for door, call in (("onnx", "to_model"), ("keras", "to_keras")):
        pytest.importorskip(door)
        module = __import__(f"rnncore.{door}", fromlist=[call])
        with pytest.raises(ValueError, match=re.escape("net: expected switching=False")):
            getattr(module, call)(net)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gru_equals_torch_written_out(build, dtype, bias):
    torch = pytest.importorskip("torch")
    net = network(dtype=dtype, bias=bias, hidden_size=2, input_size=6)
    x, y = data(B=11, T=20, V=6)
    p = {k: torch.tensor(v, requires_grad=True) for k, v in net.parameters().items()}
    zero = torch.zeros((), dtype=p["head.weight"].dtype)
    h, outputs = torch.zeros((11, 2), dtype=zero.dtype), []
    for t in range(20):
        k = torch.tensor(x[:, t])
        of_x = p["weight_ih_l0"].T[k] + p.get("bias_ih_l0", zero)
        of_h = torch.einsum("bij,bj->bi", p["weight_hh_l0"][k], h)
        of_h = of_h + (p["bias_hh_l0"][k] if bias else zero)
        (r, z, n), (r_h, z_h, n_h) = of_x.chunk(3, 1), of_h.chunk(3, 1)
        r, z = torch.sigmoid(r + r_h), torch.sigmoid(z + z_h)
        h = (1 - z) * torch.tanh(n + r * n_h) + z * h
        outputs.append(h @ p["head.weight"].T + p.get("head.bias", zero))
    loss = torch.nn.functional.cross_entropy(
        torch.stack(outputs, 1).reshape(-1, 2), torch.tensor(y.reshape(-1))
    )
    loss.backward()
    value, grads = net.loss_and_grad(x, y)
    limit = 1e-12 if dtype == "float64" else 1e-5
    assert value == pytest.approx(loss.item(), rel=limit)
    for name, values in grads.items():
        np.testing.assert_allclose(values, p[name].grad.numpy(), rtol=limit, atol=limit)
