"""net.trainer: steps of a caller's own loop have the bits of fit, and go on from a saved state."""

import copy
import pickle

import numpy as np
import pytest
from fits import data, network

import rnncore as rc

RULES = ["adam", "adamw", "rmsprop", "sgd", "momentum", "nesterov", "lion"]


def steps(net, x, y, batch_size, epochs=3, trainer=None, fit_lengths=None, **options):
    """What fit does, step by step; the mean losses of the epochs."""
    trainer = trainer or net.trainer(batch_size=batch_size, **options)
    losses = []
    for _ in range(epochs):
        total = 0.0
        for first in range(0, len(x), batch_size):
            part = slice(first, first + batch_size)
            more = {} if fit_lengths is None else {"lengths": fit_lengths[part]}
            total += trainer.step(x[part], y[part], **more) * len(x[part])
        losses.append(total / len(x))
    return losses


def fitted(net, x, y, batch_size, epochs=3, **options):
    return net.fit(x, y, epochs=epochs, batch_size=batch_size, shuffle=False, **options)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch_size", [8, 30, 7, 1])
def test_steps_have_the_bits_of_fit(build, dtype, rule, batch_size):
    x, y = data()
    options = {"optimizer": rule, "lr": 0.01, "clip_norm": 0.5, "l1": 1e-3, "weight_decay": 1e-2}
    nets = network("GRU", dtype), network("GRU", dtype)
    history = fitted(nets[0], x, y, batch_size, **options)
    losses = steps(nets[1], x, y, batch_size, **options)
    assert np.array_equal(nets[0].flat, nets[1].flat)
    assert np.allclose(history.loss, losses, rtol=1e-6)


def drawn(rng):
    """A network, its data and its options at random."""
    kind = rng.choice(["RNN", "LSTM", "GRU", "MGU"])
    D, H, K, B, T = (int(rng.integers(1, top)) for top in (4, 20, 3, 40, 12))
    readout = str(rng.choice(["last", "all"]))
    made = {
        "num_layers": int(rng.integers(1, 3)), "bidirectional": bool(rng.integers(2)),
        "readout": readout, "loss": "mse", "dropout": float(rng.choice([0, 0.3])),
        "dtype": str(rng.choice(["float32", "float64"])), "seed": int(rng.integers(100)),
    }  # fmt: skip
    if made["num_layers"] == 1:
        made["dropout"] = 0.0
    if made["dropout"]:
        made |= {"recurrent_dropout": 0.2, "zoneout": 0.1}
    options = {
        "optimizer": str(rng.choice(RULES)), "lr": 0.01, "rng": int(rng.integers(100)),
        "clip_value": rng.choice([None, 0.1]), "activation": float(rng.choice([0, 0.01])),
        "truncate": rng.choice([None, 3]), "freeze": rng.choice([None, "weight_hh"]),
        "threads": int(rng.integers(1, 4)),
    }  # fmt: skip
    x = rng.standard_normal((B, T, D))
    y = rng.standard_normal((B, T, K) if readout == "all" else (B, K))
    # What dropout drops goes by a sequence's place among those that are passed.
    batch_size = B if made["dropout"] else int(rng.integers(1, B + 1))
    return lambda: getattr(rc, kind)(D, H, K, **made), x, y, options, batch_size


@pytest.mark.parametrize("seed", range(40))
def test_steps_have_the_bits_of_fit_whatever_the_options(build, seed):
    make, x, y, options, batch_size = drawn(np.random.default_rng(seed))
    one, other = make(), make()
    fitted(one, x, y, batch_size, **options)
    steps(other, x, y, batch_size, **options)
    assert np.array_equal(one.flat, other.flat)


@pytest.mark.parametrize("seed", range(12))
def test_one_step_has_the_bits_of_an_epoch_of_one_minibatch(build, dtype, seed):
    """In every form in which a minibatch may come."""
    rng = np.random.default_rng(seed)
    B, T = int(rng.integers(2, 20)), int(rng.integers(2, 9))
    x, y = rng.standard_normal((B, T, 2)), rng.standard_normal((B, T))
    lengths = rng.integers(1, T + 1, B)
    more = [
        {"lengths": lengths}, {"mask": rng.random((B, T)) < 0.7},
        {"target_mask": rng.random((B, T)) < 0.7}, {"sample_weight": rng.random((B, T))},
        {"h0": rng.standard_normal((B, 4)), "lengths": lengths}, {},
    ][seed % 6]  # fmt: skip
    for given in (x, [row[:n] for row, n in zip(x, lengths, strict=True)]):
        listed = isinstance(given, list)
        if listed and more:
            continue
        targets = [row[:n] for row, n in zip(y, lengths, strict=True)] if listed else y
        nets = [network("GRU", dtype, readout="all") for _ in range(2)]
        nets[0].fit(given, targets, epochs=1, batch_size=B, shuffle=False, lr=0.1, **more)
        nets[1].trainer(lr=0.1).step(given, targets, **more)
        assert np.array_equal(nets[0].flat, nets[1].flat)


