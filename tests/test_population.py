"""Populations: every member is the network that `fit` of it alone makes, whoever is trained beside
it, and wherever."""

import numpy as np
import pytest
from fits import made_equal

import rnncore as rc

KINDS = [rc.RNN, rc.GRU, rc.LSTM, rc.MGU]
LOSSES = ["bce", "mse", "cross_entropy", "huber", "poisson", "gaussian_nll"]


def targets(rng, loss, shape, K):
    if loss == "cross_entropy" and rng.integers(3) == 0:
        return rng.dirichlet(np.ones(K), shape)
    if loss == "cross_entropy":
        return rng.integers(-1, K, shape)
    if loss == "gaussian_nll":
        K //= 2
    numbers = rng.random((*shape, K))
    return np.floor(4 * numbers) if loss == "poisson" else numbers


#: What goes with a switching network.
ALONE = {"skip": None, "reset": "after"}


def draw(seed):
    """A network's arguments, the data, each member's sequences, and options of a fit."""
    rng = np.random.default_rng(seed)
    loss, readout = rng.choice(LOSSES), rng.choice(["last", "all"])
    D, H, K, B, T, M = 3, int(rng.choice([1, 2, 3, 5, 9])), 2, 9, int(rng.integers(1, 12)), 11
    K = int(rng.choice([2, 3])) if loss == "cross_entropy" else K
    kind = KINDS[rng.integers(4)]
    make = {"loss": str(loss), "readout": str(readout), "bias": bool(rng.integers(4) > 0)}
    make["readout_bias"] = (None, False, True)[seed % 3]
    if rng.integers(3) == 0:
        make["num_layers"], make["dropout"] = 2, float(rng.choice([0, 0.3]))
    if seed % 5 < 2:
        make["recurrent_dropout"] = 0.4
    if seed % 5 in (1, 2):
        make["zoneout"] = (0.2, 0.5) if kind is rc.LSTM else 0.3
    if rng.integers(5) == 0:
        make["bidirectional"] = True
    if rng.integers(3) == 0:
        make["trainable_h0"] = True
    if readout == "all" and not make.get("bidirectional") and seed % 2:
        make["readout"] = "before"
    if kind is rc.RNN:
        make["nonlinearity"] = str(rng.choice(["tanh", "relu", "sigmoid"]))
        make["skip"] = [None, None, 2][rng.integers(3)]
    if kind in (rc.GRU, rc.MGU):
        make["nonlinearity"] = str(rng.choice(["tanh", "relu"]))
    if kind is rc.GRU:
        make["reset"] = ("before", "after")[seed % 2]
    x = rng.standard_normal((B, T, D)) if rng.integers(4) else rng.integers(0, D, (B, T))
    if seed % 4 == 2:
        x = x if x.ndim == 2 else (3 * rng.random((B, T))).astype(int)
        make = {
            k: v for k, v in make.items() if k not in ("num_layers", "dropout", "bidirectional")
        }
        make |= {"switching": True} | {k: v for k, v in ALONE.items() if k in make}
    y = targets(rng, loss, (B, T) if readout == "all" else (B,), K)
    if loss == "cross_entropy" and y.dtype.kind == "i":
        y[..., :1] = np.abs(y[..., :1])
        y = y if readout == "all" else np.abs(y)
    extra = {}
    if rng.integers(3) == 0:
        extra["lengths"] = rng.integers(1, T + 1, B)
    elif rng.integers(3) == 0:
        extra["mask"] = rng.random((B, T)) < 0.7
        extra["mask"][:, 0] = True
    if rng.integers(3) == 0:
        extra["sample_weight"] = rng.random(B) + 0.1
    fit = {
        "epochs": 3, "optimizer": str(rng.choice(["sgd", "momentum", "nesterov", "rmsprop", "adam",
                                                  "adamw", "lion"])),
        "lr": 0.01, "batch_size": int(rng.choice([1, 2, 3, 4, 100])), "patience": 2,
    }  # fmt: skip
    fit |= [{}, {"clip_norm": 0.1}, {"clip_value": 0.05}, {"activation": 0.1}, {"l1": 0.01},
            {"truncate": 3}, {"weight_decay": {"weight": 0.1}}][rng.integers(7)]  # fmt: skip
    if seed % 3 == 0:
        shapes = kind(D, H, K, **make).parameters()
        names = rng.permutation([name for name in shapes if name.startswith("weight")])
        fit["tie"] = {str(k): rng.integers(-1, 4, shapes[str(k)].shape) for k in names[:2]}
    every = [rng.permutation(B) for _ in range(M)]
    train = [order[: rng.integers(3, 7)] for order in every]
    held = [order[7:] for order in every]
    return kind, (D, H, K), make, (x, y, extra), train, held, fit


