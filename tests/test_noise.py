"""Recurrent dropout and zoneout: what is drawn, by what share, and what it is on average. Gradients
with all options crossed are in tests/crossed/, members of populations in test_population.py."""

import pickle

import numpy as np
import oracle
import pytest
from crossed.reference import noise_of, spec_of
from oracle.stack import REAL
from states import same

import rnncore as rc

KINDS = [
    ("RNN", {}), ("RNN", {"nonlinearity": "relu"}), ("RNN", {"skip": 2}), ("LSTM", {}), ("GRU", {}),
    ("GRU", {"reset": "before"}), ("MGU", {}),
]  # fmt: skip
NOISE = [{"recurrent_dropout": 0.4}, {"zoneout": 0.3}, {"recurrent_dropout": 0.2, "zoneout": 0.5}]
IDENTITY = {"bias": False, "nonlinearity": "identity", "dtype": "float64", "seed": 0}


def linear(H, of_state, **options):
    """h_t = x_t + of_state * h_{t-1}, of as many units as inputs."""
    net = rc.RNN(H, H, **IDENTITY, **options)
    net.parameters()["weight_ih_l0"] = np.eye(H)
    net.parameters()["weight_hh_l0"] = of_state * np.eye(H)
    return net


def hidden(net, x, rng, **options):
    """The states (B, T, H) of training."""
    return net.linearize(x, rng=rng, **options)[0].hidden


def network(kind, options, **more):
    sizes = {"input_size": 3, "hidden_size": 4, "output_size": 2}
    return getattr(rc, kind)(**sizes | {"dtype": "float64", "seed": 1} | options | more)


def shares_are(p, hits, tolerance=5):
    """Hits (B, ..., H) have the probability p, whatever the sequence, step and unit."""
    assert abs(hits.mean() - p) < tolerance * np.sqrt(p * (1 - p) / hits.size)
    for axis in range(hits.ndim):
        rest = tuple(k for k in range(hits.ndim) if k != axis)
        n = hits.size / hits.shape[axis]
        assert np.abs(hits.mean(axis=rest) - p).max() < (tolerance + 1) * np.sqrt(p * (1 - p) / n)


def alike(hits, p, left, right):
    """The correlation of hits here and there, in standard errors."""
    a, b = hits[left] - p, hits[right] - p
    return abs((a * b).mean() / (p * (1 - p))) * np.sqrt(a.size)


def test_recurrent_dropout_drops_the_same_units_at_every_step(build):
    net = linear(70, 1.0, recurrent_dropout=0.3)
    x = np.zeros((50, 6, 70))
    x[:, 0] = 1  # h_1 = 1, which W_hh meets at the second step
    h = hidden(net, x, 7)
    kept = h[:, 1]
    assert len(np.unique(kept)) == 2
    assert kept.max() == pytest.approx(1 / 0.7, rel=1e-4)
    for t in range(6):
        assert np.allclose(h[:, t], kept**t, rtol=1e-12)
    hits = kept == 0
    shares_are(0.3, hits)
    everything, later, earlier = slice(None), slice(1, None), slice(None, -1)
    for k in (1, 3, 4):
        left, right = slice(k, None), slice(None, -k)
        assert alike(hits, 0.3, (everything, left), (everything, right)) < 5
    assert alike(hits, 0.3, later, earlier) < 5


def test_zoneout_keeps_units_for_each_step_anew(build):
    net = linear(70, 0.0, zoneout=0.3)
    x = np.arange(1.0, 21)[:, None] * np.ones((40, 20, 70))
    h = hidden(net, x, 7)
    before = np.concatenate([np.zeros((40, 1, 70)), h[:, :-1]], axis=1)
    stays = h != x
    assert same(h[stays], before[stays])
    shares_are(0.3, stays)
    all_of = slice(None)
    assert alike(stays, 0.3, (all_of, slice(1, None)), (all_of, slice(None, -1))) < 5
    for k in (1, 4):
        left, right = (all_of, all_of, slice(k, None)), (all_of, all_of, slice(None, -k))
        assert alike(stays, 0.3, left, right) < 5


