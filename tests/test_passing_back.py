"""dL/dh_t of single sequences: the gradient of the state that the rest of one begins with."""

import numpy as np
import pytest

import rnncore as rc

T, B, D, K = 7, 3, 2, 2


def rest_of(net, x, y, t, state):
    """dL/d state_t of the first sequence: of the steps after t alone, from that state on."""
    dh0 = net.vjp(x[:1, t:], y[:1, t:] if net.readout == "all" else y[:1], state)[2]
    return np.concatenate([part.ravel() for part in (dh0 if isinstance(dh0, tuple) else (dh0,))])


@pytest.mark.parametrize("readout", ["last", "all"])
@pytest.mark.parametrize(
    "make", [rc.RNN, rc.LSTM, rc.GRU, rc.MGU, lambda *a, **o: rc.RNN(*a, skip=3, **o)]
)
@pytest.mark.parametrize("outputs", [None, K])
def test_rows_are_the_gradients_of_the_rest(make, readout, outputs):
    rng = np.random.default_rng(0)
    net = make(D, 4, outputs, readout=readout, bias=outputs is None, dtype="float64", seed=1)
    width = 4 if outputs is None else K
    x = rng.normal(size=(B, T, D))
    dy = rng.normal(size=(B, T, width) if readout == "all" else (B, width))
    slopes = net.gradient_flow(x, dy=dy).state_gradients()
    state = None
    for t in range(T):
        expected = rest_of(net, x, dy, t, state)
        own = dy[0, t - 1] if t and readout == "all" else np.zeros(width)
        weight = np.eye(4) if outputs is None else net.parameters()["head.weight"]
        expected[:4] += own @ weight  # of the output that reads this state
        assert np.abs(slopes[t, : len(expected)] - expected).max() < 1e-12
        state = net(x[:1, t : t + 1], state).final


@pytest.mark.parametrize("loss", ["mse", "bce"])
@pytest.mark.parametrize("readout", ["last", "all", "before"])
def test_every_sequence_has_its_part_of_the_loss(loss, readout):
    rng = np.random.default_rng(1)
    net = rc.GRU(D, 3, K, readout=readout, loss=loss, dtype="float64", seed=1)
    x, h0 = rng.normal(size=(B, T, D)), rng.normal(size=(B, 1, 3))
    y = rng.random((B, K) if readout == "last" else (B, T, K))
    lengths, mask = [7, 2, 1], rng.random((B, T)) < 0.7
    mask[:, 0] = True
    for options in ({}, {"lengths": lengths}, {"mask": mask}):
        flow = net.gradient_flow(x, y, h0, **options)
        found = [flow.state_gradients(b) for b in range(B)]
        rows = options.get("lengths", [T] * B)
        if "mask" in options:
            rows = [int(np.flatnonzero(row)[-1]) + 1 for row in mask]
        assert [len(values) for values in found] == [n + 1 for n in rows]
        e = 1e-5
        for b in range(B):
            for i in range(3):
                step = np.zeros_like(h0)
                step[b, 0, i] = e
                up, down = (net.loss(x, y, h0=h0 + s * step, **options) for s in (1, -1))
                assert abs((up - down) / (2 * e) - found[b][0, i]) < 1e-9


def test_norms_of_rows_are_those_of_the_flow():
    x, y = np.random.default_rng(2).normal(size=(1, 30, D)), np.ones((1, K))
    for kind in (rc.RNN, rc.LSTM):
        flow = kind(D, 5, K, loss="mse", seed=0).gradient_flow(x, y)
        norms = np.linalg.norm(flow.state_gradients(), axis=1)
        assert np.allclose(norms, flow.state_norms, rtol=1e-12)
    net = rc.RNN(D, 5, K, loss="mse", readout="all", seed=0)
    flow = net.gradient_flow(x, np.ones((1, 30, K)))
    norms = np.linalg.norm(flow.state_gradients(last_only=True), axis=1)
    assert np.allclose(norms, flow.state_norms, rtol=1e-12)
    assert not np.allclose(flow.state_gradients(), flow.state_gradients(last_only=True))