def part(data, rows):
    x, y, extra = data
    return x[rows], y[rows], {name: values[rows] for name, values in extra.items()}


def alone(kind, sizes, make, data, train, held, fit, m):
    """The m-th member, trained by `fit` of a network."""
    net = made_equal(kind(*sizes, seed=m, **make), fit.get("tie", {}))
    x, y, extra = part(data, train)
    x_held, y_held, extra_held = part(data, held)
    history = net.fit(x, y, validation={"x": x_held, "y": y_held, **extra_held}, **extra, **fit)
    return net, history


@pytest.mark.parametrize("seed", range(30))
def test_a_member_is_the_network_that_is_trained_alone(build, seed):
    kind, sizes, make, data, train, held, fit = draw(seed)
    make["dtype"], fit["rng"] = "float64", seed
    x, y, extra = data
    pop = rc.Population(kind, 11, *sizes, seed=list(range(11)), **make)
    made_equal(pop, fit.get("tie", {}))
    history = pop.fit(x, y, train=train, validation=held, **extra, **fit)
    for m in range(11):
        net, expected = alone(kind, sizes, make, data, train[m], held[m], fit, m)
        n = len(expected)
        assert history.epochs[m] == n
        assert history.best_epoch[m] == expected.best_epoch
        assert history.stopped[m] == expected.stopped
        np.testing.assert_allclose(history.loss[:n, m], expected.loss, rtol=1e-9)
        np.testing.assert_allclose(history.validation[:n, m], expected.validation, rtol=1e-9)
        np.testing.assert_allclose(history.gradient_norm[:n, m], expected.gradient_norm, rtol=1e-8)
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8, atol=1e-10)
        assert np.isnan(history.loss[n:, m]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 2, 17])
