"""The read-out "before": outputs read the state before their step."""

import numpy as np
import pytest
from fits import data, flat
from states import parts, row, same

import rnncore as rc
from rnncore import dynamics

KINDS = [rc.RNN, rc.LSTM, rc.GRU, rc.MGU]


def pair(kind, K=2, H=5, **options):
    """The network, and one with the same parameters that reads the states after the steps."""
    options = {"loss": "mse", "seed": 0, **options}
    nets = [kind(2, H, K, readout=readout, **options) for readout in ("before", "all")]
    for net in nets:
        for name in {"h0", "c0"} & set(net.parameters()):
            net.parameters()[name][:] = 0.3
    return nets


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2}, {"trainable_h0": True}, {"K": None}])
@pytest.mark.parametrize(("B", "H"), [(1, 1), (1, 9), (5, 1), (37, 5)])
def test_outputs_are_those_of_the_step_before(build, dtype, kind, options, B, H):
    net, after = pair(kind, H=H, dtype=dtype, **options)
    x, _ = data(B, T=7)
    out, other = net(x), after(x)
    assert same(out.y[:, 1:], other.y[:, :-1])
    assert same(out.hidden, other.hidden)
    assert same(out.final, other.final)
    first = np.zeros((B, H)) + 0.3 * ("trainable_h0" in options)
    head = net.parameters().get("head.weight", np.eye(H))
    expected = first @ head.T + net.parameters().get("head.bias", 0)
    np.testing.assert_allclose(out.y[:, 0], expected, rtol=1e-5, atol=1e-6)
    for mask in (None, np.arange(7) != 3):  # the output after a step that does not count
        rows = None if mask is None else np.tile(mask, (B, 1))
        y, hidden = net(x, mask=rows).y, after(x, mask=rows).y
        assert (y[:, 3] == 0).all() == (mask is not None)
        assert same(y[:, 4], (hidden[:, 3] if mask is None else hidden[:, 2]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "trainable_h0": True}, {"K": None}])
def test_a_stream_has_the_bits_of_a_batch(build, dtype, kind, options):
    for H in (1, 5, 16, 130):
        net, _ = pair(kind, H=H, dtype=dtype, **options)
        for count in (1, 3, 70) + (1200,) * (H == 1):
            x = np.random.default_rng(count).standard_normal((count, 4, 2)).astype(dtype)
            expected, state = net(x), None
            for t in range(4):
                y, state = net.step(x[:, t], state)
                assert same(y, expected.y[:, t])
            assert same(state, expected.final)
        y, state = net.run_stream(x[0, :3])
        assert same(y, expected.y[0, :3])
        y, state = net.step(x[0, 3], state)
        assert same(y, expected.y[0, 3])
        assert same(state, row(expected.final, 0))
        place = (np.empty_like(y), state)
        before = [part.copy() for part in parts(state)]
        y, _ = net.step(x[1, 0], state, out=place)
        wanted = before[0] if len(before) == 1 else tuple(before)
        assert same(y, net.step(x[0, 0], wanted)[0])  # whatever the input is


def test_with_a_skip_connection(build, dtype):
    net, after = pair(rc.RNN, skip=2, dtype=dtype, num_layers=2)
    x, _ = data(5, T=7)
    x = x.astype(dtype)
    assert same(net(x).y[:, 1:], after(x).y[:, :-1])
    state = None
    for t in range(7):
        y, state = net.step(x[:, t], state)
        assert same(y, net(x).y[:, t])


def test_gradients_are_those_of_the_steps_before(build):
    """Of targets that are shifted, with none for the first output."""
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for H, B, T in ((1, 1, 700), (3, 5, 6), (17, 2, 9)):
            net, after = pair(kind, H=H, dtype="float64")
            x, dy = rng.standard_normal((B, T, 2)), rng.standard_normal((B, T, 2))
            dy[:, 0] = 0
            shifted = np.concatenate([dy[:, 1:], np.zeros((B, 1, 2))], axis=1)
            for truncate in (None, 1, 3):
                got, expected = (
                    of.vjp(x, d, truncate=truncate) for of, d in ((net, dy), (after, shifted))
                )
                scale = np.abs(flat(expected[0])).max()
                assert np.abs(flat(got[0]) - flat(expected[0])).max() < 1e-12 * scale
                np.testing.assert_allclose(got[1], expected[1], rtol=1e-9, atol=1e-12 * scale)