def test_h_and_c_of_an_lstm_have_rates_of_their_own(build):
    net = rc.LSTM(1, 70, zoneout=(0.2, 0.6), dtype="float64", seed=0)
    rng = np.random.default_rng(0)
    h0 = (rng.standard_normal((30, 1, 70)), rng.standard_normal((30, 1, 70)))
    h, c = net.linearize(np.ones((30, 1, 1)), h0=h0, rng=3)[0].final
    h_stays, c_stays = h[:, 0] == h0[0][:, 0], c[:, 0] == h0[1][:, 0]
    shares_are(0.2, h_stays)
    shares_are(0.6, c_stays)
    both = (h_stays & c_stays).mean()
    assert abs(both - 0.12) < 5 * np.sqrt(0.12 * 0.88 / h_stays.size)
    plain = rc.LSTM(1, 70, dtype="float64", seed=0)
    full = plain(np.ones((30, 1, 1)), h0=h0).final
    assert np.allclose(h[:, 0][~h_stays], full[0][:, 0][~h_stays], rtol=1e-13)
    assert np.allclose(c[:, 0][~c_stays], full[1][:, 0][~c_stays], rtol=1e-13)


@pytest.mark.parametrize("noise", NOISE, ids=str)
def test_the_mean_of_many_draws(build, noise):
    """Of a linear network: of zoneout, and of one step of recurrent dropout, what is computed where
    nothing is drawn; of more steps of the same mask m, moments of m."""
    p = noise.get("recurrent_dropout", 0)
    net, T = linear(3, 0.9, **noise), 2 if p else 6
    x = np.ones((20000, T, 3)) * np.random.default_rng(0).standard_normal((T, 3))
    drawn, mean = hidden(net, x, 1), net(x[:1]).hidden[0]
    error = drawn.std(axis=0) / np.sqrt(len(x))
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * error + 1e-4).all()


@pytest.mark.parametrize("noise", NOISE, ids=str)
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_gradients_equal_central_differences(build, kind, options, noise):
    rng = np.random.default_rng(0)
    for shape in ({}, {"num_layers": 2, "bidirectional": True, "dropout": 0.3}, {"hidden_size": 1}):
        net = network(kind, options, **noise, **shape, loss="mse", readout="all")
        x, y = rng.standard_normal((5, 6, 3)), rng.standard_normal((5, 6, 2))
        mask = rng.random((5, 6)) < 0.7
        mask[0] = True
        for given in ({}, {"lengths": [6, 1, 4, 5, 2]}, {"mask": mask}):
            _, grads = net.loss_and_grad(x, y, rng=2, **given)
            exact = np.concatenate([g.ravel() for g in grads.values()])
            kept, direction = net.flat.copy(), rng.standard_normal(net.flat.size)
            ends = []
            for step in (1e-5, -1e-5):
                net.flat[:] = kept + step * direction
                ends.append(net.loss_and_grad(x, y, rng=2, **given)[0])
            net.flat[:] = kept
            slope = (ends[0] - ends[1]) / 2e-5
            assert exact @ direction == pytest.approx(slope, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("noise", NOISE, ids=str)
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_states_in_training_equal_the_oracles(build, dtype, kind, options, noise):
    shapes = [(1, 1, 1, 1), (1, 7, 1, 5), (9, 4, 3, 1), (37, 3, 2, 9)]
    for B, T, D, H in shapes:
        rng = np.random.default_rng(B)
        net = network(kind, options, **noise, input_size=D, hidden_size=H, dtype=dtype)
        form = net._model.spec
        x = rng.standard_normal((B, T, D)).astype(dtype)
        h0 = rng.standard_normal((form.states, B, form.state_rows, H)).astype(dtype)
        given = tuple(h0) if form.states == 2 else h0[0]
        found = hidden(net, x, 11, h0=given)
        seed = int(np.random.default_rng(11).integers(2**63))
        p = {name: values.astype(float).tolist() for name, values in net.parameters().items()}
        for b in range(B):
            spec = spec_of(net) | noise_of(net, seed, b, range(T))
            first = [part[b].astype(float).tolist() for part in h0]
            rows = x[b].astype(float).tolist()
            _, met = oracle.stack.forward(p, spec, rows, first, [1] * T, REAL)
            expected = np.array([state[0] for state in met[0][0][3][1:]])
            assert np.abs(found[b] - expected).max() < (1e-13 if dtype == "float64" else 1e-5)


@pytest.mark.parametrize("noise", NOISE, ids=str)
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_the_same_bits_for_any_threads_and_in_any_company(build, dtype, kind, options, noise):
    net = network(kind, options, **noise, dtype=dtype, loss="mse", hidden_size=9, num_layers=2)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((150, 50, 3)).astype(dtype), rng.standard_normal((150, 2))
    results = [net.loss_and_grad(x, y, rng=4, threads=n) for n in (1, 2, 3, 8)]
    for loss, grads in results[1:]:
        assert loss == results[0][0]
        assert all(same(grads[name], values) for name, values in results[0][1].items())
    together = hidden(net, x, 4)
    assert same(hidden(net, x[:3], 4), together[:3])
    assert same(hidden(net, x[:70, :20], 4), together[:70, :20])
    assert not same(together, hidden(net, x, 5))


def test_rates_of_zero_change_no_bit(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 7, 3)), rng.standard_normal((60, 2))
    for kind, options in KINDS:
        ends = []
        for noise in ({}, {"recurrent_dropout": 0, "zoneout": 0.0}):
            net = network(kind, options, **noise, loss="mse")
            net.fit(x, y, epochs=2, rng=0)
            ends.append(net.flat.tobytes())
        assert ends[0] == ends[1]


