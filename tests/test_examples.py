"""The scripts in examples/, with small data of the same form in place of what they fetch."""

import io
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def example(monkeypatch, tmp_path):
    """example("name"): that script as a module, its data in `tmp_path`, nothing to be fetched."""

    def fail(command, **options):
        raise AssertionError(f"not to be run: {command}")

    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.setattr(import_module("_data"), "DATA", tmp_path)
    monkeypatch.setattr(subprocess, "run", fail)
    return import_module


def vowels(rng, each):
    """A .ts file of three classes: (text, sequences, classes)."""
    x, y, lines = [], [], []
    for name in range(3):
        for _ in range(each):
            case = rng.standard_normal((rng.integers(3, 9), 2)).round(3)
            case[:, 0] += 5 * name
            channels = [",".join(map(str, channel)) for channel in case.T]
            x.append(case)
            y.append(name)
            lines.append(":".join([*channels, "abc"[name]]))
    head = ["#About it", "@problemName Vowels", "@classLabel true a b c", "@data"]
    return "\n".join([*head, *lines, ""]), x, y


def wheel(path, rng):
    with zipfile.ZipFile(path / "aeon-1.6.0-py3-none-any.whl", "w") as archive:
        for part, each in (("TRAIN", 10), ("TEST", 5)):
            name = f"aeon/datasets/data/JapaneseVowels/JapaneseVowels_{part}.ts"
            archive.writestr(name, vowels(rng, each)[0])


def test_ts_files_are_parsed(example):
    text, x, y = vowels(np.random.default_rng(0), 4)
    got, classes = example("japanese_vowels").parse(text)
    assert classes.tolist() == y
    assert len(got) == len(x)
    for one, other in zip(got, x, strict=True):
        np.testing.assert_array_equal(one, other)


def test_folds_hold_out_every_case_once(example):
    y = np.repeat([0, 1, 2], [10, 5, 20])
    held = list(example("japanese_vowels").folds(y))
    assert (np.sum(held, axis=0) == 1).all()
    for part in held:
        assert np.bincount(y[part]).tolist() == [2, 1, 4]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("more", [[], ["--validate", "--one-way"], ["--layers=2", "--dropout=0.1"]])
def test_japanese_vowels(example, tmp_path, capsys, cell, more):
    wheel(tmp_path, np.random.default_rng(1))
    options = ["--seeds=3", "--hidden=8", "--lr=0.01", "--epochs=30", f"--cell={cell}", *more]
    example("japanese_vowels").main(options)
    median, *each = re.search(
        r"accuracy ([.\d]+) \(([.\d]+), ([.\d]+), ([.\d]+)\)", capsys.readouterr().out
    ).groups()
    assert median == sorted(each)[1]
    assert float(median) > 0.8


def test_sentiment(example, tmp_path, capsys, monkeypatch):
    sentiment = example("sentiment")
    rng = np.random.default_rng(2)
    ratings = rng.choice([-1.5, 1.5], 200)
    lines = [
        f"{n}\t{rating}\tThe film is {'good' if rating > 0 else 'dull'} , no {n % 7}"
        for n, rating in enumerate(ratings)
    ]

    def packed(path, name, content):
        with tarfile.open(path, "w:gz") as archive:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))

    inner = tmp_path / "inner"
    packed(inner, sentiment.SNIPPETS, "\n".join(lines).encode())
    # in lower case, as an index may name it
    outer = tmp_path / "vadersentiment-3.3.2.tar.gz"
    packed(outer, f"vaderSentiment-3.3.2/additional/{sentiment.INNER}", inner.read_bytes())
    monkeypatch.setattr(sys, "argv", ["", "--quiet", "--seeds=1", "--epochs=20", "--lr=0.01"])
    sentiment.main()
    out = capsys.readouterr().out
    assert "160 snippets to train, 40 to test" in out
    assert "test accuracy 1.000" in out


def test_remedies(example, capsys):
    remedies = example("remedies")
    remedies.main(["--quick"])
    out = capsys.readouterr().out
    for name in remedies.METHODS:
        assert len(re.findall(rf"^{re.escape(name)} +0\.", out, re.M)) == 2
    for name in remedies.MEASURES:
        assert len(re.findall(rf"^{re.escape(name)} +[\d.e-]+ +\d/1", out, re.M)) == 2
    assert re.search(r"^none .* error ", out, re.M)


