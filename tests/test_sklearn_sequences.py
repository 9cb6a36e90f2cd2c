"""Estimators with an output at every step, and forecasts."""

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")

from rnncore.sklearn import RNNForecaster, SequenceClassifier, SequenceRegressor
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score


def quick(kind, **options):
    return kind(**{"hidden_size": 8, "epochs": 40, "lr": 0.03, "random_state": 0} | options)


def lists(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = [rng.standard_normal((rng.integers(1, 9), 2)) for _ in range(n)]
    return X, [np.where(row[:, 0] > 0, "up", "down") for row in X]


def padded(rows, fill):
    result = np.full((len(rows), 8, *np.shape(rows[0])[1:]), fill)
    for i, row in enumerate(rows):
        result[i, : len(row)] = row
    return result


# ---- a label at every step


def test_labels_of_lists():
    X, y = lists()
    model = quick(SequenceClassifier).fit(X, y)
    assert model.score(X, y) > 0.95
    predicted, probabilities = model.predict(X), model.predict_proba(X)
    assert [len(row) for row in predicted] == [len(row) for row in X]
    for row, of_row, labels in zip(X, probabilities, predicted, strict=True):
        assert np.allclose(of_row.sum(axis=1), 1)
        assert np.array_equal(model.classes_[of_row.argmax(axis=1)], labels)
        assert np.array_equal(model.predict_proba([row])[0], of_row)


def test_labels_of_arrays():
    X = np.random.default_rng(0).standard_normal((80, 7))
    y = (np.cumsum(X, axis=1) > 0).astype(int)
    model = quick(SequenceClassifier, epochs=80).fit(X, y)
    assert model.predict(X).shape == (80, 7)
    assert model.predict_proba(X).shape == (80, 7, 2)
    assert model.score(X, y) == (model.predict(X) == y).mean() > 0.9


def test_padding_is_not_learnt():
    """Whatever the labels of steps are that do not exist."""
    X, y = lists()
    array = padded(X, np.nan)
    model = quick(SequenceClassifier, nan_padding=True)
    flats = [clone(model).fit(array, padded(y, fill)).network_.flat for fill in ("down", "other")]
    assert np.array_equal(*flats)
    fitted = clone(model).fit(array, y)
    assert np.array_equal(fitted.network_.flat, flats[0])
    assert fitted.score(array, padded(y, "down")) == fitted.score(X, y)
    assert fitted.classes_.tolist() == ["down", "up"]
    assert [len(row) for row in fitted.predict(array)] == [len(row) for row in X]


def test_ignored_labels_do_not_count():
    X = np.random.default_rng(0).standard_normal((80, 7))
    y = (np.cumsum(X, axis=1) > 0).astype(int)
    hidden = np.random.default_rng(1).random(y.shape) < 0.3
    y[hidden] = -1
    model = quick(SequenceClassifier, ignore_label=-1, epochs=80).fit(X, y)
    assert model.classes_.tolist() == [0, 1]
    assert model.score(X, y) == (model.predict(X) == y)[~hidden].mean() > 0.9


def test_numbers_of_arrays_and_lists():
    X = np.random.default_rng(0).standard_normal((80, 7))
    y = np.stack([100 + np.cumsum(X, axis=1), 0.01 * X], axis=2)
    model = quick(SequenceRegressor).fit(X, y)
    assert model.predict(X).shape == (80, 7, 2)
    assert model.score(X, y) > 0.9
    rows = [row[: 2 + i % 6, None] for i, row in enumerate(X)]
    targets = [row[: 2 + i % 6, 0] for i, row in enumerate(y)]
    model = quick(SequenceRegressor).fit(rows, targets)
    assert model.score(rows, targets) > 0.9
    assert model.predict(rows)[1].shape == (3,)


def test_missing_numbers_do_not_count():
    X = np.random.default_rng(0).standard_normal((60, 7))
    y = np.cumsum(X, axis=1)
    y[np.random.default_rng(1).random(y.shape) < 0.3] = np.nan
    model = quick(SequenceRegressor, epochs=60).fit(X, y)
    assert model.score(X, y) > 0.9
    full = np.nan_to_num(model.predict(X))
    assert np.corrcoef(full.ravel(), np.cumsum(X, axis=1).ravel())[0, 1] > 0.9


def test_search_over_sequences():
    X, y = lists()
    search = GridSearchCV(quick(SequenceClassifier), {"lr": [1e-6, 0.03]}, cv=3).fit(X, y)
    assert search.best_params_ == {"lr": 0.03}
    numbers = [row[:, 0] for row in X]
    assert cross_val_score(quick(SequenceRegressor), X, numbers, cv=3).mean() > 0.8


def test_weights_of_sequences():
    X = np.random.default_rng(0).standard_normal((20, 5))
    y = np.cumsum(X, axis=1)
    times = np.arange(20) % 3
    model = quick(SequenceRegressor, batch_size=None, dtype="float64", normalize_y=False)
    model.set_params(optimizer="sgd")
    repeated = clone(model).fit(np.repeat(X, times, axis=0), np.repeat(y, times, axis=0))
    weighted = clone(model).fit(X, y, sample_weight=times)
    assert np.allclose(weighted.network_.flat, repeated.network_.flat, atol=1e-12)


@pytest.mark.parametrize(
    ("y", "text"),
    [
        (np.zeros((3, 7)), "y: expected targets of 4 sequences, got 3"),
        (np.zeros((4, 6)), r"y\[0\]: expected targets of 7 steps, got an array of shape \(6,\)"),
        (np.zeros(4), r"y\[0\]: expected targets of 7 steps, got an array of shape \(\)"),
        (np.full((4, 7), np.inf), r"y\[0\]: expected finite numbers, got inf at \[0, 0\]"),
        (None, "requires y to be passed"),
    ],
)
def test_bad_targets(y, text):
    with pytest.raises(ValueError, match=text):
        quick(SequenceRegressor).fit(np.ones((4, 7)), y)


def test_one_class_is_not_enough():
    with pytest.raises(ValueError, match="y: expected at least 2 classes, got 1"):
        quick(SequenceClassifier).fit(np.ones((4, 7)), np.ones((4, 7)))


# ---- forecasts


def waves(n=3, T=60):
    t = np.arange(T)
    return np.stack([10 * i + (1 + i) * np.sin(t / 3 + i) for i in range(n)])


def again(model, steps, y, X=None, future=None):
    """The same by running the network anew over everything, for every step."""
    mean, std = y.mean(axis=1, keepdims=True), y.std(axis=1, keepdims=True)
    values = ((y - mean) / std)[:, :, None]
    if X is not None:
        scale = X.reshape(-1, X.shape[2]).mean(axis=0), X.reshape(-1, X.shape[2]).std(axis=0)
        X = (np.concatenate([X, future], axis=1) - scale[0]) / scale[1]
    for _ in range(steps):
        inputs = values
        if X is not None:
            inputs = np.concatenate([values, X[:, 1 : values.shape[1] + 1]], axis=2)
        new = model.network_(inputs).y[:, -1:]
        values = np.concatenate([values, new], axis=1)
    return values[:, -steps:, 0] * std + mean


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mgu"])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_forecasts_feed_the_output_back(cell, num_layers):
    y = waves()
    model = quick(RNNForecaster, cell=cell, num_layers=num_layers, dtype="float64").fit(y)
    assert np.allclose(model.forecast(7), again(model, 7, y), atol=1e-10)
    X, future = np.random.default_rng(0).standard_normal((2, 3, 60, 2)).copy()
    model.fit(y, X)
    result = model.forecast(7, future[:, :7])
    assert np.allclose(result, again(model, 7, y, X, future[:, :7]), atol=1e-10)


def test_a_forecast_of_waves():
    y = waves(T=140)
    model = quick(RNNForecaster, hidden_size=16, epochs=400, lr=0.01).fit(y[:, :120])
    assert np.abs(model.forecast(20) - y[:, 120:]).max() < 0.6
    assert np.array_equal(model.forecast(5), model.forecast(20)[:, :5])


def test_covariates_are_used():
    """What comes is known from the covariates alone."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((6, 80, 1))
    y = 5 + X[:, :, 0]
    model = quick(RNNForecaster, epochs=200).fit(y[:, :70], X[:, :70])
    assert np.abs(model.forecast(10, X[:, 70:]) - y[:, 70:]).mean() < 0.2


def test_forms_of_series():
    y = waves()
    want = quick(RNNForecaster).fit(y).forecast(4)
    assert want.shape == (3, 4)
    assert np.allclose(quick(RNNForecaster).fit(list(y)).forecast(4), want)
    three = quick(RNNForecaster).fit(y[:, :, None]).forecast(4)
    assert np.array_equal(three, want[:, :, None])
    turned = quick(RNNForecaster, layout="bdt").fit(y[:, None, :]).forecast(4)
    assert np.array_equal(turned, want[:, None, :])
    one = quick(RNNForecaster).fit(y[0], np.arange(60.0))
    assert one.forecast(4, np.arange(60.0, 64)).shape == (4,)
    assert np.array_equal(
        one.forecast(4, np.arange(60.0, 64)), one.forecast(4, np.arange(60.0, 64)[:, None])
    )
    two = np.stack([y, y[::-1]], axis=2)
    assert quick(RNNForecaster).fit(two).forecast(4).shape == (3, 4, 2)


def test_series_of_different_lengths():
    y = waves()
    rows = [y[0, :20], y[1], y[2, :40]]
    model = quick(RNNForecaster, dtype="float64").fit(rows)
    together = model.forecast(5)
    for row, want in zip(rows, together, strict=True):
        assert np.allclose(model.forecast(5, y=row), want, atol=1e-12)
    array = np.full((3, 60), np.nan)
    for i, row in enumerate(rows):
        array[i, : len(row)] = row
    padded = quick(RNNForecaster, dtype="float64", nan_padding=True).fit(array)
    assert np.allclose(padded.forecast(5), together, atol=1e-12)


def test_other_series_are_continued():
    y = waves()
    model = quick(RNNForecaster, scale="all").fit(y)
    before = model.forecast(5)
    assert np.array_equal(model.forecast(5, y=y), before)
    assert model.forecast(3, y=[1.0]).shape == (3,)
    assert model.forecast(3, y=[[1.0, 2.0], [3.0, 4.0]]).shape == (2, 3)
    assert np.array_equal(model.forecast(5), before)
    copied = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copied.forecast(5), before)


def test_scales():
    y = waves()
    same = [quick(RNNForecaster, scale=scale).fit(y).forecast(3) for scale in ("series", "all")]
    assert not np.allclose(*same)
    shifted = quick(RNNForecaster, dtype="float64").fit(1e3 * y + 7).forecast(3)
    plain = quick(RNNForecaster, dtype="float64").fit(y).forecast(3)
    assert np.allclose(shifted, 1e3 * plain + 7, atol=1e-6)
    model = quick(RNNForecaster, scale=None, dtype="float64").fit(y)
    inputs = y[:, :, None]
    assert np.allclose(model.forecast(1), model.network_(inputs).y[:, -1], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda m, y: m.forecast(0), "steps: expected at least 1, got 0"),
        (lambda m, y: m.forecast(2, np.ones((3, 2, 1))), "X: expected 0 covariates in every step"),
        (lambda m, y: m.forecast(2, y=np.ones((3, 5, 2))), "y: expected 1 values in every step"),
        (lambda m, y: m.forecast(2, past=y), "past: expected None without y"),
        (lambda m, y: m.fit(y[:, :1]), r"y\[0\]: expected at least two steps, got one"),
        (lambda m, y: m.fit(y, y[:, :5]), r"X: expected covariates of \[60, 60, 60\] steps, got"),
        (lambda m, y: m.fit(np.full((2, 5), np.nan)), "y: expected finite numbers, got nan"),
        (lambda m, y: m.set_params(bidirectional=True).fit(y), "bidirectional: expected False"),
        (lambda m, y: m.set_params(scale="none").fit(y), "scale: expected one of"),
        (lambda m, y: m.fit(5.0), "y: expected one to three axes"),
    ],
)
def test_bad_forecasts(call, text):
    y = waves()
    model = quick(RNNForecaster, epochs=2).fit(y)
    with pytest.raises(ValueError, match=text):
        call(model, y)


def test_covariates_that_are_missing():
    y = waves()
    model = quick(RNNForecaster, epochs=2).fit(y, y)
    with pytest.raises(ValueError, match="X: expected 1 covariates in every step, got 0"):
        model.forecast(2)
    with pytest.raises(ValueError, match="past: expected 1 covariates in every step, got 0"):
        model.forecast(2, y[:, :2], y=y)
    assert model.forecast(2, y[:, :2], y=y[:, :9], past=y[:, :9]).shape == (3, 2)
