"""What a user may rely on: shapes, views, equivalent forms of input, streaming, copies."""

import copy
import pickle

import numpy as np
import pytest
from cases import Case, Problem
from states import same

import rnncore as rc


def net_and_x(B=5, T=6, D=3, H=4, K=2, **options):
    rng = np.random.default_rng(0)
    return rc.RNN(D, H, K, seed=1, **options), rng.standard_normal((B, T, D))


@pytest.mark.parametrize("readout", ["last", "all"])
def test_output_shapes_and_types(build, dtype, readout):
    net, x = net_and_x(readout=readout, dtype=dtype)
    out = net(x)
    assert out.y.shape == ((5, 2) if readout == "last" else (5, 6, 2))
    assert out.hidden.shape == (5, 6, 4)
    assert out.final.shape == (5, 1, 4)
    assert {value.dtype for value in out} == {np.dtype(dtype)}
    assert same(out.hidden[:, -1:], out.final)


def test_without_output_size_the_states_are_the_output(build):
    for readout, shape in (("last", (5, 4)), ("all", (5, 6, 4))):
        net, x = net_and_x(K=None, readout=readout)
        out = net(x)
        assert out.y.shape == shape
        assert same(out.y, out.hidden[:, -1] if readout == "last" else out.hidden)
    assert list(net.parameters()) == ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]


def test_parameters_are_views_into_flat_in_order():
    net, _ = net_and_x()
    parameters = net.parameters()
    shapes = {name: value.shape for name, value in parameters.items()}
    assert shapes == {
        "weight_ih_l0": (4, 3), "weight_hh_l0": (4, 4), "bias_ih_l0": (4,), "bias_hh_l0": (4,),
        "head.weight": (2, 4), "head.bias": (2,),
    }  # fmt: skip
    assert all(np.shares_memory(value, net.flat) for value in parameters.values())
    assert same(np.concatenate([value.ravel() for value in parameters.values()]), net.flat)
    parameters["head.bias"][:] = 7
    assert (net.flat[-2:] == 7).all()
    assert np.abs(net.flat[:-2]).max() <= 0.5  # uniform within 1 / sqrt(H)


def test_gradients_are_views_of_one_vector_in_the_order_of_flat():
    net, x = net_and_x(loss="mse")
    _, grads = net.loss_and_grad(x, np.zeros((5, 2)))
    bases = {id(value.base) for value in grads.values()}
    assert len(bases) == 1
    flat = next(iter(grads.values())).base
    assert same(np.concatenate([value.ravel() for value in grads.values()]), flat)


def test_changing_a_parameter_changes_the_network(build):
    net, x = net_and_x()
    before = net(x).y
    net.parameters()["head.bias"][:] += 1
    assert np.allclose(net(x).y, before + 1)


def test_same_seed_same_network():
    assert same(rc.RNN(2, 3, seed=5).flat, rc.RNN(2, 3, seed=5).flat)
    assert same(rc.RNN(2, 3, seed=np.random.default_rng(5)).flat, rc.RNN(2, 3, seed=5).flat)
    assert not same(rc.RNN(2, 3, seed=5).flat, rc.RNN(2, 3, seed=6).flat)
    assert not same(rc.RNN(2, 3).flat, rc.RNN(2, 3).flat)