def test_sequences_of_different_lengths(build, dtype):
    x, y = data()
    lengths = np.random.default_rng(1).integers(1, 9, len(x))
    nets = network("LSTM", dtype), network("LSTM", dtype)
    fitted(nets[0], x, y, 10, lengths=lengths)
    steps(nets[1], x, y, 10, fit_lengths=lengths)
    assert np.array_equal(nets[0].flat, nets[1].flat)


def test_classes(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((20, 5, 2)), rng.integers(0, 3, 20)
    nets = [rc.GRU(2, 5, 3, loss="cross_entropy", seed=0) for _ in range(2)]
    fitted(nets[0], x, y, 5)
    steps(nets[1], x, y, 5)
    assert np.array_equal(nets[0].flat, nets[1].flat)


def test_the_loss_is_that_before_the_update():
    x, y = data()
    net = network()
    before = net.loss(x, y)
    assert net.trainer().step(x, y) == before
    assert net.loss(x, y) < before


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy, None])
def test_a_loaded_trainer_goes_on_with_the_same_bits(rule, copied, dtype):
    x, y = data()
    net = network("GRU", dtype, num_layers=2, dropout=0.4)
    trainer = net.trainer(optimizer=rule, lr=0.01, rng=3, freeze=iter(["bias"]))
    steps(net, x, y, 8, trainer=trainer)
    trainer.lr = 0.02
    if copied is None:
        state, other = trainer.state_dict(), copy.deepcopy(net)
        new = other.trainer(optimizer=rule, lr=0.5, rng=4, freeze="bias")
        new.load_state_dict(state)
    else:
        new = copied(trainer)
        new = pickle.loads(new) if isinstance(new, bytes) else new
        other = new.net
    assert new.updates == trainer.updates == 12
    steps(net, x, y, 8, trainer=trainer)
    assert not np.array_equal(net.flat, other.flat)
    steps(other, x, y, 8, trainer=new)
    assert np.array_equal(net.flat, other.flat)
    assert new.lr == trainer.lr == 0.02


def test_tied_parameters():
    x, y = data()
    nets = network("GRU", bias=False), network("GRU", bias=False)
    tie = {"weight_ih_l0": np.repeat(np.arange(12), 2).reshape(12, 2)}
    for net in nets:
        net.parameters()["weight_ih_l0"][:, 1] = net.parameters()["weight_ih_l0"][:, 0]
    fitted(nets[0], x, y, 10, tie=tie)
    steps(nets[1], x, y, 10, tie=tie)
    assert np.array_equal(nets[0].flat, nets[1].flat)
    assert np.array_equal(*nets[1].parameters()["weight_ih_l0"].T)


def test_a_state_is_a_copy():
    x, y = data()
    trainer = network().trainer()
    trainer.step(x, y)
    state = trainer.state_dict()
    kept = copy.deepcopy(state)
    trainer.step(x, y)
    assert all(np.array_equal(state[name], kept[name]) for name in kept)
    assert not np.array_equal(trainer.state_dict()["first"], kept["first"])


def test_the_learning_rate_may_be_changed():
    x, y = data()
    nets = network(), network()
    nets[0].fit(x, y, epochs=2, batch_size=30, shuffle=False, optimizer="momentum",
                lr=lambda epoch: 0.1 / epoch)  # fmt: skip
    trainer = nets[1].trainer(optimizer="momentum", lr=0.1)
    for lr in 0.1, 0.05:
        trainer.lr = lr
        trainer.step(x, y)
    assert np.array_equal(nets[0].flat, nets[1].flat)


def test_changed_parameters_are_trained():
    x, y = data()
    nets = network(), network()
    trainer = nets[0].trainer(optimizer="sgd", lr=0.1)
    trainer.step(x, y)
    nets[0].flat[:] = nets[1].flat
    trainer.step(x, y)
    nets[1].trainer(optimizer="sgd", lr=0.1).step(x, y)
    assert np.array_equal(nets[0].flat, nets[1].flat)


