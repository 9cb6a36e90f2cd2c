"""Options of a fit that make no sense are refused before the first update."""

import numpy as np
import pytest
from fits import network
from refusals import X, unchanged
from rnncore._checks import arguments as check
from rnncore._data import splits
from rnncore._data.inputs import Inputs

import rnncore as rc

SMALL_X, Y = np.zeros((4, 3, 2)), np.zeros((4, 1))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"epochs": 0}, ValueError, "epochs: expected at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: expected an integer, got 1.5"),
        ({"batch_size": 0}, ValueError, "batch_size: expected at least 1, got 0"),
        ({"batch_size": "all"}, TypeError, "batch_size: expected an integer, got 'all'"),
        ({"optimizer": "adaam"}, ValueError, "optimizer: expected one of 'sgd', 'momentum', 'nesterov', 'rmsprop', 'adam', 'adamw', 'lion', got 'adaam'; did you mean 'adam'?"),
        ({"lr": 0}, ValueError, "lr: expected more than 0 and finite, got 0"),
        ({"lr": float("nan")}, ValueError, "lr: expected more than 0 and finite, got nan"),
        ({"lr": float("inf")}, ValueError, "lr: expected more than 0 and finite, got inf"),
        ({"lr": "0.1"}, TypeError, "lr: expected a number, got '0.1'"),
        ({"lr": 10**400}, ValueError, "lr: expected more than 0 and finite, got 1000"),
        ({"eps": 0}, ValueError, "eps: expected more than 0"),
        ({"eps": 1e-50}, ValueError, "eps: expected more than 0 and finite in float32, got 1e-50"),
        ({"eps": 1e50}, ValueError, "eps: expected more than 0 and finite in float32, got 1e+50"),
        ({"progress": "no"}, TypeError, "progress: expected True or False, got 'no'"),
        ({"momentum": 1.0}, ValueError, "momentum: expected at least 0 and less than 1, got 1.0"),
        ({"betas": (0.9, 1.0)}, ValueError, "betas: expected at least 0 and less than 1, got 1.0"),
        ({"betas": 0.9}, TypeError, "betas: expected two numbers, got 0.9"),
        ({"clip_norm": 0}, ValueError, "clip_norm: expected more than 0 and finite, got 0"),
        ({"clip_value": -1}, ValueError, "clip_value: expected more than 0 and finite, got -1"),
        ({"shuffle": "yes"}, TypeError, "shuffle: expected True or False, got 'yes'"),
        ({"rng": 1.5}, TypeError, "rng: expected None, an integer or a numpy.random.Generator, got 1.5"),
        ({"callback": 3}, TypeError, "callback: expected a function, got 3"),
    ],
)  # fmt: skip
def test_bad_fits(options, error, text):
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    unchanged(net, lambda: net.fit(X, np.zeros(4), **({"epochs": 2} | options)), error, text)


@pytest.mark.parametrize("share", ["left to train on", "set apart"])
def test_shares_of_validation_in_which_nothing_counts(share):
    inputs = Inputs(rc.RNN(3, 2, 2, loss="cross_entropy")._model.spec, X)
    data = splits.data_of(inputs, np.zeros(4, int))
    apart = splits.held_out(0.25, "random", data, check.seed("rng", 0))[1].order
    y = np.full(4, -1 if share == "left to train on" else 1)
    y[apart] = 1 if share == "left to train on" else -1
    net = rc.RNN(3, 2, 2, loss="cross_entropy", seed=0)
    unchanged(
        net,
        lambda: net.fit(X, y, epochs=2, validation=0.25, rng=0),
        ValueError,
        f"validation: expected a target that counts among the sequences {share}, got none of",
    )


def test_a_share_of_validation_in_another_precision(tmp_path):
    for share in (np.float32(0.25), np.array(0.25)[()]):
        net = rc.RNN(3, 2, 1, loss="mse", seed=0)
        history = net.fit(X, np.zeros(4), epochs=1, validation=share, checkpoint=tmp_path / "fit")
        assert history.validation is not None


def test_strengths_that_overflow():
    net = rc.RNN(3, 2, 1, loss="mse", seed=0)
    for name in ("l1", "weight_decay"):
        unchanged(
            net,
            lambda name=name: net.fit(X, np.zeros(4), epochs=1, **{name: 1e300}),
            ValueError,
            f"{name}: expected a finite number in float32, got 1e+300",
        )


def test_rates_that_overflow():
    lr = rc.schedules.Step(1.0, every=1, factor=1e300)
    assert lr(2, 9) == 1e300
    assert lr(9, 9) == float("inf")
    assert rc.schedules.Cosine(0.1, end=1e308)(1, 9) >= 0


BAD = [
    ({"truncate": 0}, ValueError, "truncate: expected at least 1, got 0"),
    ({"activation": -1}, ValueError, "activation: expected at least 0"),
    ({"l1": {"weight_xx": 1}}, ValueError, "l1: expected beginnings of weight_ih_l0"),
    ({"weight_decay": {"weight": "a"}}, TypeError, r"weight_decay\['weight'\]: expected a number"),
    ({"weight_decay": -0.1}, ValueError, "weight_decay: expected at least 0"),
    ({"patience": 3}, ValueError, "patience: expected validation= with it"),
    ({"validation": 1.5}, ValueError, "validation: expected more than 0 and less than 1"),
    ({"validation": 0.9999}, ValueError, "validation: expected to leave a sequence to train on"),
    ({"validation": True}, TypeError, "validation: expected a share"),
    (
        {"validation": (SMALL_X,)},
        TypeError,
        "validation: expected a share of the sequences, a pair",
    ),
    ({"validation": {"x": SMALL_X}}, ValueError, "validation: expected a mapping with x, y"),
    (
        {"validation": (SMALL_X[:, :, :1], Y)},
        ValueError,
        r"validation: x: expected \(batch, time, 2\)",
    ),
    ({"validation": (SMALL_X, Y * np.nan)}, ValueError, "validation: y: expected finite numbers"),
    ({"lr": lambda epoch: "fast"}, TypeError, r"lr\(1\): expected a number, got 'fast'"),
    ({"lr": lambda epoch: -1.0}, ValueError, r"lr\(1\): expected at least 0"),
    ({"alpha": 1.0}, ValueError, "alpha: expected at least 0 and less than 1"),
    ({"checkpoint": 3}, TypeError, "checkpoint: expected a file's path, got 3"),
]


@pytest.mark.parametrize(("options", "error", "text"), BAD)
def test_bad_options(options, error, text):
    net = network()
    before = net.flat.copy()
    with pytest.raises(error, match=text):
        net.fit(SMALL_X, Y, **({"epochs": 2} | options))
    assert net.flat.tobytes() == before.tobytes()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: rc.schedules.Step(0, every=2), "lr: expected more than 0"),
        (lambda: rc.schedules.Step(0.1, every=0), "every: expected at least 1"),
        (lambda: rc.schedules.Cosine(0.1, end=-1), "end: expected at least 0"),
        (lambda: rc.schedules.WarmUp(0, 0.1), "epochs: expected at least 1"),
        (lambda: rc.schedules.Plateau(0.1, factor=1), "factor: expected more than 0 and less"),
    ],
)
def test_bad_schedules(make, text):
    with pytest.raises(ValueError, match=text):
        make()