def test_a_stack_and_two_directions():
    """The last layer's forward direction: its states are the last layer's alone."""
    x, dy = np.random.default_rng(3).normal(size=(2, T, D)), np.ones((2, K))
    net = rc.GRU(D, 3, K, num_layers=2, bidirectional=True, dtype="float64", seed=0)
    top = rc.GRU(6, 3, K, bidirectional=True, dtype="float64")
    below = rc.GRU(D, 3, readout="all", bidirectional=True, dtype="float64")
    for one, layer in ((top, "_l1"), (below, "_l0")):
        for name in one.parameters():
            one.parameters()[name] = net.parameters()[name.replace("_l0", layer)]
    expected = top.vjp(below(x).y, dy)[2]
    for b in range(2):
        found = net.gradient_flow(x, dy=dy).state_gradients(b)
        assert np.allclose(found[0], expected[b, 0], atol=1e-14)


@pytest.mark.parametrize("seed", range(40))
def test_options_crossed(seed):
    """The gradient of the first state, of networks and sequences drawn at random, and the page."""
    rng = np.random.default_rng(seed)
    kind = (rc.RNN, rc.LSTM, rc.GRU, rc.MGU)[rng.integers(4)]
    layers, H, D, K = (int(n) for n in rng.integers(1, 4, 4))
    skip = {"skip": int(rng.integers(2, 4))} if kind is rc.RNN and rng.random() < 0.5 else {}
    readout = ("last", "all", "before")[rng.integers(3)]
    both = bool(readout != "before" and rng.random() < 0.5)
    outputs = K if rng.random() < 0.7 else None
    net = kind(
        D, H, outputs, num_layers=layers, bidirectional=both, readout=readout, seed=seed,
        bias=bool(rng.random() < 0.5), dtype=("float32", "float64")[rng.integers(2)], **skip,
    )  # fmt: skip
    count, steps = int(rng.integers(1, 5)), int(rng.integers(1, 9))
    x = rng.integers(0, D, (count, steps)) if rng.random() < 0.3 else \
        rng.normal(size=(count, steps, D))  # fmt: skip
    options = {}
    if rng.random() < 0.5:
        options["lengths"] = rng.integers(1, steps + 1, count)
    if rng.random() < 0.5:
        options["mask"] = rng.random((count, steps)) < 0.7
        options["mask"][:, 0] = True
    width = K if outputs else H * (1 + both)
    dy = rng.normal(size=(count, width) if readout == "last" else (count, steps, width))
    exact = kind(**{**net.config, "dtype": "float64"})
    exact.flat[:] = net.flat
    dh0 = exact.vjp(x, dy, **options)[2]
    parts = dh0 if isinstance(dh0, tuple) else (dh0,)
    history = skip.get("skip", 1)
    row = (layers - 1) * (1 + both) * history
    flow = net.gradient_flow(x, dy=dy, **options)
    for b in range(count):
        found = flow.state_gradients(b)[0]
        expected = np.concatenate([part[b, row : row + history].ravel() for part in parts])
        assert np.abs(found - expected).max() < 1e-12
        assert flow.to_html(sequence=b).endswith("</html>\n")


def test_gradients_that_vanish_are_there():
    net = rc.RNN(1, 1, 1, loss="mse", bias=False, nonlinearity="identity", dtype="float64")
    net.flat[:] = [1, 0.1, 1]
    slopes = net.gradient_flow(np.ones((1, 300, 1)), np.zeros(1)).state_gradients()
    assert slopes[0, 0] == pytest.approx(slopes[300, 0] * 0.1**300, rel=1e-9)


def test_what_is_refused():
    flow = rc.RNN(1, 1, 1, loss="mse").gradient_flow(np.ones((2, 5, 1)), np.zeros(2))
    with pytest.raises(ValueError, match=r"sequence: expected .* got 2"):
        flow.state_gradients(2)
    with pytest.raises(TypeError, match="sequence: expected"):
        flow.state_gradients(0.5)
    with pytest.raises(TypeError, match="last_only: expected"):
        flow.state_gradients(0, last_only="yes")