@pytest.mark.parametrize("hidden", [1, 3])
def test_tokens_equal_one_hot_rows_bit_for_bit(build, dtype, hidden):
    problem = Problem(Case(tokens=True, inputs=5, hidden=hidden, batch=20, loss="mse"), dtype)
    net, y = problem.net, problem.y
    onehot = problem.rows.astype(dtype)
    for got, expected in zip(net(problem.tokens), net(onehot), strict=True):
        assert same(got, expected)
    for tokens in (problem.tokens, problem.tokens.astype(np.uint8), problem.tokens.tolist()):
        loss, grads = net.loss_and_grad(tokens, y)
        assert loss == net.loss(onehot, y)
    _, expected = net.loss_and_grad(onehot, y)
    for name in grads:
        assert np.allclose(grads[name], expected[name], rtol=1e-4 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("hidden", [1, 2, 3, 8])
@pytest.mark.parametrize("readout", ["last", "all"])
def test_a_sequence_gets_the_same_bits_in_any_company(build, dtype, hidden, readout):
    """Alone, in a batch, at any place in it, padded, listed, or with a mask of ones."""
    rng = np.random.default_rng(0)
    net = rc.RNN(2, hidden, 3, readout=readout, dtype=dtype, seed=0)
    sequences = [rng.standard_normal((n, 2)) for n in rng.integers(1, 9, 75)]
    listed = net(sequences)
    padded = np.full((75, 8, 2), 1e3)
    for s, sequence in enumerate(sequences):
        padded[s, : len(sequence)] = sequence
    lengths = [len(s) for s in sequences]
    cut = net(padded, lengths=lengths)
    masked = net(padded, mask=np.arange(8) < np.array(lengths)[:, None])
    for a, b, c in zip(listed, cut, masked, strict=True):
        assert same(a, b)
        assert same(a, c)
    for s in (0, 17, 40, 74):
        alone = net(sequences[s][None])
        n = lengths[s]
        assert same(alone.final[0], listed.final[s])
        assert same(alone.hidden[0], listed.hidden[s, :n])
        assert same(alone.y[0], listed.y[s, :n] if readout == "all" else listed.y[s])
        assert (listed.hidden[s, n:] == 0).all()
    everywhere = net(padded, mask=np.ones((75, 8)))  # the general loop, not the scalar one
    for a, b in zip(net(padded), everywhere, strict=True):
        assert same(a, b)


def test_results_do_not_vary_from_run_to_run(build):
    problem = Problem(Case(batch=50, time=9, hidden=7, readout="all", ragged="list"), "float32")
    first = problem.net.loss_and_grad(problem.x, problem.targets)
    again = problem.net.loss_and_grad(problem.x, problem.targets)
    assert first[0] == again[0]
    assert all(same(first[1][name], again[1][name]) for name in first[1])


def test_masked_steps_may_hold_anything(build):
    net, x = net_and_x(loss="mse", readout="all", dtype="float64")
    mask = np.ones((5, 6), bool)
    mask[1, 2] = mask[3, 5] = False
    y = np.zeros((5, 6, 2))
    loss, grads = net.loss_and_grad(x, y, mask=mask)
    x[~mask], y[~mask] = np.nan, np.inf
    wild_loss, wild = net.loss_and_grad(x, y, mask=mask)
    assert wild_loss == loss
    assert all(same(wild[name], grads[name]) for name in grads)


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_streaming_steps_equal_the_whole_sequence(build, dtype, batch):
    net, x = net_and_x(dtype=dtype, readout="all")
    out = net(x)
    state = None
    for t in range(6):
        if batch is None:
            y, state = net.step(x[0, t], state)
            assert y.shape == (2,)
            assert state.shape == (1, 4)
            assert same(y, out.y[0, t])
            assert same(state, out.hidden[0, t : t + 1])
        else:
            y, state = net.step(x[:batch, t], state)
            assert same(y, out.y[:batch, t])
            assert same(state, out.hidden[:batch, t : t + 1])
    if batch == 5:
        assert same(state, out.final)


def test_streaming_tokens(build):
    net = rc.RNN(4, 3, 2, readout="all", seed=0)
    tokens = np.array([[1, 0, 3], [2, 2, 1]])
    out, one, both = net(tokens), None, None
    for t in range(3):
        y, one = net.step(int(tokens[0, t]), one)
        assert same(y, out.y[0, t])
        y, both = net.step(tokens[:, t], both)
        assert same(y, out.y[:, t])


def test_the_final_state_continues_a_sequence(build):
    net, x = net_and_x(dtype="float64")
    first = net(x[:, :4])
    assert same(net(x[:, 4:], h0=first.final).final, net(x).final)
    assert same(net(x[:, 4:], h0=first.final[:, 0]).y, net(x).y)


def test_dh0_has_the_shape_of_h0():
    net, x = net_and_x()
    dy = np.ones((5, 2))
    assert net.vjp(x, dy)[2].shape == (5, 1, 4)
    assert net.vjp(x, dy, h0=np.zeros((5, 1, 4)))[2].shape == (5, 1, 4)
    assert net.vjp(x, dy, h0=np.zeros((5, 4)))[2].shape == (5, 4)


def test_any_layout_of_the_same_numbers_is_accepted(build):
    net, x = net_and_x(loss="mse")
    y = np.zeros(5 * 2).reshape(5, 2)
    expected = net.loss(x, y)
    readonly = x.astype(np.float32)
    readonly.setflags(write=False)
    unaligned = np.zeros(4 * x.size + 1, np.uint8)[1:].view(np.float32)
    unaligned[:] = x.ravel()
    wide = np.zeros((5, 12, 6))
    wide[:, ::2, ::2] = x
    forms = [
        x.tolist(), x.astype(">f8"), np.asfortranarray(x), readonly, wide[:, ::2, ::2],
        x[:, :, ::-1].copy()[:, :, ::-1], list(x), tuple(x), x.astype(np.longdouble),
        x.astype(np.float32), np.asfortranarray(x.astype(np.float32)), unaligned.reshape(x.shape),
    ]  # fmt: skip
    for form in forms:
        assert net.loss(form, y) == expected
    assert net.loss(np.round(x).astype(np.int16), y) == net.loss(np.round(x), y)


def test_any_layout_of_the_same_targets_is_accepted(build, dtype):
    net, x = net_and_x(loss="mse", dtype=dtype)
    y = np.arange(10).reshape(5, 2) % 2
    expected = net.loss_and_grad(x.astype(dtype), y.astype(dtype))
    unaligned = np.zeros(10 * np.dtype(dtype).itemsize + 1, np.uint8)[1:].view(dtype)
    unaligned[:] = y.ravel()
    forms = [
        y.tolist(), y, y.astype(bool), y.astype(np.uint8), y.astype(">i4"), np.asfortranarray(y),
        np.asfortranarray(y.astype(dtype)), y.astype(">f8"), y.astype(np.float16),
        np.repeat(y, 2, axis=0)[::2], np.repeat(y.astype(dtype), 2, axis=1)[:, ::2],
        unaligned.reshape(5, 2),
    ]  # fmt: skip
    for form in forms:
        loss, grads = net.loss_and_grad(x.astype(dtype), form)
        assert loss == expected[0]
        assert all(same(grads[name], expected[1][name]) for name in grads)


def test_targets_of_one_output_may_leave_the_last_axis_out(build):
    net, x = net_and_x(K=1, loss="bce")
    y = np.array([0, 1, 1, 0, 1])
    assert net.loss(x, y) == net.loss(x, y[:, None]) == net.loss(x, y.astype(bool))
    net, x = net_and_x(K=1, loss="mse", readout="all")
    y = np.ones((5, 6))
    assert net.loss(x, y) == net.loss(x, y[:, :, None]) == net.loss(list(x), list(y))


def test_predictions(build):
    net, x = net_and_x(K=3, loss="cross_entropy")
    p = net.predict_proba(x)
    assert p.shape == (5, 3)
    assert np.allclose(p.sum(axis=1), 1)
    assert (net.predict(x) == p.argmax(axis=1)).all()
    net, x = net_and_x(K=1, loss="bce", readout="all")
    p = net.predict_proba(x)
    assert p.shape == (5, 6, 1)
    assert np.allclose(p, 1 / (1 + np.exp(-net(x).y)))
    assert (net.predict(x) == (p[..., 0] > 0.5)).all()
    net, x = net_and_x(K=1, loss="mse")
    assert same(net.predict(x), net(x).y[:, 0])
    net, x = net_and_x(K=2)
    assert same(net.predict(x), net(x).y)


def test_state_dict_is_a_copy_and_loads(build):
    net, x = net_and_x()
    state = net.state_dict()
    state["head.bias"][:] = 9
    assert (net.parameters()["head.bias"] != 9).all()
    other = rc.RNN(3, 4, 2, seed=2)
    other.load_state_dict(net.state_dict())
    assert same(other(x).y, net(x).y)
    views = net.parameters()
    net.load_state_dict(rc.RNN(3, 4, 2, seed=3).state_dict())
    assert np.shares_memory(views["head.bias"], net.flat)


def test_copies_and_pickles_are_independent(build):
    net, x = net_and_x(loss="mse")
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.config == net.config
        assert same(twin(x).y, net(x).y)
        twin.flat[:] = 0
        assert (net.flat != 0).any()


class Derived(rc.RNN):
    """With a constructor and an attribute of its own."""

    def __init__(self, size):
        super().__init__(size, 2, 1, seed=0)
        self.vocabulary = ["cat", "mat"]


def test_derived_classes_are_copied_whole_and_saved_as_what_they_derive_from(tmp_path):
    net = Derived(3)
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(twin) is Derived
        assert twin.vocabulary == net.vocabulary
        assert same(twin.flat, net.flat)
    net.save(tmp_path / "net.npz")
    assert same(rc.load(tmp_path / "net.npz").flat, net.flat)


def test_a_network_may_load_views_of_itself():
    net = rc.RNN(2, 2, seed=0)
    before = net.state_dict()
    p = net.parameters()
    net.load_state_dict(p | {"weight_ih_l0": p["weight_hh_l0"], "weight_hh_l0": p["weight_ih_l0"]})
    assert same(p["weight_ih_l0"], before["weight_hh_l0"])
    assert same(p["weight_hh_l0"], before["weight_ih_l0"])


def test_predictions_of_steps_that_do_not_count_are_zero(build):
    net, x = net_and_x(K=1, loss="bce", readout="all")
    for options in ({"lengths": [6, 5, 4, 3, 2]}, {"mask": np.tri(5, 6)}):
        counted = np.abs(net(x, **options).hidden).sum(axis=2) > 0
        assert (net.predict_proba(x, **options)[..., 0] > 0).tolist() == counted.tolist()
        assert (net.predict(x, **options)[~counted] == 0).all()


def test_integers_of_a_step_are_what_they_are_with_and_without_a_state():
    """Tokens by their shape alone; refused where that may mean either."""
    net = rc.RNN(3, 2, 1, seed=0)
    one, three, four = np.zeros((1, 2)), np.zeros((3, 1, 2)), np.zeros((4, 1, 2))
    text = r"x_t: expected the 3 numbers of one stream or tokens of 3 streams, got \(3,\) of int64"
    for state in (None, one, three):
        for numbers in (np.array([1, 0, 2]), [1, 0, 2]):
            with pytest.raises(ValueError, match=text):
                net.step(numbers, state)
    tokens = np.array([1, 0, 2])
    for state in (None, three):
        y, after = net.step(tokens[:, None], state)
        assert y.shape == (3, 1)
        assert after.shape == (3, 1, 2)
        assert all(same(y[s], net.step(token)[0]) for s, token in enumerate(tokens))
        rows = np.eye(3, dtype=int)[tokens]  # integers, but numbers: of every stream one for each
        assert same(y, net.step(rows, state)[0])
    for state in (None, four):
        assert same(net.step([1, 0, 2, 2], state)[0][:3], y)
    assert same(net.step(np.array([1.0, 0, 2]), one)[0], net.step([1.0, 0, 2])[0])


def test_integers_of_one_number_per_step():
    net = rc.RNN(1, 2, 1, seed=0)
    y, state = net.step(np.array([7]))
    assert same(y, net.step([7.0])[0])
    assert same(net.step(np.array([7]), state)[1], net.step([7.0], state)[1])
    assert same(net.step(np.array([[7], [7]]))[0], np.stack([y, y]))
    with pytest.raises(ValueError, match=r"got 7 at \[1\]; write x_t\[:, None\] for one number"):
        net.step([0, 7])


def test_an_output_is_printed_by_its_shapes():
    x = np.zeros((200, 50, 3))
    net = rc.LSTM(3, 4, 2, num_layers=2, readout="all", dtype="float64")
    text = "Output(y (200, 50, 2), hidden (200, 50, 4), final h and c (200, 2, 4) of float64)"
    assert repr(net(x)) == text
    assert repr(rc.GRU(3, 4)(x[:1])) == (
        "Output(y (1, 4), hidden (1, 50, 4), final (1, 1, 4) of float32)"
    )


def test_repr_shows_how_to_make_it():
    net = rc.RNN(3, 1, 1, loss="bce", bias=False)
    text = repr(net)
    assert "5 parameters" in text
    assert eval(text, {"RNN": rc.RNN}).config == net.config


def test_long_sequences(build):
    """A hundred thousand steps, forward in segments and backward over the whole tape."""
    x = np.random.default_rng(0).standard_normal((1, 100_000, 1))
    net = rc.RNN(1, 1, 1, bias=False, loss="mse", dtype="float64", seed=0)
    net.flat[:] = [0.5, 0.9, 1.0]
    h, d, loss = 0.0, 0.0, None
    for v in x[0, :, 0]:
        h_next = np.tanh(0.5 * v + 0.9 * h)
        d = (1 - h_next**2) * (h + 0.9 * d)  # dh_t/dw_h, forward in time
        h = h_next
    loss, grads = net.loss_and_grad(x, [0.25])
    assert loss == pytest.approx((h - 0.25) ** 2, rel=1e-12)
    assert grads["weight_hh_l0"][0, 0] == pytest.approx(2 * (h - 0.25) * d, rel=1e-10)


def test_subnormal_mode_is_restored(build):
    """Inside, subnormals count as zero; the caller's arithmetic must not notice."""
    tiny = np.array([5e-324, 1e-310])
    net, x = net_and_x(loss="mse")
    net.loss_and_grad(x, np.zeros((5, 2)))
    net.fit(x, np.zeros((5, 2)), epochs=2, rng=0)
    assert (tiny * 1.0 > 0).all()
    assert 5e-324 * 1.0 > 0


def test_vanishing_gradients_are_flushed_to_zero(build):
    net = rc.RNN(1, 1, 1, bias=False, nonlinearity="identity", dtype="float64", seed=0)
    net.flat[:] = [1, 1e-3, 1]
    _, dx, _ = net.vjp(np.ones((1, 200, 1)), np.ones((1, 1)))
    sizes = dx[0, ::-1, 0]
    normal = np.arange(200) <= 102  # 1e-3 ** 102 = 1e-306
    assert np.allclose(sizes[normal], 1e-3 ** np.arange(103.0), rtol=1e-12)
    assert (sizes[~normal] == 0).all()


def test_probabilities_of_logits_that_overflow(build):
    net = rc.RNN(1, 1, 3, nonlinearity="identity", loss="cross_entropy", bias=False, seed=0)
    net.flat[:] = [2, 0, 2, 1e-30, -2]
    x = np.full((1, 1, 1), 1e38)
    assert net(x).y[0, [0, 2]].tolist() == [np.inf, -np.inf]
    assert net.predict_proba(x).tolist() == [[1, 0, 0]]
