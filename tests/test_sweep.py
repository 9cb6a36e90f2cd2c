"""Sweeps: every row of the table is the fit that it says."""

import numpy as np
import pytest

import rnncore as rc

FIXED = {"input_size": 2, "output_size": 2, "loss": "cross_entropy", "readout": "all",
         "epochs": 6, "optimizer": "adamw", "batch_size": 4, "dtype": "float64"}  # fmt: skip


def data(B=24, T=8):
    rng = np.random.default_rng(0)
    return rng.standard_normal((B, T, 2)), rng.integers(0, 2, (B, T))


def test_every_row_is_a_fit_of_its_own():
    x, y = data()
    subjects = np.repeat(["b", "a"], 12)
    grid = {"hidden_size": [1, 2], "lr": [0.01, 0.05], "l1": [0, {"weight": 0.01}]}
    found = rc.sweep(
        [rc.GRU, rc.RNN], x, y, grid=grid, seeds=[3, 4], subjects=subjects, folds=3, inner=2,
        patience=3, **FIXED,
    )  # fmt: skip
    assert len(found) == 2 * 2 * 2 * 2 * 2 * 2 * 3 * 2
    assert set(found["kind"]) == {"GRU", "RNN"}
    for row in np.random.default_rng(1).choice(len(found), 20, replace=False):
        of = {name: column[row] for name, column in found.table.items()}
        mine = np.flatnonzero(subjects == of["subject"])
        rest, test = mine[np.arange(12) % 3 != of["fold"]], mine[np.arange(12) % 3 == of["fold"]]
        train, held = rest[np.arange(8) % 2 != of["inner"]], rest[np.arange(8) % 2 == of["inner"]]
        make = {k: FIXED[k] for k in ("input_size", "output_size", "loss", "readout", "dtype")}
        net = getattr(rc, of["kind"])(hidden_size=of["hidden_size"], seed=int(of["seed"]), **make)
        history = net.fit(
            x[train], y[train], validation=(x[held], y[held]), patience=3, lr=of["lr"],
            l1=of["l1"], rng=int(of["seed"]),
            **{k: FIXED[k] for k in ("epochs", "optimizer", "batch_size")},
        )  # fmt: skip
        np.testing.assert_allclose(of["loss"], history.loss[-1], rtol=1e-8)
        np.testing.assert_allclose(of["validation_loss"], history.validation.min(), rtol=1e-8)
        np.testing.assert_allclose(of["test_loss"], net.loss(x[test], y[test]), rtol=1e-8)
        assert of["epochs"] == len(history)
        np.testing.assert_allclose(found.network(row).flat, net.flat, rtol=1e-7)
        expected = net.loss(x[test], y[test], reduction="none")
        np.testing.assert_allclose(found.test_losses(row), expected, rtol=1e-7)


def test_the_chosen_of_each_subject_and_fold():
    x, y = data()
    found = rc.sweep(
        rc.GRU, x, y, grid={"hidden_size": [1, 2, 3], "weight_decay": [0, 0.1]}, seeds=3, folds=4,
        inner=2, subjects=np.arange(24) % 2, **FIXED,
    )  # fmt: skip
    rows = found.best(per=("subject", "fold"))
    assert found["subject"][rows].tolist() == [0] * 4 + [1] * 4
    assert found["fold"][rows].tolist() == [0, 1, 2, 3] * 2
    for row in rows:
        same = (found["subject"] == found["subject"][row]) & (found["fold"] == found["fold"][row])
        assert found["validation_loss"][row] == found["validation_loss"][same].min()
    assert found["validation_loss"][found.best()] == found["validation_loss"].min()
    means = found.compare()
    assert means["value"].tolist() == [1, 2, 3]
    assert means["count"].tolist() == [8, 8, 8]
    assert (means["sem"] > 0).all()


def test_a_table_for_pandas():
    pytest.importorskip("pandas")
    found = rc.sweep(rc.GRU, *data(), grid={"hidden_size": [1, 2, 3]}, folds=4, **FIXED)
    frame = found.to_pandas()
    assert frame.shape == (len(found), len(found.table))
    assert frame.groupby("hidden_size").test_loss.count().tolist() == [4, 4, 4]


def test_splitters_and_groups():
    selection = pytest.importorskip("sklearn.model_selection")
    x, y = data()
    groups = np.arange(24) // 4
    found = rc.sweep(
        rc.RNN, x, y, hidden_size=1, folds=selection.GroupKFold(3), groups=groups,
        inner=selection.GroupShuffleSplit(2, test_size=0.25, random_state=0), **FIXED,
    )  # fmt: skip
    assert len(found) == 6
    for fold, (_, test) in enumerate(selection.GroupKFold(3).split(x, None, groups)):
        assert (np.sort(found._tests[2 * fold]) == test).all()
        assert len(set(groups[test]) & set(groups[np.setdiff1d(np.arange(24), test)])) == 0
    pairs = [(np.arange(12), np.arange(12, 24)), (np.arange(24) >= 12, np.arange(24) < 12)]
    found = rc.sweep(rc.RNN, x, y, hidden_size=1, folds=pairs, **FIXED)
    assert found._tests[1].tolist() == list(range(12))
    whole = rc.sweep(rc.RNN, x, y, hidden_size=1, folds=3, groups=groups, **FIXED)
    assert groups[whole._tests[0]].tolist() == [0] * 4 + [3] * 4