def test_without_rng_nothing_is_dropped(build, dtype):
    """Recurrent dropout leaves outputs, losses and gradients their bits."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 7, 3)), rng.standard_normal((9, 2))
    for kind, options in KINDS:
        nets = [
            network(kind, options, loss="mse", dtype=dtype, recurrent_dropout=p) for p in (0, 0.5)
        ]
        assert same(*(net(x).hidden for net in nets))
        (loss, grads), (other_loss, others) = (net.loss_and_grad(x, y) for net in nets)
        assert loss == other_loss
        assert all(same(grads[name], others[name]) for name in grads)


@pytest.mark.parametrize("hidden_size", [1, 5, 16, 40, 130])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_streams_have_the_bits_of_a_batch(build, dtype, kind, options, hidden_size):
    if kind == "LSTM":
        options = options | {"zoneout": (0.2, 0.6)}
    net = network(
        kind, {"zoneout": 0.3} | options, hidden_size=hidden_size, num_layers=2, dtype=dtype,
        readout="all", recurrent_dropout=0.5,
    )  # fmt: skip
    for count in (1, 3, 40, 150):
        x = np.random.default_rng(count).standard_normal((count, 6, 3)).astype(dtype)
        expected, state = net(x), None
        for t in range(6):
            given = x[:, t] if count > 1 else x[0, t]
            y, state = net.step(given, state)
            assert same(np.atleast_2d(y), expected.y[:, t])
        y, state = net.run_stream(x[0, :2])
        y, state = net.run_stream(x[0, 2:], state)
        assert same(y, expected.y[0, 2:])


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=str)
def test_diagnostics_know_zoneout(build, kind, options):
    rng = np.random.default_rng(0)
    net = network(kind, options, zoneout=0.4, loss="mse", readout="last")
    x, y = rng.standard_normal((1, 6, 3)), rng.standard_normal((1, 2))
    flow = net.gradient_flow(x, y)
    for name, values in net.loss_and_grad(x, y)[1].items():
        assert np.allclose(flow.terms[name].sum(axis=0), values, rtol=1e-11, atol=1e-14)
    state = None
    for t in range(6):
        before = state
        if before is None:
            rows = np.zeros((net._model.spec.state_rows, 4))
            before = (rows, rows) if kind == "LSTM" else rows
        J = net.jacobian(before, x[0, t])
        assert np.allclose(flow.jacobians[t][0], J.reshape(flow.jacobians[t][0].shape), atol=1e-13)
        _, state = net.step(x[0, t], state)
    layer = net.trace(x)["l0"]
    assert same(layer.hidden, net(x).hidden)
    if kind == "LSTM":
        assert np.allclose(layer.cell[:, -1], net(x).final[1][:, 0], rtol=1e-13)


def test_a_fit_and_a_trainer_draw_the_same(build, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((24, 7, 3)), rng.standard_normal((24, 2))
    for kind, options in KINDS:
        ends = []
        for seed in (1, 1, 2):
            net = network(kind, options, **NOISE[2], loss="mse", dtype=dtype)
            net.fit(x, y, epochs=3, batch_size=24, shuffle=False, rng=seed, lr=0.01)
            ends.append(net.flat.tobytes())
        assert ends[0] == ends[1] != ends[2]
        net = network(kind, options, **NOISE[2], loss="mse", dtype=dtype)
        trainer = net.trainer(lr=0.01, rng=1)
        for _ in range(3):
            trainer.step(x, y)
        assert net.flat.tobytes() == ends[0]


def test_networks_keep_their_rates(tmp_path):
    for kind, zoneout, shown in (
        ("GRU", 0.25, 0.25), ("LSTM", 0.25, 0.25), ("LSTM", [0.1, 0.5], (0.1, 0.5)),
        ("LSTM", (0.2, 0.2), 0.2),
    ):  # fmt: skip
        net = network(kind, {}, recurrent_dropout=0.5, zoneout=zoneout)
        net.save(tmp_path / "net.npz")
        for again in (net, rc.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
            assert (again.config["recurrent_dropout"], again.config["zoneout"]) == (0.5, shown)
            assert again.config == net.config
            assert same(again(np.ones((1, 2, 3))).y, net(np.ones((1, 2, 3))).y)
        assert net.prune([0]).config == net.config | {"hidden_size": 3}


BAD = [
    ("GRU", {"recurrent_dropout": 1}, ValueError,
     "recurrent_dropout: expected at least 0 and less than 1, got 1"),
    ("GRU", {"recurrent_dropout": "half"}, TypeError,
     "recurrent_dropout: expected a number, got 'half'"),
    ("RNN", {"zoneout": -0.1}, ValueError,
     "zoneout: expected at least 0 and less than 1, got -0.1"),
    ("GRU", {"zoneout": (0.1, 0.1)}, ValueError,
     "zoneout: expected a number, got (0.1, 0.1)"),
    ("LSTM", {"zoneout": (0.1, 0.1, 0.1)}, ValueError,
     "zoneout: expected a number, or a pair (h, c), got (0.1, 0.1, 0.1)"),
    ("LSTM", {"zoneout": (0.1, 1.0)}, ValueError,
     "zoneout[1]: expected at least 0 and less than 1, got 1.0"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "options", "error", "text"), BAD)
def test_bad_rates(kind, options, error, text):
    with pytest.raises(error) as caught:
        network(kind, options)
    assert str(caught.value) == text


def test_what_has_no_such_steps_refuses_them():
    import rnncore.export

    net = network("GRU", {"zoneout": 0.2}, readout="all", loss="mse", nonlinearity="tanh")
    with pytest.raises(ValueError, match=r"net: expected a network with zoneout=0\.0, got 0\.2"):
        rnncore.export.c(net, "/nowhere/net")
    for options in ({"zoneout": 0.2}, {"recurrent_dropout": 0.2}):
        net = network("GRU", options, readout="all", loss="mse")
        (name,) = options
        with pytest.raises(ValueError, match=f"online: expected a network with {name}=0.0, got"):
            net.online(lr=0.1)


def test_torch_has_neither():
    pytest.importorskip("torch")
    for options in ({"zoneout": 0.2}, {"recurrent_dropout": 0.2}):
        (name,) = options
        with pytest.raises(ValueError, match=f"{name}: expected 0.0 for PyTorch, got 0.2"):
            network("GRU", options).to_torch()


def test_onnx_leaves_out_what_is_drawn(tmp_path):
    pytest.importorskip("onnx")
    import rnncore.onnx

    with pytest.raises(ValueError, match=r"net: expected zoneout=0\.0, got 0\.2: ONNX"):
        rnncore.onnx.export(network("GRU", {"zoneout": 0.2}), tmp_path / "net.onnx")
    rnncore.onnx.export(network("GRU", {"recurrent_dropout": 0.2}), tmp_path / "net.onnx")


def test_keras_has_recurrent_dropout():
    pytest.importorskip("keras")
    import keras
    import rnncore.keras

    for kind in ("RNN", "LSTM", "GRU"):
        for more in ({}, {"num_layers": 2, "bidirectional": True}):
            net = network(kind, {"recurrent_dropout": 0.25, "dtype": "float32"}, **more)
            model = rnncore.keras.to_keras(net)
            assert rnncore.keras.load(model).config == net.config
    with pytest.raises(ValueError, match=r"net: expected zoneout=0\.0, got 0\.2: Keras"):
        rnncore.keras.to_keras(network("GRU", {"zoneout": 0.2}))
    shares = (0.25, 0.5)
    layers = [keras.layers.GRU(4, return_sequences=True, recurrent_dropout=p) for p in shares]
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    assert rnncore.keras.load(model).config["recurrent_dropout"] == 0
