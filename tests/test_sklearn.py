"""The classifier and the regressor within scikit-learn: its own checks, what it composes, and input
in every form."""

import copy
import pickle

import numpy as np
import pytest

import rnncore as rc

sklearn = pytest.importorskip("sklearn")

from rnncore.sklearn import RNNClassifier, RNNRegressor  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.calibration import CalibratedClassifierCV  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

WEIGHTS = "check_sample_weight_equivalence_on_dense_data"


def expected_failures(estimator):
    """A minibatch has other company where samples are repeated."""
    if estimator.batch_size is None:
        return {}
    return {WEIGHTS: "repeated samples are divided into other minibatches"}


@parametrize_with_checks(
    [
        RNNClassifier(), RNNRegressor(),
        RNNClassifier(batch_size=None, dtype="float64", epochs=40, lr=0.03),
        RNNRegressor(batch_size=None, dtype="float64", epochs=40, lr=0.03),
    ],
    expected_failed_checks=expected_failures,
)  # fmt: skip
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def data(n=150, T=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, T))
    return X, np.where(X[:, 1] + 0.1 * rng.standard_normal(n) > 0, "up", "down")


def quick(kind=RNNClassifier, **options):
    return kind(**{"hidden_size": 6, "epochs": 30, "lr": 0.03, "random_state": 0} | options)


# ---- within scikit-learn


def test_pipeline():
    X, y = data()
    model = make_pipeline(StandardScaler(), quick()).fit(1000 + 50 * X, y)
    assert model.score(1000 + 50 * X, y) > 0.9


def test_grid_search():
    X, y = data()
    grid = {"hidden_size": [1, 6], "lr": [1e-5, 0.03]}
    search = GridSearchCV(quick(), grid, cv=3).fit(X, y)
    assert search.best_params_["lr"] == 0.03
    assert search.best_score_ > 0.85


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn", "mgu"])
def test_cross_validation(cell):
    X, y = data()
    assert cross_val_score(quick(cell=cell, epochs=60), X, y, cv=3).mean() > 0.8
    number = X[:, 1] + X[:, 3]
    assert cross_val_score(quick(RNNRegressor, cell=cell, epochs=60), X, number, cv=3).mean() > 0.6


