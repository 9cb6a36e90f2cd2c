"""LSTM and GRU: what is theirs alone; their gradients are in test_gradients.py."""

import copy

import numpy as np
import pytest
from states import parts, row, same

import rnncore as rc

KINDS = ["LSTM", "GRU", "GRU before"]


def network(kind, inputs=3, hidden=5, outputs=2, **options):
    kind, *reset = kind.split()
    if reset:
        options["reset"] = reset[0]
    return getattr(rc, kind)(inputs, hidden, outputs, seed=0, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 2, 5, 8, 16, 17, 40])
@pytest.mark.parametrize("bias", [True, False])
def test_streams_have_the_bits_of_a_batch(build, dtype, kind, hidden, bias):
    rng = np.random.default_rng(hidden)
    net = network(kind, 3, hidden, 2, bias=bias, readout="all", dtype=dtype)
    x = rng.standard_normal((3, 90, 3)).astype(dtype)
    begun = net(x[:, :7])
    whole = net(x)
    y, state = net.run_stream(x[1, 7:80], row(begun.final, 1))
    assert same(y, whole.y[1, 7:80])
    for x_t in x[1, 80:]:
        y, state = net.step(x_t, state)
    assert same(y, whole.y[1, -1])
    assert same(state, row(whole.final, 1))
    fresh, _ = net.run_stream(x[2])
    assert same(fresh, whole.y[2])


@pytest.mark.parametrize("kind", KINDS)
def test_streams_of_tokens(build, dtype, kind):
    net = network(kind, 50, 6, 2, readout="all", dtype=dtype)
    tokens = np.random.default_rng(0).integers(0, 50, (2, 30))
    out = net(tokens)
    y, state = net.run_stream(tokens[1])
    assert same(y, out.y[1])
    assert same(state, row(out.final, 1))
    assert same(net.step(int(tokens[1, 0]))[0], out.y[1, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_many_streams_and_streaming_in_place(build, kind):
    net = network(kind, readout="all")
    x = np.random.default_rng(0).standard_normal((4, 6, 3)).astype(np.float32)
    whole, state = net(x), None
    for t in range(6):
        y, state = net.step(x[:, t], state)
    assert same(y, whole.y[:, -1])
    assert same(state, whole.final)
    y, state = np.empty(2, np.float32), tuple(np.zeros((1, 5), np.float32) for _ in parts(state))
    state = state if kind == "LSTM" else state[0]
    for x_t in x[0]:
        got = net.step(x_t, state, out=(y, state))
        assert got[0] is y
    assert same(y, whole.y[0, -1])
    assert same(state, row(whole.final, 0))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 4, 20])
def test_a_sequence_gets_the_same_bits_in_any_company(build, dtype, kind, hidden):
    rng = np.random.default_rng(1)
    net = network(kind, 3, hidden, 2, dtype=dtype)
    x = rng.standard_normal((50, 8, 3)).astype(dtype)
    lengths = rng.integers(1, 9, 50)
    together = net(x, lengths=lengths)
    listed = net([x[s, :n] for s, n in enumerate(lengths)])
    dy = rng.standard_normal((50, 2)).astype(dtype)
    _, dx, d0 = net.vjp(x, dy, lengths=lengths)
    for s in (0, 17, 49):
        n = lengths[s]
        alone = net(x[s : s + 1, :n])
        for out, at in ((together, s), (listed, s)):
            assert same(alone.y[0], out.y[at])
            assert same(row(alone.final, 0), row(out.final, at))
        _, dx_alone, d0_alone = net.vjp(x[s : s + 1, :n], dy[s : s + 1])
        assert same(dx_alone[0], dx[s, :n])
        assert same(row(d0_alone, 0), row(d0, s))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 5, 20])
def test_any_number_of_threads(build, kind, hidden):
    net = network(kind, 3, hidden, 2, loss="mse")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 9, 3)), rng.standard_normal((150, 2))
    loss, grads = net.loss_and_grad(x, y, threads=1)
    for threads in (2, 3, 8):
        other_loss, other = net.loss_and_grad(x, y, threads=threads)
        assert other_loss == loss
        assert all(same(grads[name], other[name]) for name in grads)


@pytest.mark.parametrize("kind", KINDS)
def test_they_remember_the_first_of_ten_steps(build, kind):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 10, 1))
    y = x[:, 0, 0] > 0
    net = network(kind, 1, 8, 1, loss="bce")
    net.fit(x, y, epochs=150, lr=0.03, rng=0)
    assert (net.predict(x) == y).mean() > 0.97


@pytest.mark.parametrize("kind", KINDS)
def test_copies_and_files(tmp_path, kind):
    net = network(kind, loss="mse", dtype="float64")
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    net.save(tmp_path / "net.npz")
    for other in (rc.load(tmp_path / "net.npz"), copy.deepcopy(net)):
        assert type(other) is type(net)
        assert same(other(x).y, net(x).y)


