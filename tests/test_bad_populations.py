"""Bad arguments of populations: an error that names the argument, and nothing changed."""

import numpy as np
import pytest
from refusals import BrokenList

import rnncore as rc

NAN = float("nan")


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        (0, {}, "members: expected at least 1, got 0"),
        (2.5, {}, "members: expected an integer, got 2.5"),
        (3, {"seed": [1, 2]}, "seed: expected one for each of 3 members, got 2"),
        (3, {"seed": "a"}, "seed: expected None, an integer"),
        (3, {"seed": BrokenList([1, 2, 3])}, "seed: expected a list"),
        (3, {"loss": "bse"}, "loss: expected one of"),
        (3, {"hidden_size": 0}, "hidden_size: expected at least 1"),
    ],
)
def test_a_population_that_cannot_be(members, options, message):
    arguments = {"input_size": 2, "hidden_size": 2, "output_size": 1, **options}
    with pytest.raises((TypeError, ValueError), match=message):
        rc.Population(rc.GRU, members, **arguments)


@pytest.mark.parametrize("kind", ["GRU", int, rc.GRU(1, 1), None])
def test_what_is_no_kind_of_network(kind):
    with pytest.raises(TypeError, match=r"kind: expected rnncore.RNN, GRU, LSTM or MGU"):
        rc.Population(kind, 3, 1, 1)


X, Y = np.ones((6, 4, 2)), np.ones(6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": [0.1, 0.2]}, r"lr: expected \(3,\), got \(2,\)"),
        ({"lr": [0.1, 0.2, -1]}, r"lr\[2\]: expected .*more than 0.* got -1"),
        ({"l1": {"weight_xx": 0.1}}, "l1: expected beginnings of weight_ih_l0"),
        ({"l1": {"weight": [0.1, 0.1]}}, r"l1\['weight'\]: expected \(3,\), got \(2,\)"),
        ({"clip_norm": [1, 0, 1]}, r"clip_norm\[1\]: expected"),
        ({"activation": [0, NAN, 0]}, r"activation\[1\]: expected"),
        ({"batch_size": 0}, "batch_size: expected at least 1, got 0"),
        ({"batch_size": [1, 2, 0]}, r"batch_size\[2\]: expected at least 1"),
        ({"batch_size": [1.0, 2, 3]}, r"batch_size\[0\]: expected an integer"),
        ({"epochs": 0}, "epochs: expected at least 1"),
        ({"optimizer": "adma"}, "optimizer: expected one of"),
        ({"train": []}, r"train: expected at least one sequence"),
        ({"train": [[0], [], [1]]}, r"train\[1\]: expected at least one sequence of member 1"),
        ({"train": [[0], [1]]}, "train: expected an array for each of 3 members, got 2"),
        ({"train": [0, 6]}, r"train: expected numbers of sequences from 0 to 5, got 6 at \[1\]"),
        ({"train": [[0], [1, -1], [2]]}, r"train\[1\]: expected numbers of sequences from 0"),
        ({"train": [0.5, 1.5]}, "train: expected integers, got dtype float64"),
        ({"train": [[0], [0.5], [1]]}, r"train\[1\]: expected integers"),
        ({"train": np.ones(5, bool)}, r"train: expected \(6,\), got \(5,\)"),
        ({"train": np.ones((3, 2, 2), int)}, "train: expected numbers of sequences"),
        ({"validation": [[0], [7], [1]]}, r"validation\[1\]: expected numbers of sequences"),
        ({"validation": 1.5}, "validation: expected"),
        ({"validation": 0.9, "train": [0]}, "expected to leave member 0 a sequence"),
        ({"validation": (np.ones((2, 4, 3)), np.ones(2))}, r"validation: x: expected \(batch"),
        ({"patience": 3}, "patience: expected validation= with it"),
        ({"rng": [1, 2]}, "rng: expected a seed for each of 3 members, got 2"),
        ({"rng": [1, 2, "a"]}, r"rng\[2\]: expected"),
        ({"sample_weight": [1, 1, 0, 1, 1, 1], "train": [[0], [1], [2]]},
         "train: expected a target that counts for member 2, got none"),
        ({"threads": 0}, "threads: expected at least 1"),
    ],
)  # fmt: skip
def test_an_option_that_is_not_valid(options, message):
    pop = rc.Population(rc.GRU, 3, 2, 2, 1, loss="mse", seed=0)
    before = pop.flat.copy()
    with pytest.raises((TypeError, ValueError), match=message):
        pop.fit(X, Y, **{"epochs": 2, **options})
    assert (pop.flat == before).all()


def test_bad_data_of_a_member_are_named_with_it():
    pop = rc.Population(rc.GRU, 3, 2, 2, 1, loss="mse", seed=0)
    before = pop.flat.copy()
    x = [np.ones((B, 4, 2)) for B in (1, 2, 3)]
    y = [np.ones(B) for B in (1, 2, 3)]
    bad = [x[0], x[1].copy(), x[2]]
    bad[1][1, 2, 0] = NAN
    for given, targets, message in [
        (bad, y, r"member 1: x: expected finite numbers, got nan at \[1, 2, 0\]"),
        ([x[0], x[1], np.ones((3, 4, 5))], y, r"member 2: x: expected \(batch, time, 2\)"),
        (x[:2], y[:2], "x: expected .* list with the sequences of each of the 3 members"),
        (x, y[:2], "y: expected a list with one entry for each of the 3 members"),
        (x, [y[0], y[0], y[2]], r"y\[1\]: expected 2 sequences, got 1"),
        (x, [y[0], y[1] * NAN, y[2]], "member 1: y: expected finite numbers"),
        ([x[0], np.ones((0, 4, 2)), x[2]], [y[0], [], y[2]], r"x\[1\]: expected at least 1"),
    ]:
        with pytest.raises((TypeError, ValueError), match=message):
            pop.fit(given, targets, epochs=2)
    with pytest.raises(ValueError, match="lengths: expected None with data of each member's own"):
        pop.fit(x, y, epochs=2, lengths=[[4], [4, 4], [4, 4, 4]])
    assert (pop.flat == before).all()


def test_no_two_fits_at_once():
    pop = rc.Population(rc.GRU, 3, 2, 2, 1, loss="mse", seed=0)
    with (
        pop._lock,
        pytest.raises(RuntimeError, match="in use by another thread"),
    ):  # as a fit has it
        pop.fit(X, Y, epochs=1)
    pop.fit(X, Y, epochs=1)


@pytest.mark.parametrize(
    ("by", "groups", "message"),
    [
        ([1, 2], None, r"by: expected \(3,\), got \(2,\)"),
        ([1, 2, 3], [1, 2], r"groups: expected \(3,\), got \(2,\)"),
    ],
)
def test_best_of_wrong_shapes(by, groups, message):
    with pytest.raises(ValueError, match=message):
        rc.Population(rc.GRU, 3, 2, 2, 1, seed=0).best(by, groups)


@pytest.mark.parametrize("which", [3, -4, "a", 1.5, None])
def test_no_such_member(which):
    with pytest.raises((TypeError, ValueError, IndexError), match="member"):
        rc.Population(rc.GRU, 3, 2, 2, 1, seed=0)[which]