def test_remedies_chooses_learning_rates(example, capsys):
    remedies = example("remedies")
    remedies.main(["--quick", "--choose"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(remedies.PROBLEMS) * len(remedies.METHODS)


def test_remedies_draws_a_figure(example, tmp_path):
    pytest.importorskip("matplotlib")
    example("remedies").main(["--quick", "--out", str(tmp_path / "figure.png")])
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_problems_have_the_answers_they_say(example):
    remedies, rng = example("remedies"), np.random.default_rng(0)
    x, y = remedies.recall(200, rng)
    assert set(y) == set(range(8))
    np.testing.assert_array_equal((x[:, 0] > 0) @ [4, 2, 1], y)
    x, y = remedies.adding(2000, rng)
    np.testing.assert_allclose((x[:, :, 0] * x[:, :, 1]).sum(axis=1), y)
    assert (x[:, :50, 1].sum(axis=1) == 1).all()
    assert (x[:, 50:, 1].sum(axis=1) == 1).all()
    assert y.var() == pytest.approx(remedies.PROBLEMS["B"].constant, rel=0.1)


@pytest.mark.parametrize(
    ("suffix", "option"), [(".whl", "--only-binary"), (".tar.gz", "--no-binary")]
)
def test_data_is_fetched_once(example, monkeypatch, tmp_path, suffix, option):
    data, commands = example("_data"), []

    def run(command, *, check):
        assert check
        commands.append(command)
        (tmp_path / "new" / f"other-1.0{suffix}").touch()
        (tmp_path / "new" / f"some-1.0-any{suffix}").touch()

    monkeypatch.setattr(data, "DATA", tmp_path / "new")
    monkeypatch.setattr(subprocess, "run", run)
    found = {data.fetch("Some==1.0", suffix) for _ in range(2)}
    assert found == {tmp_path / "new" / f"some-1.0-any{suffix}"}
    (command,) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert command[command.index(option) + 1] == ":all:"
    assert command[-1] == "Some==1.0"


def test_second_order_training_prints_its_table(example, capsys):
    pytest.importorskip("scipy")
    example("lbfgs").main(["--sessions", "3", "--seeds", "1", "--evaluations", "10"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("0 ")
    assert len(re.findall(r"0\.\d{4}", lines[-1])) == 3


def test_newtons_method_prints_its_table(example, capsys):
    pytest.importorskip("scipy")
    example("newton").main(["--sequences", "5", "--steps", "8", "--iterations", "8"])
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[1]) for line in lines[1:5]]
    assert max(losses[1:]) < losses[0]
    assert len(lines) == 7


def test_tiny_networks_recover_the_subjects(example, capsys, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    _, kinds, guess = example("tiny_networks").main(
        ["--subjects", "4", "--blocks", "9", "--trials", "50", "--seeds", "2",
         "--figures", str(tmp_path)]
    )  # fmt: skip
    assert (kinds == guess).all()
    assert "kind of subject recovered for 4 of 4" in capsys.readouterr().out
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_online_learning_beats_networks_that_stay_as_they_are(example, capsys, tmp_path):
    means = example("drift").main(["--steps", "4000", "--seeds", "1", "--epochs", "50"])
    assert means["rtrl"] < 0.25 * means["frozen"]
    assert means["rtrl"] < means["refitted"]
    assert len(re.findall(r"^\w+ +0\.\d{4}$", capsys.readouterr().out, re.M)) == 6


def test_drift_draws_a_figure(example, tmp_path):
    pytest.importorskip("matplotlib")
    options = ["--steps", "2000", "--seeds", "1", "--epochs", "2"]
    example("drift").main([*options, "--out", str(tmp_path / "figure.png")])
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_characters_are_learnt_and_written(example, capsys):
    options = ["--hidden=16", "--epochs=2", "--most=20000", "--length=50"]
    history, made = example("characters").main(options)
    assert history.validation[-1] < history.validation[0]
    assert made.values.shape == (50,)
    out = capsys.readouterr().out
    assert re.search(r"^20000 characters, \d+ different ones, 198 sequences of 100$", out, re.M)
    assert re.search(r"bits a character at temperature 0.6$", out, re.M)


def test_noise_is_compared(example, capsys, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    figure = tmp_path / "figure.png"
    options = ["--hidden=8", "--epochs=3", "--most=8000", "--figure", str(figure)]
    found = example("recurrent_dropout").main(options)
    assert list(found) == ["none", "recurrent_dropout=0.3", "zoneout=0.1"]
    assert len({history.loss[-1] for history in found.values()}) == 3
    assert figure.stat().st_size > 0
    assert re.search(r"^zoneout=0.1( +\d+\.\d+){4}$", capsys.readouterr().out, re.M)


def test_sunspots_are_forecast(example, capsys, tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    figure = tmp_path / "figure.png"
    at = example("sunspots").main(
        ["--seeds=3", "--epochs=100", "--ends=1", "--figure", str(figure)]
    )
    assert len(at) == 2
    for levels in at.values():
        assert levels.shape == (5, 10)
        assert (np.diff(levels, axis=0) >= 0).all()
    assert re.search(r"^2018( +\d+){5}$", capsys.readouterr().out, re.M)
    assert figure.stat().st_size > 10_000