def test_what_was_saved_without_reset_resets_after_the_product(tmp_path, monkeypatch):
    net = network("GRU")
    older = {name: value for name, value in net.config.items() if name != "reset"}
    state = net.__getstate__() | {"config": older}
    other = rc.GRU.__new__(rc.GRU)
    other.__setstate__(state)
    assert other.config == net.config
    monkeypatch.setattr(net._model, "config", older)
    net.save(tmp_path / "net.npz")
    assert rc.load(tmp_path / "net.npz").config["reset"] == "after"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reset_before_the_product_is_a_cell_of_pytorch_written_out(build, dtype):
    """The gates' products by torch.nn.functional, and gradients by autograd."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for H, B, T in ((1, 1, 1), (4, 3, 6), (16, 21, 5)):
        net = network("GRU before", 3, H, None, readout="all", dtype=dtype)
        p = {k: torch.tensor(v, requires_grad=True) for k, v in net.state_dict().items()}
        x, h0, dy = (rng.standard_normal(s).astype(dtype) for s in ((B, T, 3), (B, H), (B, T, H)))
        h, states = torch.tensor(h0, requires_grad=True), []
        first, (w_r, w_z, w_n) = h, p["weight_hh_l0"].split(H)
        b_r, b_z, b_n = p["bias_hh_l0"].split(H)
        for x_t in torch.tensor(x).unbind(1):
            parts = torch.nn.functional.linear(x_t, p["weight_ih_l0"], p["bias_ih_l0"]).split(H, 1)
            r = torch.sigmoid(parts[0] + h @ w_r.T + b_r)
            z = torch.sigmoid(parts[1] + h @ w_z.T + b_z)
            n = torch.tanh(parts[2] + (r * h) @ w_n.T + b_n)
            h = (1 - z) * n + z * h
            states.append(h)
        y = torch.stack(states, 1)
        (y * torch.tensor(dy)).sum().backward()
        limit = 1e-12 if dtype == "float64" else 1e-5
        assert np.abs(net(x, h0=h0).y - y.detach().numpy()).max() < limit
        grads, _, dh0 = net.vjp(x, dy, h0=h0)
        for name, values in grads.items():
            exact = p[name].grad.numpy()
            assert np.abs(values - exact).max() < limit * max(1, np.abs(exact).max()), name
        assert np.abs(dh0 - first.grad.numpy()).max() < limit * max(1, np.abs(dh0).max())


def test_a_masked_step_keeps_the_memory(build, dtype):
    net = network("LSTM", dtype=dtype)
    x = np.random.default_rng(0).standard_normal((5, 6, 3)).astype(dtype)
    mask = np.ones((5, 6), bool)
    mask[:, 2:4] = False
    short = x[:, [0, 1, 4, 5]]
    assert same(net(x, mask=mask).final, net(short).final)


PAIR = (np.zeros((2, 1, 5)), np.zeros((2, 1, 5)))
X = np.zeros((2, 4, 3))
BAD = [
    (lambda: network("LSTM")(X, h0=PAIR[0]), TypeError, r"h0: expected a pair \(h0, c0\)"),
    (lambda: network("LSTM")(X, h0=PAIR[:1]), TypeError, r"h0: expected a pair \(h0, c0\)"),
    (
        lambda: network("LSTM")(X, h0=(PAIR[0], np.zeros((2, 1, 4)))),
        ValueError,
        r"c0: expected \(2, 1, 5\) or \(2, 5\), got \(2, 1, 4\)",
    ),
    (
        lambda: network("LSTM")(X, h0=(PAIR[0], np.full((2, 1, 5), np.nan))),
        ValueError,
        r"c0: expected finite numbers, got nan at \[0, 0, 0\]",
    ),
    (lambda: network("GRU")(X, h0=PAIR), ValueError, r"h0: expected \(2, 1, 5\) or \(2, 5\)"),
    (lambda: network("LSTM").step(X[0, 0], PAIR[0][0]), TypeError, r"state: expected a pair"),
    (
        lambda: network("LSTM").step(X[0, 0], None, out=(np.zeros(2, "f4"), PAIR[0][0])),
        TypeError,
        r"out\[1\]: expected a pair \(h, c\)",
    ),
    (lambda: rc.LSTM(3, 5, nonlinearity="relu"), TypeError, "nonlinearity"),
    (
        lambda: rc.GRU(3, 5, reset="never"),
        ValueError,
        "reset: expected one of 'after', 'before', got 'never'",
    ),
    (lambda: rc.GRU(3, 0), ValueError, "hidden_size: expected at least 1"),
]


@pytest.mark.parametrize(("call", "error", "text"), BAD)
def test_bad_input(call, error, text):
    with pytest.raises(error, match=text):
        call()
