"""Every example in a docstring, in docs/ and in the README runs and prints what it says."""

import doctest
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from compiled import STRICT, run, tool

import rnncore

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["rnncore"] + [
    module.name
    for module in pkgutil.walk_packages(rnncore.__path__, "rnncore.")
    if not module.name.startswith(("rnncore._core_", "rnncore.__main__", "rnncore._bench."))
]
#: What modules need to be imported, or their examples to run.
NEEDS = {
    "torch": ("rnncore.torch", "rnncore._torch", "rnncore._storage.to_torch",
              "rnncore._networks.from_torch"),
    "sklearn": ("rnncore.sklearn", "rnncore._sklearn"), "aeon": ("rnncore.aeon",),
    "sktime": ("rnncore.sktime",),
    "onnx": ("rnncore.onnx", "rnncore._onnx"),
    "keras": ("rnncore.keras", "rnncore._keras"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of keras
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    for package, modules in NEEDS.items():
        if name.startswith(modules):
            pytest.importorskip(package)
    assert doctest.testmod(import_module(name)).failed == 0


@pytest.mark.parametrize("path", sorted(ROOT.glob("docs/*.md")), ids=lambda path: path.name)
def test_documents(path):
    assert doctest.testfile(str(path), module_relative=False, encoding="utf-8").failed == 0


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.S)
    assert blocks
    for block in blocks:
        names = {}
        exec(compile(block, "README.md", "exec"), names)
        assert names.get("accuracy", 1) > 0.95  # an example that learns


def run_blocks(document):
    """What the code of a document defines, run from top to bottom."""
    names = {}
    text = (ROOT / "docs" / document).read_text("utf-8")
    for block in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(block, document, "exec"), names)
    return names


def test_code_of_populations():
    names = run_blocks("populations.md")
    assert len(names["found"]) == 192
    for pop, most in ((names["diagonal"], 2), (names["scaled"], 1), (names["swept"].network(3), 1)):
        read = pop.parameters()["head.weight"].reshape(-1, 2, 2)
        assert not read[:, [0, 1], [1, 0]].any()
        assert {len(set(one.diagonal().tolist())) for one in read} == {most}
        assert "head.bias" not in pop.parameters()
    assert names["embedding"].shape == (9, 4)
    assert names["pop"](names["x"]).hidden.shape == (20, 40, 50, 2)


def test_code_of_instruments():
    pytest.importorskip("matplotlib").use("agg")
    names = run_blocks("instruments.md")
    assert names["accuracy"] == 1
    assert sorted(names["found"].stability) == ["saddle", "stable", "stable"]
    rest = [abs(values) for values in names["found"].eigenvalues]
    assert min(abs(names["held"].exponents.sum() - np.log(v).sum()) for v in rest) < 1e-3
    assert names["chaos"].exponents[0] > 0.1
    assert names["size"].argmax() == 7
    assert names["small"].loss(names["x"], names["y"]) < 0.01


def test_code_of_generation():
    names = run_blocks("generation.md")
    assert names["made"].values.tolist() == [1, 2, 3, 0, 1, 2, 3, 0]
    assert names["several"].values.shape == (3, 8)
    assert names["ahead"].values.shape == (20, 1)
    assert names["kept"].any(axis=(1, 2)).nonzero()[0].tolist() == sorted({*range(64)} - {3, 17})


def test_code_for_pytorch():
    pytest.importorskip("torch")
    names = run_blocks("torch.md")
    assert names["losses"][-1] < 0.3 * names["losses"][0]
    y = names["model"](names["x"]).detach().numpy()
    assert abs(names["net"](names["x"].numpy()).y - y).max() < 1e-5


def test_code_for_scikit_learn():
    pytest.importorskip("sklearn")
    names = run_blocks("sklearn.md")
    assert names["accuracy"] > 0.85
    assert names["share"] > 0.9
    assert names["error"] < 0.2
    assert names["other"].shape == (1, 30)


def test_code_for_onnx(tmp_path, monkeypatch):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    names = run_blocks("onnx.md")
    assert names["difference"] < 1e-5
    assert (names["same"].flat == names["net"].flat).all()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_code_for_keras():
    pytest.importorskip("torch")
    pytest.importorskip("keras")
    names = run_blocks("keras.md")
    assert names["difference"] < 1e-5
    assert abs(names["logits"] - names["net"](names["x"]).y).max() < 1e-5


def test_code_of_exports(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = run_blocks("export.md")
    text = (ROOT / "docs" / "export.md").read_text("utf-8")
    reports = re.findall(r"```text\n(.*?)```", text, re.S)
    shown = re.sub(r"differ .*|loss .*", "", "".join(reports))  # digits of a fit, by processor
    assert re.sub(r"differ .*|loss .*", "", capsys.readouterr().out) == shown
    (program,) = re.findall(r"```c\n(.*?)```", text, re.S)
    Path("main.c").write_text(program)
    run(tool("gcc"), *STRICT, "main.c", "forecast.c", "-o", "forecast")
    x = names["x"][0]
    printed = run("./forecast", input="\n".join(str(v) for v in x[:, 0]))
    y = names["net"](x[None]).y[0, :, 0]
    assert abs(np.array(printed.split(), float) - y).max() < 1e-6
    assert 0.0025 < names["report"].accuracy.loss < 0.02  # it has learnt; the noise alone is 0.0025
    assert Path("voice.json").exists()


def test_files_named_in_documents_exist():
    folders = "rnncore", "python", "tests", "tools", "examples", "benchmarks"
    there = ["/setup.py"] + [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.*")
    ]
    for path in (*ROOT.glob("docs/*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for name in re.findall(r"`([\w./-]+\.(?:py|pyx|pxd|pxi|h|sh))`", path.read_text("utf-8")):
            assert any(file.endswith(f"/{name}") for file in there), f"{path.name} names {name}"


@pytest.mark.parametrize(
    "name", ["RNN", "load", "show_config", "History", "Population", "sweep", "Sweep"]
)
def test_public_names_have_examples(name):
    public = getattr(rnncore, name)
    assert ">>>" in public.__doc__
    for attribute, value in vars(public).items() if isinstance(public, type) else ():
        if callable(value) and not attribute.startswith("_"):
            assert ">>>" in value.__doc__, attribute


def test_public_methods_have_examples():
    for name in dir(rnncore.RNN):
        method = getattr(rnncore.RNN, name)
        if callable(method) and not name.startswith("_"):
            assert method.__doc__, name
            assert ">>>" in method.__doc__, name