def test_a_step_in_float32_is_that_of_a_network(build, kind, hidden):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((7, 20, 3)), rng.integers(0, 2, (7, 20))
    make = {"loss": "cross_entropy", "readout": "all"}
    pop = rc.Population(kind, 9, 3, hidden, 2, seed=list(range(9)), **make)
    before = pop.flat.copy()
    pop.fit(x, y, epochs=1, batch_size=None, optimizer="sgd", lr=1.0)
    for m in range(9):
        grads = kind(3, hidden, 2, seed=m, **make).loss_and_grad(x, y)[1]
        expected = np.concatenate([g.ravel() for g in grads.values()])
        np.testing.assert_allclose(before[m] - pop.flat[m], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sequences", [1, 2, 3, 5, 8, 9, 13, 21])
@pytest.mark.parametrize("hidden", [2, 6])
@pytest.mark.parametrize("classes", [2, 3, "soft", "bce"])
def test_a_step_of_any_number_of_sequences(build, dtype, sequences, hidden, classes):
    """Side by side are one, two, four or eight vectors of them, some of which may be empty."""
    rng = np.random.default_rng(sequences)
    K = 3 if classes in (3, "soft") else 2
    x, y = rng.standard_normal((sequences, 6, 2)), rng.integers(0, K, (sequences, 6))
    if classes == "soft":
        y = rng.dirichlet(np.ones(K), (sequences, 6))
    elif classes == "bce":
        y = rng.random((sequences, 6, K))
    loss = "bce" if classes == "bce" else "cross_entropy"
    make = {"loss": loss, "readout": "all", "dtype": dtype}
    fit = {"epochs": 1, "optimizer": "sgd", "lr": 1.0, "batch_size": None}
    pop = rc.Population(rc.GRU, 9, 2, hidden, K, seed=list(range(9)), **make)
    every = np.arange(sequences)
    history = pop.fit(x, y, train=every, validation=every, **fit)
    limit = 1e-12 if dtype == "float64" else 2e-5
    for m in range(9):
        net = rc.GRU(2, hidden, K, seed=m, **make)
        expected = net.fit(x, y, validation=(x, y), **fit)
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=limit, atol=limit / 10)
        assert history.loss[0, m] == pytest.approx(expected.loss[0], rel=limit)
        assert history.validation[0, m] == pytest.approx(expected.validation[0], rel=limit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hidden", [1, 2, 4, 17])
@pytest.mark.parametrize("batch_size", [1, 2, None])
def test_a_step_of_a_switching_network(build, dtype, kind, hidden, batch_size):
    """Of tokens of every member's own, in groups of members too."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 6, (9, 5, 11)), rng.integers(0, 2, (9, 5, 11))
    make = {"loss": "cross_entropy", "readout": "all", "switching": True, "dtype": dtype}
    pop = rc.Population(kind, 9, 6, hidden, 2, seed=list(range(9)), **make)
    fit = {"epochs": 1, "batch_size": batch_size, "optimizer": "sgd", "lr": 0.5, "shuffle": False}
    own = [list(part) for part in x]
    pop.fit(own, list(y), **fit)
    limit = 1e-12 if dtype == "float64" else 1e-5
    for m in range(9):
        net = kind(6, hidden, 2, seed=m, **make)
        net.fit(x[m], y[m], **fit)
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=limit, atol=limit)
        assert pop.loss(own, list(y))[m] == pytest.approx(net.loss(x[m], y[m]), rel=limit)


def trained(which, threads=1, hidden=2, batch_size=4, longest=40, epochs=30, **options):
    """Some of 21 members with data, lengths and options of their own."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, longest, 30)
    x = [rng.standard_normal((length, 2)) for length in lengths]
    if options.get("switching"):
        x = [(values[:, 0] > 0).astype(int) for values in x]
    y = [rng.integers(0, 2, length) for length in lengths]
    train = [rng.permutation(30)[: rng.integers(1, 12)] for _ in range(21)]
    held = [rng.permutation(30)[: rng.integers(1, 6)] for _ in range(21)]
    lr, l1 = rng.random(21) / 10 + 0.01, rng.random(21) / 100
    which = np.arange(21)[which]
    pop = rc.Population(
        rc.GRU, len(which), 2, hidden, 2, loss="cross_entropy", readout="all",
        seed=which.tolist(), **options,
    )  # fmt: skip
    history = pop.fit(
        x, y, train=[train[m] for m in which], validation=[held[m] for m in which],
        epochs=epochs, batch_size=batch_size, lr=lr[which], l1=l1[which], patience=3, rng=7,
        threads=threads, optimizer="adamw",
    )  # fmt: skip
    return pop.flat, history


@pytest.mark.parametrize("switching", [False, True])
@pytest.mark.parametrize(("hidden", "batch_size"), [(1, 4), (2, 4), (20, 4), (2, 1), (6, 1)])
def test_the_bits_of_a_member_are_its_own(build, dtype, hidden, batch_size, switching):
    """They depend neither on the others nor on its place among them, nor on threads."""
    options = {
        "hidden": hidden, "batch_size": batch_size, "dtype": dtype, "switching": switching
    }  # fmt: skip
    if batch_size == 1:  # groups of members, and sequences of several segments
        options |= {"longest": 400, "epochs": 8}
    flat, history = trained(np.arange(21), **options)
    assert len(set(history.epochs.tolist())) > 3
    for threads in (2, 3):
        again, other = trained(np.arange(21), threads, **options)
        assert again.tobytes() == flat.tobytes()
        assert other.loss.tobytes() == history.loss.tobytes()
    for which in ([4, 3], [20, 0, 7, 12, 13, 2], np.arange(21)[::-1]):
        other, _ = trained(which, **options)
        assert other.tobytes() == flat[which].tobytes()


def test_members_have_data_of_their_own(build):
    rng = np.random.default_rng(0)
    sizes = [(3, 12), (1, 20), (5, 7)]
    x = [rng.standard_normal((B, T, 2)) for B, T in sizes]
    y = [rng.standard_normal((B, T)) for B, T in sizes]
    make = {"loss": "mse", "readout": "all", "dtype": "float64"}
    fit = {"epochs": 5, "batch_size": 2, "rng": 0}
    pop = rc.Population(rc.LSTM, 3, 2, 3, 1, seed=[0, 1, 2], **make)
    history = pop.fit(x, y, validation=(x, y), **fit)
    for m in range(3):
        net = rc.LSTM(2, 3, 1, seed=m, **make)
        expected = net.fit(x[m], y[m], validation=(x[m], y[m]), **fit)
        np.testing.assert_allclose(history.loss[:, m], expected.loss, rtol=1e-9)
        np.testing.assert_allclose(history.validation[:, m], expected.validation, rtol=1e-9)
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8)
        np.testing.assert_allclose(pop.loss(x, y)[m], net.loss(x[m], y[m]), rtol=1e-9)
    assert [out.shape for out in pop(x).y] == [(3, 12, 1), (1, 20, 1), (5, 7, 1)]
    pop.fit(x, y, train=[[0, 2], [0], [4]], **fit)


