"""What users may rely on does not change by accident: docs/project/versioning.md.

Where it is meant to change, ``python tests/public_api.py`` writes the list anew, and the change is
seen in its diff.
"""

from difflib import unified_diff

import numpy as np
import public_api
import pytest
from public_api import MODULES, described, documented, recorded

import rnncore as rc


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of keras
@pytest.mark.parametrize("name", MODULES)
def test_the_public_names_are_those_of_the_list(name):
    if MODULES[name] is not None:
        pytest.importorskip(MODULES[name])
    diff = list(unified_diff(recorded()[name], described(name), "listed", "found", lineterm=""))
    assert not diff, "run python tests/public_api.py if this is meant:\n" + "\n".join(diff)


def test_the_list_has_every_public_module_and_no_other():
    folder = public_api.FILE.parents[1] / "python" / "rnncore"
    if not folder.exists():
        pytest.skip("needs the source code")
    listed = set(recorded()) - {"rnncore"}
    there = {f"rnncore.{path.stem}" for path in folder.glob("[a-z]*.py")}
    # The class of the first is in rnncore itself.
    assert listed == set(MODULES) - {"rnncore"} == there - {"rnncore.population"}


def test_a_change_of_a_default_is_noticed(monkeypatch):
    before = described("rnncore")
    monkeypatch.setattr(rc.RNN.fit, "__kwdefaults__", rc.RNN.fit.__kwdefaults__ | {"lr": 0.02})
    changed = set(described("rnncore")) - set(before)
    assert {line.split("(")[0] for line in changed} >= {"rnncore.RNN.fit", "rnncore.GRU.fit"}


def test_names_in_a_section_of_attributes_are_read():
    class Some:
        """About it.

        Attributes
        ----------
        one, two : int
            The third : is not one
        four
            Of (n,).

        See Also
        --------
        five : elsewhere
        """

    assert documented(Some) == ["one", "two", "four"]


FILES = sorted((public_api.FILE.parent / "saved").glob("*.npz"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_earlier_versions_are_read(path, build):
    made = rc.load(path)
    with np.load(path.with_suffix(".answer")) as answer:
        assert sorted(answer) == ["hidden", "x", "y"]
        out = made(answer["x"])
        np.testing.assert_allclose(out.y, answer["y"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(out.hidden, answer["hidden"], rtol=0, atol=1e-12)


def test_there_is_a_file_of_every_class():
    kinds = {type(rc.load(path)) for path in FILES}
    assert kinds == {rc.RNN, rc.LSTM, rc.GRU, rc.MGU, rc.Population}
