"""The classifier for aeon passes aeon's own checks."""

import numpy as np
import pytest

pytest.importorskip("aeon")
pytestmark = pytest.mark.filterwarnings("ignore")  # aeon's own

from aeon.datasets import load_japanese_vowels  # noqa: E402
from aeon.testing.estimator_checking import parametrize_with_checks  # noqa: E402
from rnncore.aeon import RNNClassifier  # noqa: E402
from rnncore.sklearn import RNNClassifier as Plain  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402


@parametrize_with_checks([RNNClassifier])
def test_aeons_own_checks(check):
    check()


def test_series_of_different_lengths():
    """Speakers by their vowels: 12 channels, 7 to 29 steps."""
    X, y = load_japanese_vowels(split="train")
    X_test, y_test = load_japanese_vowels(split="test")
    model = RNNClassifier(random_state=0).fit(X, y)
    assert model.score(X_test, y_test) > 0.9
    plain = Plain(layout="bdt", random_state=0).fit(X, y)
    assert np.array_equal(model.predict_proba(X_test), plain.predict_proba(X_test))


def test_in_a_pipeline():
    from aeon.transformations.collection import Normalizer

    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2, 8))
    y = np.where(X[:, 0, 2] > X[:, 1, 2], "up", "down")
    model = make_pipeline(Normalizer(), RNNClassifier(hidden_size=8, random_state=0))
    assert model.fit(1000 + 10 * X, y).score(1000 + 10 * X, y) > 0.9