def test_calibration():
    X, y = data()
    model = CalibratedClassifierCV(quick(), cv=3).fit(X, y)
    assert model.predict_proba(X).shape == (150, 2)
    assert model.score(X, y) > 0.85


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    X, y = data()
    frame = pandas.DataFrame(X, columns=[f"t{i}" for i in range(4)])
    model = quick().fit(frame, pandas.Series(y))
    assert model.feature_names_in_.tolist() == list(frame.columns)
    assert np.array_equal(model.predict_proba(frame), quick().fit(X, y).predict_proba(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[frame.columns[::-1]])


def test_metadata_is_routed():
    X, y = data()
    weights = np.where(y == "up", 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        model = make_pipeline(scaler, quick().set_fit_request(sample_weight=True))
        model.fit(X, y, sample_weight=weights)
    direct = quick().fit(StandardScaler().fit_transform(X), y, sample_weight=weights)
    assert np.array_equal(model[-1].network_.flat, direct.network_.flat)


@pytest.mark.parametrize("kind", [RNNClassifier, RNNRegressor])
def test_copies_and_representation(kind):
    X, y = data()
    y = y if kind is RNNClassifier else X[:, 0]
    model = quick(kind).fit(X, y).partial_fit(X, y)
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(model.predict(X), other.predict(X))
        before = other.network_.flat.copy()
        other.partial_fit(X, y)
        assert not np.array_equal(before, other.network_.flat)
        assert np.array_equal(before, model.network_.flat)
        again = copy.deepcopy(model).partial_fit(X, y)  # the optimiser is copied too
        assert np.array_equal(again.network_.flat, other.network_.flat)
    assert not hasattr(clone(model), "network_")
    assert clone(model).get_params() == model.get_params()
    assert (
        repr(quick(kind)) == f"{kind.__name__}(epochs=30, hidden_size=6, lr=0.03, random_state=0)"
    )
    assert kind.__name__ in model._repr_html_()


# ---- the forms of X


def test_forms_of_the_same_series_have_the_same_bits():
    X, y = data()
    want = quick().fit(X, y).predict_proba(X)
    cells = np.empty(len(X), object)
    for i, row in enumerate(X):
        cells[i] = row
    for given in (X[:, :, None], [row[:, None] for row in X], X.tolist(), cells, cells[:, None]):
        model = quick().fit(given, y)
        assert np.allclose(model.predict_proba(given), want, atol=1e-5)
        assert np.array_equal(model.predict_proba(given), model.predict_proba(X[:, :, None]))
        assert model.n_channels_in_ == 1
    model = quick(layout="bdt").fit(X[:, None, :], y)
    assert np.array_equal(model.predict_proba(X[:, None, :]), want)


def ragged(n=80, seed=0, D=2):
    """Series of different lengths; whether they begin above zero."""
    rng = np.random.default_rng(seed)
    rows = [rng.standard_normal((rng.integers(1, 9), D)) for _ in range(n)]
    return rows, np.array([int(row[0, 0] > 0) for row in rows])


def padded(rows):
    X = np.full((len(rows), max(map(len, rows)), rows[0].shape[1]), np.nan)
    for i, row in enumerate(rows):
        X[i, : len(row)] = row
    return X


def test_series_of_different_lengths():
    rows, y = ragged()
    model = quick(epochs=60).fit(rows, y)
    assert model.score(rows, y) > 0.9
    assert model.n_features_in_ == model.n_channels_in_ == 2
    alone = [model.predict_proba([row])[0] for row in rows]
    assert np.array_equal(model.predict_proba(rows), alone)
    turned = quick(epochs=60, layout="bdt").fit([row.T for row in rows], y)
    assert np.array_equal(turned.network_.flat, model.network_.flat)
    cells = np.empty(len(rows), object)
    cells[:] = rows
    assert np.array_equal(model.predict_proba(cells), model.predict_proba(rows))


def test_nan_padding():
    rows, y = ragged()
    X = padded(rows)
    with pytest.raises(ValueError, match="NaN"):
        quick().fit(X, y)
    model = quick(nan_padding=True).fit(X, y)
    assert np.allclose(model.predict_proba(X), quick().fit(rows, y).predict_proba(rows), atol=1e-4)
    assert np.array_equal(model.predict_proba(X), model.predict_proba(rows))
    assert np.array_equal(model.predict_proba(rows), model.predict_proba(list(X)))
    matrix = quick(nan_padding=True).fit(X[:, :, 0], y)
    assert matrix.n_features_in_ == 8
    X[5, 0, 1] = np.nan
    with pytest.raises(ValueError, match=r"X: expected finite numbers, got nan at \[5, 0, 1\]"):
        model.predict(X)
    X[2] = np.nan
    with pytest.raises(ValueError, match=r"X\[2\]: expected a step that is not NaN"):
        model.predict(X)


@pytest.mark.parametrize(
    ("X", "text"),
    [
        ([np.ones((3, 2)), np.ones((2, 1))], r"X\[1\]: expected 2 channels as in X\[0\], got 1"),
        ([np.ones((3, 2)), np.ones((0, 2))], r"X\[1\]: expected at least one step and channel"),
        ([np.ones(3), np.ones((2, 2, 2))], r"X\[1\]: expected one or two axes, got shape"),
        ([np.ones((3, 2)), np.full((4, 2), np.inf)], r"X\[1\]: expected finite numbers, got inf"),
        (np.ones((4, 3, 2)), r"X: expected 1 channels, as RNNClassifier was fitted on, got 2"),
        ([np.ones((3, 2)), np.ones((4, 2))], r"X: expected 1 channels, as RNNClassifier was"),
        (np.ones((4, 0, 1)), "X: expected at least one series, step and channel"),
        (np.ones((4, 5)), "X has 5 features, but RNNClassifier is expecting 4"),
    ],
)
def test_what_is_no_series_is_refused(X, text):
    model = quick(epochs=1).fit(*data())
    with pytest.raises(ValueError, match=text):
        model.predict(X)


# ---- weights, classes, several targets


def test_weights_are_repetitions():
    X, y = data(30)
    times = np.arange(30) % 3
    for kind, target in ((RNNClassifier, y), (RNNRegressor, X[:, 0])):
        model = quick(kind, batch_size=None, dtype="float64", optimizer="sgd")
        repeated = clone(model).fit(np.repeat(X, times, axis=0), np.repeat(target, times))
        weighted = clone(model).fit(X, target, sample_weight=times)
        assert np.allclose(weighted.network_.flat, repeated.network_.flat, atol=1e-10)
        left_out = clone(model).fit(X[times > 0], target[times > 0], times[times > 0])
        assert np.allclose(weighted.network_.flat, left_out.network_.flat, atol=1e-12)


def test_class_weights():
    X, y = data(200)
    X, y = X[(y == "up") | (np.arange(200) % 10 == 0)], y[(y == "up") | (np.arange(200) % 10 == 0)]
    share = {label: len(y) / 2 / (y == label).sum() for label in ("up", "down")}
    weights = np.array([share[label] for label in y])
    flats = [
        model.network_.flat
        for model in (
            quick(class_weight="balanced").fit(X, y), quick(class_weight=share).fit(X, y),
            quick().fit(X, y, sample_weight=weights), quick().fit(X, y),
        )
    ]  # fmt: skip
    assert np.allclose(flats[0], flats[1], atol=1e-5)
    assert np.allclose(flats[0], flats[2], atol=1e-5)
    assert not np.allclose(flats[0], flats[3], atol=1e-2)


def test_many_classes():
    X = np.random.default_rng(0).standard_normal((120, 5))
    y = np.array(["low", "middle", "high"])[(X[:, 0] > -0.4).astype(int) + (X[:, 0] > 0.4)]
    model = quick(epochs=80).fit(X, y)
    assert model.classes_.tolist() == ["high", "low", "middle"]
    assert model.decision_function(X).shape == model.predict_proba(X).shape == (120, 3)
    assert model.score(X, y) > 0.9
    assert np.allclose(
        model.predict_proba(X), model.network_.predict_proba(X[:, :, None]), atol=1e-6
    )


def test_several_targets_and_their_scale():
    X = np.random.default_rng(0).standard_normal((100, 5))
    y = np.stack([1000 + X[:, 0], 1e-3 * X[:, 1]], axis=1)
    model = quick(RNNRegressor, epochs=80).fit(X, y)
    assert model.predict(X).shape == (100, 2)
    assert model.score(X, y) > 0.9
    plain = quick(RNNRegressor, normalize_y=False, epochs=80).fit(X, X[:, 0])
    assert np.array_equal(plain.predict(X), plain.network_(X[:, :, None]).y[:, 0].astype(float))


# ---- training


def test_the_same_random_state_gives_the_same_bits():
    X, y = data()
    options = {"early_stopping": True, "num_layers": 2, "dropout": 0.2}
    one, other = quick(**options).fit(X, y), quick(**options).fit(X, y)
    assert np.array_equal(one.network_.flat, other.network_.flat)
    assert not np.array_equal(one.network_.flat, quick(random_state=1).fit(X, y).network_.flat)
    many = quick(**options, n_jobs=3).fit(X, y)
    assert np.array_equal(one.network_.flat, many.network_.flat)


def test_early_stopping_keeps_the_best():
    X, y = data(40)
    labels = np.random.default_rng(0).permutation(y)  # nothing to learn but noise
    model = quick(early_stopping=True, epochs=500, patience=5, validation_fraction=0.3)
    model.fit(X, labels)
    history = model.history_
    assert history.stopped == "patience"
    assert model.n_iter_ == len(history) == history.best_epoch + 5
    again = quick(early_stopping=True, epochs=history.best_epoch, validation_fraction=0.3)
    assert np.array_equal(again.fit(X, labels).network_.flat, model.network_.flat)


def test_epochs_by_partial_fit_are_those_of_fit():
    X, y = data()
    whole = quick(batch_size=None, epochs=10).fit(X, y)
    model = quick(batch_size=None)
    for _ in range(10):
        model.partial_fit(X, y, classes=["up", "down"])
    assert np.array_equal(model.network_.flat, whole.network_.flat)
    assert model.loss_curve_ == whole.loss_curve_
    assert model.n_iter_ == 10


def test_partial_fit_in_minibatches_learns():
    X, y = data()
    model = quick(RNNRegressor)
    for _ in range(40):
        model.partial_fit(X, X[:, 2])
    assert model.score(X, X[:, 2]) > 0.9
    classifier = quick().partial_fit(X[y == "up"], y[y == "up"], classes=["down", "up"])
    assert classifier.predict_proba(X).shape == (150, 2)


def test_the_learning_rate_of_partial_fit_may_be_changed():
    X, y = data()
    model = quick(optimizer="sgd").partial_fit(X, y, classes=np.unique(y))
    before = model.network_.flat.copy()
    model.set_params(lr=1e-12).partial_fit(X, y)
    assert np.allclose(before, model.network_.flat, atol=1e-9)


def test_warm_start():
    X, y = data()
    options = {"batch_size": None, "optimizer": "sgd", "warm_start": True}
    model = quick(**options, epochs=5).fit(X, y)
    model.fit(X, y)
    assert np.array_equal(model.network_.flat, quick(**options, epochs=10).fit(X, y).network_.flat)
    assert len(model.loss_curve_) == model.n_iter_ == 10
    with pytest.raises(ValueError, match="y: expected labels of the classes"):
        model.fit(X, np.where(y == "up", "new", y))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cell": "GRU"}, "cell: expected one of 'gru'"),
        ({"layout": "tbd"}, "layout: expected one of 'btd', 'bdt'"),
        ({"dtype": "float16"}, "dtype: expected one of"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"early_stopping": True, "validation_fraction": 1.5}, "validation_fraction: expected"),
        ({"cell": "lstm", "nonlinearity": "relu"}, "nonlinearity"),
    ],
)
def test_parameters_are_checked_by_fit(options, text):
    with pytest.raises((ValueError, TypeError), match=text):
        quick(**options).fit(*data())


def test_partial_fit_needs_to_know_the_classes():
    X, y = data()
    with pytest.raises(ValueError, match="classes: expected all labels in the first call"):
        quick().partial_fit(X, y)
    with pytest.raises(ValueError, match="class_weight: expected a dict or None"):
        quick(class_weight="balanced").partial_fit(X, y, classes=np.unique(y))
    model = quick().partial_fit(X, y, classes=np.unique(y))
    with pytest.raises(ValueError, match="classes: expected"):
        model.partial_fit(X, y, classes=["up", "other"])


def test_the_package_does_not_import_it(printed_by):
    assert printed_by("import sys, rnncore; print('sklearn' in sys.modules)") == "False\n"
    assert rc.__all__
