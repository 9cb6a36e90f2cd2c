"""The folders of the Python package: what a wheel contains, and which of them import which."""

import ast
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "python"
PACKAGE = SOURCE / "rnncore"
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))

#: Each imports only from those before it, apart from modules of its own.
ORDER = [
    "_types", "_version", "_html", "_checks", "_runtime", "schedules", "_model", "_storage",
    "_data", "_calls", "_diagnostics", "_training", "_networks", "_population",
    "population", "_sweep", "_dynamics", "dynamics", "__init__", "_export", "export", "_torch",
    "torch", "_sklearn", "sklearn", "aeon", "sktime", "_onnx", "onnx", "_keras", "keras", "_demo",
    "_bench", "__main__",
]  # fmt: skip
COMPILED = {"cpu", "_core_base_f32"}

pytestmark = pytest.mark.skipif(not PACKAGE.exists(), reason="needs the source code")


def imported_at_once(tree):
    """Modules that a file imports when it is imported: not those for annotations alone, nor those
    that functions import later."""
    skipped = set()
    for node in ast.walk(tree):
        is_function = isinstance(node, ast.FunctionDef)
        if is_function or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            skipped |= set(map(id, ast.walk(node)))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "rnncore":
                yield from (alias.name for alias in node.names)
            elif node.module.startswith("rnncore."):
                yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from ("__init__" for alias in node.names if alias.name == "rnncore")


@pytest.mark.parametrize("path", FILES, ids=str)
def test_folders_import_one_way(path):
    place = ORDER.index(path.parts[0].removesuffix(".py"))
    others = set(imported_at_once(ast.parse((PACKAGE / path).read_text("utf-8")))) - COMPILED
    later = {name for name in others if ORDER.index(name) > place}
    assert not later


@pytest.mark.parametrize("path", FILES, ids=str)
def test_files_are_short_and_folders_say_what_is_in_them(path):
    text = (PACKAGE / path).read_text("utf-8")
    assert text.count("\n") <= 400
    if path.name == "__init__.py" and len(path.parts) > 1:
        assert len(ast.parse(text).body) == 1
        assert text.startswith('"""')
        assert text.count("\n") <= 3


def test_a_wheel_has_every_file():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
    assert options["packages"]["find"] == {"where": ["python"], "namespaces": False}
    packages = find_packages(SOURCE)
    assert {".".join(["rnncore", *path.parts[:-1]]) for path in FILES} == set(packages)
    data = {
        path
        for package, patterns in options["package-data"].items()
        for pattern in patterns
        for path in SOURCE.joinpath(*package.split(".")).glob(pattern)
    }
    rest = {
        path
        for path in PACKAGE.rglob("*")
        if path.suffix in (".csv", ".pyi", ".typed", ".css", ".js", ".cpp")
    }
    assert data == rest | {PACKAGE / "py.typed"}
