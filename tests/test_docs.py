"""Every example in a docstring, in docs/ and in the README runs and prints what it says."""

import ast
import doctest
import inspect
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


PAGES = sorted(ROOT.glob("docs/**/*.md"))


def code(page):
    """The blocks of Python of a page that are programs, not dialogues."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    return [block for block in blocks if not block.startswith(">>>")]


def need_what_is_imported(page):
    """Skips where a package is not installed that the page's code imports, or draws with."""
    text = "".join(re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S))
    names = set(re.findall(r"^(?:>>> )? *(?:from|import) ([\w.]+)", text, re.M))
    names |= {f"rnncore.{name}" for name in re.findall(r"from rnncore import (\w+)", text)}
    for package, modules in NEEDS.items():
        if names.intersection(modules):
            pytest.importorskip(package)
    for name in names:
        if not name.startswith("rnncore"):
            pytest.importorskip(name)
    if "plot(" in text or "matplotlib" in text:
        pytest.importorskip("matplotlib").use("agg")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_dialogues_of_pages(page, tmp_path, monkeypatch):
    need_what_is_imported(page)
    monkeypatch.chdir(tmp_path)
    assert doctest.testfile(str(page), module_relative=False, encoding="utf-8").failed == 0


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if code(page)], ids=lambda page: page.stem)
def test_code_of_pages(page, tmp_path, monkeypatch, capsys):
    """From top to bottom, in an empty folder: in tutorials and how-to pages, the comment beside a
    line begins with what that line prints. Then what ``CHECKS`` says of what the page defines."""
    need_what_is_imported(page)
    monkeypatch.chdir(tmp_path)
    names, everything = {}, ""
    for block in code(page):
        lines = block.splitlines()
        for statement in ast.parse(block).body:
            exec(compile(ast.Module([statement], []), page.name, "exec"), names)
            printed = capsys.readouterr().out
            everything += printed
            shown = re.fullmatch(r"print\(.*\) +# (.*)", lines[statement.end_lineno - 1])
            if shown and page.parent.name in ("tutorials", "howto"):
                assert shown[1].startswith(printed.strip()), lines[statement.end_lineno - 1]
    if page.stem in CHECKS:
        CHECKS[page.stem](names, page, everything)


def test_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert code(ROOT / "README.md")
    for block in code(ROOT / "README.md"):
        names = {}
        exec(compile(block, "README.md", "exec"), names)
        assert names.get("accuracy", 1) > 0.95  # an example that learns


def check_populations(names, page, printed):
    assert len(names["found"]) == 192
    for pop, most in ((names["diagonal"], 2), (names["scaled"], 1), (names["swept"].network(3), 1)):
        read = pop.parameters()["head.weight"].reshape(-1, 2, 2)
        assert not read[:, [0, 1], [1, 0]].any()
        assert {len(set(one.diagonal().tolist())) for one in read} == {most}
        assert "head.bias" not in pop.parameters()
    assert names["embedding"].shape == (9, 4)
    assert names["pop"](names["x"]).hidden.shape == (20, 40, 50, 2)


def check_instruments(names, page, printed):
    assert names["accuracy"] == 1
    assert sorted(names["found"].stability) == ["saddle", "stable", "stable"]
    rest = [abs(values) for values in names["found"].eigenvalues]
    assert min(abs(names["held"].exponents.sum() - np.log(v).sum()) for v in rest) < 1e-3
    assert names["chaos"].exponents[0] > 0.1
    assert np.argsort(names["pulls"].norms)[::-1][:2].tolist() == [7, 42]
    assert abs(abs(names["largest"]).max() - names["sharpness"]) < 0.01 * names["sharpness"]
    assert names["small"].loss(names["x"], names["y"]) < 0.01


def check_generation(names, page, printed):
    assert names["made"].values.tolist() == [1, 2, 3, 0, 1, 2, 3, 0]
    assert names["several"].values.shape == (3, 8)
    assert names["ahead"].values.shape == (20, 1)
    assert names["kept"].any(axis=(1, 2)).nonzero()[0].tolist() == sorted({*range(64)} - {3, 17})


