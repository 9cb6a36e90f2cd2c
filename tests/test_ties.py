"""Parameters that share a value: the updates are those of one number, by a fit in plain numpy."""

import numpy as np
import pytest
from fits import RULES, SharedValues, data, flat, made_equal, ties_of

import rnncore as rc

KINDS = [rc.RNN, rc.LSTM, rc.GRU, rc.MGU]


def fitted(net, x, y, epochs, batch_size, options):
    """The parameters after fit's updates, with one number for all that share a value."""
    shared, norms = SharedValues(net, **options), []
    for _ in range(epochs):
        largest = 0
        for i in range(0, len(x), batch_size):
            net.flat[:] = shared.flat
            part = slice(i, i + batch_size)
            largest = max(largest, shared.step(flat(net.loss_and_grad(x[part], y[part])[1])))
        norms.append(largest)
    return shared.flat, norms


@pytest.mark.parametrize("seed", range(28))
def test_a_fit_is_that_of_the_shared_values(build, seed):
    rng = np.random.default_rng(seed)
    kind, (x, y) = KINDS[seed % 4], data(B=10, T=5, seed=seed)
    options = {"loss": "mse", "dtype": "float64", "trainable_h0": bool(seed % 3 == 0)}
    if seed % 5 == 0:
        options |= {"num_layers": 2, "bidirectional": True}
    batch_size, fit = int(rng.choice([1, 4, 10])), {"optimizer": RULES[seed % 7], "lr": 0.05}
    fit |= [{}, {"clip_norm": 0.1}, {"clip_value": 0.02}, {"l1": 0.01}, {"weight_decay": 0.1},
            {"clip_norm": 0.5, "clip_value": 0.1, "l1": 0.1, "weight_decay": 0.3}][
                seed % 6]  # fmt: skip
    if seed % 4 == 1:
        fit["freeze"] = "head"
    H = [1, 3, 17][seed % 3]
    nets = [kind(2, H, 1, seed=m, **options) for m in range(3)]
    tie = ties_of(nets[0], seed)
    fit["tie"] = tie
    whole = {"epochs": 3, "batch_size": batch_size, "shuffle": False, **fit}
    pop = made_equal(rc.Population(kind, 3, 2, H, 1, seed=[0, 1, 2], **options), tie)
    history = pop.fit(x, y, **whole)
    for m, net in enumerate(nets):
        made_equal(net, tie)
        start = net.flat.copy()
        expected, norms = fitted(net, x, y, 3, batch_size, fit)
        net.flat[:] = start
        of = net.fit(x, y, **whole)
        np.testing.assert_allclose(net.flat, expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(pop.flat[m], expected, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(of.gradient_norm, norms, rtol=1e-8)
        np.testing.assert_allclose(history.gradient_norm[:, m], norms, rtol=1e-8)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hidden", [2, 17])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_what_is_equal_stays_equal_to_the_bit(build, dtype, rule, hidden, batch_size):
    x, y = data(B=10)
    pop = rc.Population(rc.GRU, 21, 2, hidden, 1, loss="mse", dtype=dtype, seed=0)
    tie = ties_of(pop[0], 1)
    made_equal(pop, tie)
    fit = {"epochs": 4, "optimizer": rule, "l1": 0.01, "weight_decay": 0.1, "clip_norm": 0.5,
           "batch_size": batch_size, "tie": tie, "validation": 0.3, "patience": 2,
           "rng": 0}  # fmt: skip
    before = pop.flat.copy()
    pop.fit(x, y, **fit)
    for m in (0, 20):
        net = pop[m]
        assert (made_equal(net, tie).flat == pop.flat[m]).all()
        assert (net.flat != before[m]).any()
        values = np.concatenate([v[tie[k] == 0] for k, v in net.parameters().items() if k in tie])
        assert len(values) > 1
        assert len(set(values.tolist())) == 1


def test_a_whole_parameter_and_a_checkpoint(build, tmp_path):
    x, y = data(B=10)
    tie = {"bias_ih_l0": 7, "head.weight": 7, "weight_hh_l0": np.full((4, 4), -1)}

    def fit(epochs, path=None):
        net = made_equal(rc.RNN(2, 4, 1, loss="mse", seed=0), tie)
        net.fit(x, y, epochs=epochs, tie=tie, rng=0, checkpoint=path)
        pop = made_equal(rc.Population(rc.RNN, 3, 2, 4, 1, loss="mse", seed=0), tie)
        pop.fit(x, y, epochs=epochs, tie=tie, rng=0, checkpoint=path and f"{path}.pop")
        assert len({*net.parameters()["bias_ih_l0"], *net.parameters()["head.weight"][0]}) == 1
        return net.flat.tobytes(), pop.flat.tobytes()

    fit(3, tmp_path / "fit")
    assert fit(6, tmp_path / "fit") == fit(6)
    net = rc.RNN(2, 4, 1, loss="mse", seed=0)
    with pytest.raises(ValueError, match="of one with tie="):
        net.fit(x, y, epochs=6, rng=0, checkpoint=tmp_path / "fit")
    pop = rc.Population(rc.RNN, 3, 2, 4, 1, loss="mse", seed=0)
    with pytest.raises(ValueError, match="checkpoint: expected one of this fit"):
        pop.fit(x, y, epochs=6, rng=0, checkpoint=tmp_path / "fit.pop")


def test_by_processes_and_in_sweeps():
    from concurrent.futures import ThreadPoolExecutor

    x, y = data(B=12)
    tie = {"head.weight": 0}

    def fit(**options):
        pop = made_equal(rc.Population(rc.GRU, 20, 2, 2, 1, loss="mse", seed=0), tie)
        pop.fit(x, y, epochs=4, tie=tie, rng=0, **options)
        return pop.flat.tobytes()

    with ThreadPoolExecutor(2) as pool:
        assert fit(executor=pool) == fit()

    def same(name, shape, rng):
        values = rng.uniform(-1, 1, shape)
        return np.full(shape, values.flat[0]) if name == "head.weight" else values

    found = rc.sweep(
        rc.GRU, x, y, grid={"hidden_size": [2, 3], "lr": [0.01, 0.1]}, input_size=2, output_size=1,
        loss="mse", epochs=3, init=same, tie=tie, seeds=2,
    )  # fmt: skip
    for row in range(len(found)):
        assert len(set(found.network(row).parameters()["head.weight"].ravel().tolist())) == 1


def test_nothing_is_tied():
    x, y = data(B=10)
    flats = []
    for tie in (None, {}, {"head.weight": -1}, {"head.weight": np.arange(4)[None]}):
        net = rc.RNN(2, 4, 1, loss="mse", seed=0)
        net.fit(x, y, epochs=2, tie=tie, rng=0)
        flats.append(net.flat.tobytes())
    assert len(set(flats)) == 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"tie": ["head"]}, TypeError, "tie: expected a mapping of names to integers, got a list"),
        ({"tie": {"head": 0}}, ValueError, "tie: expected one of weight_ih_l0, .*; got 'head'"),
        ({"tie": {3: 0}}, ValueError, "tie: expected one of weight_ih_l0, .*; got 3"),
        ({"tie": {"head.weight": 0.5}}, TypeError, r"tie\['head.weight'\]: expected integers, got"),
        ({"tie": {"head.weight": True}}, TypeError, r"expected integers, got dtype bool"),
        ({"tie": {"head.weight": [0, 1]}}, ValueError, r"integers \(1, 4\), got shape \(2,\)"),
        ({"tie": {"head.weight": "a"}}, TypeError, r"tie\['head.weight'\]: expected real numbers"),
        ({"tie": {"head.weight": 5}}, ValueError,
         r"tie: expected equal values in group 5, got \S+ in head.weight\[0, 0\] and \S+ in head."),
        ({"tie": {"head.weight": [[0, -1, -1, -1]], "head.bias": 0}}, ValueError,
         r"in head.weight\[0, 0\] and \S+ in head.bias\[0\]"),
        ({"tie": {"bias_ih_l0": 2}, "freeze": {"bias_ih": np.arange(4) < 2}}, ValueError,
         "freeze: expected all of group 2 of tie=, or nothing of it"),
        ({"tie": {"bias_ih_l0": 2, "bias_hh_l0": 2}, "l1": {"bias_ih": 0.5}}, ValueError,
         "l1: expected one strength for group 2 of tie=, got 0.5 and 0"),
        ({"tie": {"bias_ih_l0": 2, "bias_hh_l0": 2}, "weight_decay": {"bias_ih": 0.5}}, ValueError,
         "weight_decay: expected one strength for group 2 of tie=, got 0.5 and 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_tied(options, error, text):
    x, y = data(B=6)
    net = rc.RNN(2, 4, 1, loss="mse", seed=0)
    pop = rc.Population(rc.RNN, 2, 2, 4, 1, loss="mse", seed=0)
    for of in (net, pop):
        for name in ("bias_ih_l0", "bias_hh_l0"):
            of.parameters()[name][:] = 0.25
        before = of.flat.copy()
        with pytest.raises(error, match=text):
            of.fit(x, y, epochs=1, **options)
        assert (of.flat == before).all()


def test_the_member_whose_values_differ_is_named():
    x, y = data(B=6)
    pop = rc.Population(rc.RNN, 4, 2, 4, 1, loss="mse", seed=0)
    pop.parameters()["bias_ih_l0"][:] = 0.5
    pop.parameters()["bias_ih_l0"][2, 1] = 0.25
    with pytest.raises(ValueError, match=r"member 2: tie: .*0.5 in bias_ih_l0\[0\] and 0.25 in"):
        pop.fit(x, y, epochs=1, tie={"bias_ih_l0": 1})