def test_threads_give_the_same_bits(build):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 40, 8)), rng.standard_normal((300, 1))
    flats = []
    for threads in 1, 2, 5, None:
        net = rc.GRU(8, 32, 1, loss="mse", seed=0)
        steps(net, x, y, 100, 2, threads=threads)
        flats.append(net.flat.copy())
    assert all(np.array_equal(flats[0], other) for other in flats[1:])


# ---- errors leave everything as it was


def broken(**changes):
    x, y = data()
    return {"x": x, "y": y} | changes


X, Y = data()
NAN = X.copy()
NAN[3, 2, 1] = np.nan


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (broken(x=NAN), ValueError, r"x: expected finite numbers, got nan at \[3, 2, 1\]"),
        (broken(x=X[:3]), ValueError, r"y: expected \(3,\) or \(3, 1\), got \(30, 1\)"),
        (broken(x=X[:, :, :1]), ValueError, r"x: expected \(batch, time, 2\), got \(30, 9, 1\)"),
        (broken(target_mask=np.zeros(30)), ValueError, "y: expected at least one target that"),
        (broken(lengths=np.zeros(30, int)), ValueError, "lengths: expected 1 to 9"),
        (broken(sample_weight=-np.ones(30)), ValueError, "sample_weight: expected numbers of at"),
        (broken(y=Y * 1e200), FloatingPointError, "step: expected a finite loss and finite par"),
        (broken(y=Y * np.inf), ValueError, "y: expected finite numbers"),
    ],
)
def test_a_refused_step_changes_nothing(given, error, text):
    net = network("GRU", num_layers=2, dropout=0.5)
    trainer = net.trainer(rng=0)
    trainer.step(X, Y)
    before, state = net.flat.copy(), trainer.state_dict()
    with pytest.raises(error, match=text):
        trainer.step(**given)
    assert np.array_equal(net.flat, before)
    after = trainer.state_dict()
    assert all(np.array_equal(after[name], state[name]) for name in state)


def test_an_update_that_is_too_large_is_taken_back():
    net = network("RNN", "float32")
    trainer = net.trainer(optimizer="momentum", lr=0.1)
    trainer.step(X, Y)
    before, state = net.flat.copy(), trainer.state_dict()
    trainer.lr = 1e39
    with pytest.raises(FloatingPointError, match="or an update that is too large"):
        trainer.step(X, Y)
    trainer.lr = 0.1
    assert np.array_equal(net.flat, before)
    assert all(np.array_equal(trainer.state_dict()[name], state[name]) for name in state)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"optimizer": "Adam"}, ValueError, "optimizer: expected one of"),
        ({"lr": 0}, ValueError, "lr: expected more than 0"),
        ({"lr": rc.schedules.Cosine(0.1)}, TypeError, "lr: expected a number"),
        ({"clip_norm": -1}, ValueError, "clip_norm: expected more than 0"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1"),
        ({"threads": 0}, ValueError, "threads: expected at least 1"),
        ({"freeze": "nothing"}, ValueError, "freeze: expected beginnings of"),
        ({"freeze": 3}, TypeError, "freeze: expected a list"),
        ({"rng": "a"}, TypeError, "rng: expected"),
    ],
)
def test_options_are_checked(options, error, text):
    with pytest.raises(error, match=text):
        network().trainer(**options)


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"lr": -1}, ValueError, r"state_dict\['lr'\]: expected at least 0"),
        ({"updates": -1}, ValueError, r"state_dict\['updates'\]: expected at least 0"),
        ({"random": 2**64}, ValueError, r"state_dict\['random'\]: expected at most"),
        ({"optimizer": "adamw"}, ValueError, r"state_dict\['optimizer'\]: expected 'adam', got"),
        ({"first": np.zeros(3)}, ValueError, r"state_dict\['first'\]: expected \(37,\), got"),
        ({"second": np.full(37, np.nan)}, ValueError, r"state_dict\['second'\]: expected finite"),
        ({"third": 1}, ValueError, "state_dict: expected optimizer, lr, updates, random, first"),
    ],
)
def test_a_bad_state_changes_nothing(changes, error, text):
    trainer = network().trainer(lr=0.5)
    trainer.step(X, Y)
    state = trainer.state_dict()
    with pytest.raises(error, match=text):
        trainer.load_state_dict(state | changes)
    after = trainer.state_dict()
    assert all(np.array_equal(after[name], state[name]) for name in state)


def test_what_is_no_mapping_is_refused():
    with pytest.raises(TypeError, match="state_dict: expected a mapping, got a list"):
        network().trainer().load_state_dict([])


def test_a_network_without_a_loss_is_refused():
    net = rc.RNN(2, 3)
    with pytest.raises(ValueError, match="loss: expected a network made with"):
        net.trainer().step(X, Y)