def test_a_share_is_held_out_as_for_a_network(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 6, 2)), rng.standard_normal(20)
    make = {"loss": "mse", "dtype": "float64"}
    fit = {"epochs": 4, "validation": 0.25, "patience": 2}
    pop = rc.Population(rc.GRU, 5, 2, 2, 1, seed=range(5), **make)
    history = pop.fit(x, y, rng=[3, 4, 5, 6, 7], **fit)
    for m in range(5):
        net = rc.GRU(2, 2, 1, seed=m, **make)
        expected = net.fit(x, y, rng=3 + m, **fit)
        np.testing.assert_allclose(history.validation[: len(expected), m], expected.validation)
        np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8)


def test_a_member_that_diverges_is_left_as_it_was(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 10, 1)), rng.standard_normal(12)
    make = {"loss": "mse", "nonlinearity": "identity"}

    def fit(members):
        pop = rc.Population(rc.RNN, len(members), 1, 2, 1, seed=list(members), **make)
        lr = np.where(np.array(members) == 3, 1e3, 0.01)
        return pop, pop.fit(x, y, epochs=40, batch_size=5, lr=lr, optimizer="sgd", rng=0)

    with pytest.warns(RuntimeWarning, match=r"member 3 was not finite"):
        pop, history = fit(range(10))
    assert history.stopped.tolist() == ["epochs"] * 3 + ["diverged"] + ["epochs"] * 6
    assert history.epochs[3] < 40
    assert np.isfinite(pop.flat).all()
    assert np.isnan(history.loss[history.epochs[3] :, 3]).all()
    others = [m for m in range(10) if m != 3]
    twin, _ = fit(others)
    assert twin.flat.tobytes() == pop.flat[others].tobytes()


def test_schedules_and_plateaus_are_those_of_a_network(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 10, 1)), rng.standard_normal(12)
    make = {"loss": "mse", "dtype": "float64"}
    for lr in (rc.schedules.Cosine(0.1), rc.schedules.Plateau(0.3, patience=0), lambda e: 0.1 / e):
        fit = {"epochs": 12, "lr": lr, "rng": 0}
        pop = rc.Population(rc.GRU, 3, 1, 2, 1, seed=[0, 1, 2], **make)
        pop.fit(x, y, **fit)
        for m in range(3):
            net = rc.GRU(1, 2, 1, seed=m, **make)
            net.fit(x, y, **fit)
            np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-8)


def test_members_are_networks_that_share_the_parameters():
    pop = rc.Population(rc.GRU, 12, 3, 2, 2, loss="cross_entropy", seed=0)
    net = pop[7]
    assert isinstance(net, rc.GRU)
    net.flat[:] = 0.25
    assert (pop.flat[7] == 0.25).all()
    assert (pop[-5].flat == 0.25).all()
    pop[3:9].flat[0] = 0.5
    assert (pop[3].flat == 0.5).all()
    chosen = pop[[3, 7]]
    assert len(chosen) == 2
    chosen.flat[:] = 1
    assert (pop[3].flat == 0.5).all()
    assert len(pop[np.arange(12) % 2 == 0]) == 6
    assert len(list(pop)) == 12
    assert pop.parameters()["weight_ih_l0"].shape == (12, 6, 3)
    assert pop.parameters()["weight_ih_l0"].base is not None
    assert "Population of 12 GRU(3, 2, 2" in repr(pop)
    pop[3:9].fit(np.ones((2, 4, 3)), [0, 0], epochs=1)
    assert not (pop[3].flat == 0.5).all()


