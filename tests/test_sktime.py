"""The classifier for sktime passes sktime's own checks."""

import numpy as np
import pytest

pytest.importorskip("sktime")
pytestmark = pytest.mark.filterwarnings("ignore")  # sktime's own

from rnncore.sktime import RNNClassifier  # noqa: E402
from sktime.datasets import load_japanese_vowels  # noqa: E402
from sktime.utils.estimator_checks import parametrize_with_checks  # noqa: E402


@parametrize_with_checks([RNNClassifier])
def test_sktimes_own_checks(obj, test_name):
    from sktime.utils.estimator_checks import check_estimator

    check_estimator(obj, raise_exceptions=True, tests_to_run=test_name, verbose=False)


def test_series_of_different_lengths():
    """Speakers by their vowels: 12 channels, 7 to 29 steps."""
    X, y = load_japanese_vowels(split="train", return_type="nested_univ")
    model = RNNClassifier(random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95


def test_forms_have_the_same_bits():
    X = np.random.default_rng(0).standard_normal((30, 2, 8))
    y = np.where(X[:, 0, 2] > 0, "up", "down")
    one = RNNClassifier(hidden_size=4, random_state=0).fit(X, y)
    flat = RNNClassifier(hidden_size=4, random_state=0).fit(X[:, :1], y)
    assert np.array_equal(flat.predict_proba(X[:, 0]), flat.predict_proba(X[:, :1]))
    assert one.predict(X).tolist() == one.model_.predict(X).tolist()