def test_gradients_of_states_beside_those_of_outputs(build):
    """Their sum, in one call and from a tape, in one segment and in several."""
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for H, B, T in ((1, 1, 300), (3, 5, 6), (3, 20, 400), (17, 2, 9)):
            net, _ = pair(kind, H=H, dtype="float64", num_layers=1 + (H == 3))
            x, dy = rng.standard_normal((B, T, 2)), rng.standard_normal((B, T, 2))
            dhidden = rng.standard_normal((B, T, H))
            apart = net.vjp(x, dy), net.vjp(x, dhidden=dhidden)
            _, pull = net.linearize(x)
            for got in (net.vjp(x, dy, dhidden=dhidden), pull(dy, dhidden)):
                expected = flat(apart[0][0]) + flat(apart[1][0])
                scale = np.abs(expected).max()
                assert np.abs(flat(got[0]) - expected).max() < 1e-12 * scale
                assert np.abs(got[1] - apart[0][1] - apart[1][1]).max() < 1e-11
                for part, one, two in zip(*map(parts, (got[2], apart[0][2], apart[1][2])),
                                          strict=True):  # fmt: skip
                    np.testing.assert_allclose(part, one + two, rtol=1e-9, atol=1e-11)


def test_the_first_state_alone_is_learnt(build, dtype):
    """With one step, nothing but the first state and the read-out has a gradient."""
    for kind in KINDS:
        net, _ = pair(kind, dtype=dtype, trainable_h0=True)
        x, y = data(9, T=1)
        _, grads = net.loss_and_grad(x, np.repeat(y[:, None], 2, axis=2))
        moved = {name for name, g in grads.items() if g.any()}
        assert moved == {"h0", "head.weight", "head.bias"}


def test_fits_files_and_populations(build, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 9, 2)), rng.integers(0, 2, (12, 9))
    options = {"loss": "cross_entropy", "dtype": "float64", "trainable_h0": True}
    nets = [rc.GRU(2, 3, 2, readout="before", seed=m, **options) for m in range(3)]
    pop = rc.Population(rc.GRU, 3, 2, 3, 2, readout="before", seed=[0, 1, 2], **options)
    fit = {"epochs": 4, "rng": 0, "validation": 0.25, "patience": 2, "activation": 0.1}
    history = pop.fit(x, y, **fit)
    for m, net in enumerate(nets):
        expected = net.fit(x, y, **fit, checkpoint=tmp_path / f"fit{m}")
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8)
        np.testing.assert_allclose(
            history.validation[: len(expected), m], expected.validation, rtol=1e-9
        )
    net.save(tmp_path / "net.npz")
    assert rc.load(tmp_path / "net.npz").readout == "before"
    assert same(rc.load(tmp_path / "net.npz")(x).y, net(x).y)
    net.fit(x, y, epochs=1, validation=0.3, validation_split="time")


def test_gradient_flow(build):
    x, y = data(3, T=1)
    for kind in KINDS:
        for T in (1, 2, 40):
            net, after = pair(kind, dtype="float64")
            x = np.random.default_rng(0).standard_normal((3, T, 2))
            y = np.random.default_rng(1).standard_normal((3, T, 2))
            flow, grads = net.gradient_flow(x, y), net.loss_and_grad(x, y)[1]
            for name, values in grads.items():
                np.testing.assert_allclose(flow.terms[name].sum(axis=0), values, rtol=1e-9,
                                           atol=1e-15)  # fmt: skip
            assert flow.state_norms[-1] == 0
            if T == 40:  # of the last loss alone, which "all" has one step earlier
                other = after.gradient_flow(x[:, :-1], y[:, 1:])
                np.testing.assert_allclose(flow.state_norms[:-1] / flow.state_norms[-2],
                                           other.state_norms / other.state_norms[-1])  # fmt: skip
                assert flow.verdict == other.verdict
                assert abs(flow.factor - other.factor) < 1e-9
            else:
                assert flow.verdict == "healthy"
            flow.summary()


def test_simulations_give_the_probabilities_of_their_choices():
    def bandit(choices, trial, rng):
        return np.stack([choices, rng.random(len(choices)) < 0.5], axis=1)

    for readout in ("all", "before"):
        for loss, K in (("bce", 1), ("cross_entropy", 2)):
            net = rc.GRU(2, 3, K, loss=loss, readout=readout, seed=0)
            net.flat[:] *= 3
            seen = dynamics.simulate(net, bandit, 20, sessions=3, rng=0)
            given = dynamics.choice_probabilities(net, seen.x, seen.choices)
            chosen = np.take_along_axis(seen.probabilities, seen.choices[..., None], -1)[..., 0]
            np.testing.assert_allclose(given, chosen, rtol=1e-5)
    with pytest.raises(ValueError, match='first: expected None with readout="before"'):
        dynamics.simulate(net, bandit, 3, first=[0, 0])


def test_what_is_refused():
    with pytest.raises(ValueError, match="readout: expected 'last' or 'all' with bidirectional="):
        rc.RNN(2, 3, 1, readout="before", bidirectional=True)
    with pytest.raises(ValueError, match="did you mean 'before'"):
        rc.RNN(2, 3, 1, readout="previous_state")
    net = rc.RNN(2, 3, 1, readout="before", loss="mse")
    with pytest.raises(ValueError, match=r"y: expected \(4, 5\) or \(4, 5, 1\), got \(4,\)"):
        net.loss(np.zeros((4, 5, 2)), np.zeros(4))