def check_torch(names, page, printed):
    assert names["losses"][-1] < 0.3 * names["losses"][0]
    y = names["model"](names["x"]).detach().numpy()
    assert abs(names["net"](names["x"].numpy()).y - y).max() < 1e-5


def check_sklearn(names, page, printed):
    assert names["accuracy"] > 0.85
    assert names["share"] > 0.9
    assert names["error"] < 0.2
    assert names["other"].shape == (1, 30)


def check_onnx(names, page, printed):
    assert names["difference"] < 1e-5
    assert (names["same"].flat == names["net"].flat).all()


def check_keras(names, page, printed):
    assert names["difference"] < 1e-5
    assert abs(names["logits"] - names["net"](names["x"]).y).max() < 1e-5


def check_export(names, page, printed):
    text = page.read_text("utf-8")
    reports = re.findall(r"```text\n(.*?)```", text, re.S)
    shown = re.sub(r"differ .*|loss .*", "", "".join(reports))  # digits of a fit, by processor
    assert re.sub(r"differ .*|loss .*", "", printed) == shown
    (program,) = re.findall(r"```c\n(.*?)```", text, re.S)
    Path("main.c").write_text(program)
    run(tool("gcc"), *STRICT, "main.c", "forecast.c", "-o", "forecast")
    x = names["x"][0]
    printed = run("./forecast", input="\n".join(str(v) for v in x[:, 0]))
    y = names["net"](x[None]).y[0, :, 0]
    assert abs(np.array(printed.split(), float) - y).max() < 1e-6
    assert 0.0025 < names["report"].accuracy.loss < 0.02  # it has learnt; the noise alone is 0.0025
    assert Path("voice.json").exists()


#: By the name of the page: what must hold of the names its code defines, and of what it prints.
CHECKS = {
    "populations": check_populations, "instruments": check_instruments,
    "generation": check_generation, "torch": check_torch, "sklearn": check_sklearn,
    "onnx": check_onnx, "keras": check_keras, "export": check_export,
}  # fmt: skip


def test_checks_are_of_pages():
    assert set(CHECKS) <= {page.stem for page in PAGES if code(page)}


def test_links_between_pages():
    """Each relative link leads to a file, and its part after ``#`` to a heading there."""

    def headings(path):
        titles = re.findall(
            r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.S), re.M
        )
        return {re.sub(r"[^\w\s-]", "", title.lower()).replace(" ", "-") for title in titles}

    for page in (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            name, _, part = link.partition("#")
            if "://" in name:
                continue
            path = (page.parent / name) if name else page
            assert path.exists(), f"{page.name} links to {link}"
            assert not part or part in headings(path), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_line_is_lost(page):
    """MyST takes a line that begins with a percent sign for a comment."""
    assert not re.search(r"^%", page.read_text("utf-8"), re.M)


def test_files_named_in_documents_exist():
    folders = "rnncore", "python", "tests", "tools", "examples", "benchmarks", "docs/_extensions"
    there = ["/setup.py"] + [
        f"/{path.relative_to(ROOT).as_posix()}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.*")
    ]
    for path in (*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
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


def test_the_reference_has_every_public_name():
    pages = "".join(path.read_text("utf-8") for path in ROOT.glob("docs/reference/*.rst"))
    listed = set(re.findall(r"^\.\. auto\w+:: (?:rnncore\.)?(\S+)", pages, re.M))
    assert set(rnncore.__all__) - {"__version__"} <= listed
    of_networks = {name for name in dir(rnncore.RNN) if not name.startswith("_")} | {"__call__"}
    assert {f"RNN.{name}" for name in of_networks} <= listed
    for name in {path.stem for path in Path(rnncore.__path__[0]).glob("[a-z]*.py")}:
        assert name in listed or name == "population", f"the module rnncore.{name}"


def test_networks_list_all_their_parameters():
    for cls in rnncore.RNN, rnncore.LSTM, rnncore.GRU, rnncore.MGU:
        named = set(re.findall(r"^ *(\w+) : ", cls.__doc__, re.M))
        assert set(inspect.signature(cls).parameters) <= named, cls
        assert "As for" not in cls.__doc__