def test_the_same_by_processes():
    from concurrent.futures import ProcessPoolExecutor

    x, y = data()
    options = {"grid": {"hidden_size": [1, 2]}, "folds": 3, "seeds": 4, **FIXED}
    with ProcessPoolExecutor(2) as pool:
        there = rc.sweep(rc.GRU, x, y, executor=pool, **options)
    here = rc.sweep(rc.GRU, x, y, **options)
    assert there["test_loss"].tobytes() == here["test_loss"].tobytes()


class Interruption(Exception):
    pass


def test_a_sweep_goes_on_after_an_interruption(tmp_path, monkeypatch):
    """It fails between two architectures."""
    x, y = data()
    options = {"grid": {"hidden_size": [1, 2, 3]}, "folds": 3, "seeds": 2, **FIXED}
    expected = rc.sweep(rc.GRU, x, y, **options)
    folder, fit, calls = tmp_path / "new" / "one", rc.Population.fit, []

    def failing(pop, *args, **more):
        calls.append(pop)
        if len(calls) == 3:
            raise Interruption
        return fit(pop, *args, **more)

    monkeypatch.setattr(rc.Population, "fit", failing)
    with pytest.raises(Interruption):
        rc.sweep(rc.GRU, x, y, checkpoint=folder, **options)
    assert sorted(path.name for path in folder.iterdir()) == ["0000-GRU.npz", "0001-GRU.npz"]
    found = rc.sweep(rc.GRU, x, y, checkpoint=folder, **options)
    assert found["test_loss"].tobytes() == expected["test_loss"].tobytes()
    assert found["loss"].tobytes() == expected["loss"].tobytes()
    assert (found["best_epoch"] == expected["best_epoch"]).all()
    with pytest.raises(ValueError, match="checkpoint"):  # of another sweep
        rc.sweep(rc.GRU, x, y, checkpoint=folder, **{**options, "seeds": 3})
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="checkpoint: expected a folder"):
        rc.sweep(rc.GRU, x, y, checkpoint=tmp_path / "file", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"grid": {"hiden_size": [1]}}, "grid: expected one of .*hidden_size"),
        ({"grid": {"lr": 0.1}}, "grid: expected a list of values for 'lr', got 0.1"),
        ({"grid": {"lr": []}}, "grid: expected at least one value for 'lr'"),
        ({"grid": {"epochs": [1]}}, "grid: expected other names than those of options"),
        ({"grid": {"clip_norm": [None, 1.0]}}, "grid: expected numbers for 'clip_norm'"),
        ({"batchsize": 3}, "options: expected one of .*batch_size"),
        ({"folds": 30}, "folds: expected at most 24, the sequences, got 30"),
        ({"folds": 1}, "folds: expected at least 2, got 1"),
        ({"folds": 2.5}, "folds: expected a number of folds, a splitter"),
        ({"folds": [([0], [24])]}, "folds: test: expected numbers of sequences from 0 to 23"),
        ({"folds": [([0], [])]}, "folds: test: expected at least one sequence"),
        ({"folds": [([0],)]}, r"folds: expected pairs \(train, test\)"),
        ({"folds": []}, "folds: expected at least one pair"),
        ({"subjects": [1, 2]}, r"subjects: expected \(24,\), got \(2,\)"),
        ({"groups": [1, 2], "folds": 2}, r"groups: expected \(24,\), got \(2,\)"),
        ({"folds": 3, "groups": np.arange(24) % 2}, "folds: expected at most 2, the groups"),
        ({"inner": 2, "validation": 0.5}, "validation: expected None with inner="),
        ({"seeds": []}, "seeds: expected at least one"),
        ({"seeds": 0}, "seeds: expected at least 1, got 0"),
    ],
)
def test_a_sweep_that_cannot_be(options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        rc.sweep(rc.GRU, *data(), **{"hidden_size": 1, **FIXED, **options})


def test_what_a_table_does_not_have():
    found = rc.sweep(rc.GRU, *data(), hidden_size=1, **FIXED)
    with pytest.raises(ValueError, match=r"column: expected one of .*test_loss"):
        found["tset_loss"]
    with pytest.raises(
        ValueError, match="got 'test_loss', which has none; a sweep with folds= has"
    ):
        found.best("test_loss")
    with pytest.raises(
        ValueError, match="'validation_loss', which has none; a sweep with inner= or"
    ):
        found.compare()
    with pytest.raises(ValueError, match="folds: expected a sweep with folds="):
        found.test_losses(0)
    with pytest.raises(ValueError, match="row: expected"):
        found.network(1)
