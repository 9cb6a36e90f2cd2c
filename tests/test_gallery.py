"""The scripts of the gallery run, and each draws."""

from pathlib import Path

import pytest

SCRIPTS = sorted((Path(__file__).resolve().parents[1] / "examples" / "gallery").glob("*.py"))


def check_vanishing(names):
    assert names["flows"]["relu, 1.1 identity"].verdict == "exploding"
    assert names["flows"]["LSTM, forget_bias=4"].horizon == 100


def check_choices(names):
    assert names["net"].loss(names["x"][40:], names["y"][40:]) < 0.5


def check_population(names):
    assert names["history"].best.min() < 0.1


def check_fixed_points(names):
    assert sorted(names["found"].stability) == ["saddle", "stable", "stable"]


def check_drift(names):
    means = {name: values.mean() for name, values in names["errors"].items()}
    assert means["left as it is"] > 4 * means['online, method="rtrl"']


def check_speakers(names):
    assert (names["found"] == names["y_test"]).mean() > 0.95


def check_own_loss(names):
    below = (names["target"] < names["y"]).mean(axis=(0, 1))
    assert abs(below - names["levels"]).max() < 0.05


def check_export(names):
    assert abs(names["wide"] - names["python"]).max() < 1e-6


def check_lbfgs(names):
    last = {name: values[-1] for name, values in names["losses"].items()}
    assert min(last, key=last.get) == "L-BFGS"


#: What the text of a script says of its result.
CHECKS = {
    "02_vanishing": check_vanishing, "04_choices": check_choices,
    "05_population": check_population, "06_fixed_points": check_fixed_points,
    "08_drift": check_drift, "09_speakers": check_speakers, "10_own_loss": check_own_loss,
    "11_export": check_export, "12_lbfgs": check_lbfgs,
}  # fmt: skip


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_scripts(script, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    text = script.read_text("utf-8")
    if "scipy" in text:
        pytest.importorskip("scipy")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    drawn = []
    monkeypatch.setattr(pyplot, "show", lambda: drawn.extend(pyplot.get_fignums()))
    try:
        names = {"__name__": script.stem}
        exec(compile(text, script.name, "exec"), names)
        assert drawn
    finally:
        pyplot.close("all")
    if script.stem in CHECKS:
        CHECKS[script.stem](names)