def test_outputs_have_an_axis_of_members():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 6, 3)), rng.integers(0, 2, (4, 6))
    pop = rc.Population(rc.LSTM, 5, 3, 2, 2, loss="cross_entropy", readout="all", seed=0)
    out = pop(x)
    assert out.y.shape == (5, 4, 6, 2)
    assert out.hidden.shape == (5, 4, 6, 2)
    assert out.final[1].shape == (5, 4, 1, 2)
    assert (out.y[3] == pop[3](x).y).all()
    assert pop.predict(x).shape == (5, 4, 6)
    assert pop.predict_proba(x).shape == (5, 4, 6, 2)
    assert pop.loss(x, y).shape == (5,)
    assert pop.loss(x, y, reduction="none").shape == (5, 4, 6)
    some = pop.loss(x, y, subsets=[[0], [1], [2], [3], [0]], reduction="none")
    assert (some[2][0] == pop[2].loss(x, y, reduction="none")[2]).all()
    uneven = pop.loss(x, y, subsets=[[0], [1, 2], [2], [3], [0]], reduction="none")
    assert [len(one) for one in uneven] == [1, 2, 1, 1, 1]


def test_seeds_of_members():
    one = rc.Population(rc.RNN, 4, 2, 3, 1, seed=[5, 6, 7, 8])
    assert all((one.flat[m] == rc.RNN(2, 3, 1, seed=5 + m).flat).all() for m in range(4))
    two = rc.Population(rc.RNN, 4, 2, 3, 1, seed=1)
    assert len(np.unique(two.flat, axis=0)) == 4
    assert (two.flat == rc.Population(rc.RNN, 4, 2, 3, 1, seed=1).flat).all()
    assert (two.flat[:2] == rc.Population(rc.RNN, 2, 2, 3, 1, seed=1).flat).all()


def test_the_best_of_groups():
    pop = rc.Population(rc.RNN, 6, 1, 1, 1, seed=0)
    by = [3.0, np.nan, 1.0, 2.0, np.nan, np.nan]
    assert pop.best(by) == 2
    assert pop.best(by, groups=["b", "b", "a", "a", "c", "c"]).tolist() == [2, 0, 4]


def test_what_is_frozen_does_not_change(build, dtype):
    """As in a fit of a network: by names, and entry by entry; penalties leave it alone too."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 10, 2)), rng.standard_normal(12)
    diagonal = {"weight_hh": ~np.tile(np.eye(3, dtype=bool), (3, 1)), "head.bias": True}
    for freeze in (["weight_hh", "bias"], "head", diagonal):
        fit = {"epochs": 5, "optimizer": "adamw", "weight_decay": 0.1, "l1": 0.01, "rng": 0,
               "freeze": freeze, "batch_size": 5}  # fmt: skip
        make = {"loss": "mse", "dtype": dtype}
        pop = rc.Population(rc.GRU, 3, 2, 3, 1, seed=[0, 1, 2], **make)
        before = {name: values.copy() for name, values in pop.parameters().items()}
        pop.fit(x, y, **fit)
        same = {name: values == before[name] for name, values in pop.parameters().items()}
        if freeze is diagonal:
            assert same.pop("head.bias").all()
            hh = same.pop("weight_hh_l0")
            assert hh[:, diagonal["weight_hh"]].all()
            assert not hh[:, ~diagonal["weight_hh"]].any()
        for name, kept in same.items():
            wanted = freeze is not diagonal and name.startswith(tuple(np.atleast_1d(freeze)))
            assert kept.all() == wanted, name
            assert kept.any() == wanted, name
        for m in range(3):
            net = rc.GRU(2, 3, 1, seed=m, **make)
            net.fit(x, y, **fit)
            np.testing.assert_allclose(pop.flat[m], net.flat, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        (["wieght"], "freeze: expected beginnings of weight_ih_l0"),
        ({"weight_hh": np.ones((2, 2), bool)}, r"freeze\['weight_hh'\]: expected True"),
        ({"weight_hh": 1}, r"freeze\['weight_hh'\]: expected True, False or booleans \(9, 3\)"),
        ("", "freeze: expected to leave a parameter to train"),
        (3, "freeze: expected a list"),
    ],
)
def test_what_cannot_be_frozen(freeze, message):
    pop = rc.Population(rc.GRU, 3, 2, 3, 1, loss="mse", seed=0)
    for one in (pop, pop[0]):
        with pytest.raises((TypeError, ValueError), match=message):
            one.fit(np.ones((2, 3, 2)), np.ones(2), epochs=1, freeze=freeze)
