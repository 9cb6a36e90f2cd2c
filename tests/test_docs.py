"""Every example in a docstring, in docs/ and in the README runs and prints what it says."""

import doctest
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

import rnncore

ROOT = Path(__file__).resolve().parents[1]
MODULES = ["rnncore"] + [
    module.name
    for module in pkgutil.walk_packages(rnncore.__path__, "rnncore.")
    if not module.name.startswith(("rnncore._core_", "rnncore.__main__", "rnncore._bench."))
]


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
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


@pytest.mark.parametrize("name", ["RNN", "load", "show_config", "History"])
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
