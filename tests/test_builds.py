"""Which build is chosen, how it is forced, that all are there, and what else is installed."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import numpy as np
import pytest
from rnncore._runtime import builds as _builds

import rnncore as rc
from rnncore import cpu


def run(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_fastest_runnable_build_is_chosen():
    assert _builds.choose("", ["v4", "v3", "base"], ["v4", "v3", "base"]) == "v4"
    assert _builds.choose("", ["v3", "base"], ["v4", "v3", "base"]) == "v3"
    assert _builds.choose("", ["base"], ["v4", "v3", "base"]) == "base"
    assert _builds.choose("", ["v4", "v3", "base"], ["v3", "base"]) == "v3"


def test_a_wish_is_granted_or_refused():
    everything = ["v4", "v3", "base"]
    assert _builds.choose("v3", everything, everything) == "v3"
    with pytest.raises(ValueError, match="RNNCORE_ISA: expected one of v4, v3, base, got 'avx2'"):
        _builds.choose("avx2", everything, everything)
    with pytest.raises(RuntimeError, match="'v4' does not run on this machine; there are v3, base"):
        _builds.choose("v4", ["v3", "base"], everything)
    with pytest.raises(RuntimeError, match="'v4' was not compiled; there are v3, base"):
        _builds.choose("v4", everything, ["v3", "base"])


def test_the_baseline_runs_everywhere():
    assert cpu.runnable()[-1] == "base"
    assert "base" in _builds.available()


@pytest.mark.skipif(not os.path.exists("/proc/cpuinfo"), reason="the kernel's own list of flags")
def test_runnable_agrees_with_the_kernel():
    with open("/proc/cpuinfo") as file:
        flags = set(next((line for line in file if line.startswith("flags")), "").split())
    if not flags:
        pytest.skip("not x86")
    v3 = {"avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe"} <= flags
    v4 = v3 and {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"} <= flags
    assert cpu.runnable() == ["v4"] * v4 + ["v3"] * v3 + ["base"]


@pytest.mark.parametrize("isa", _builds.available())
def test_the_environment_forces_a_build(isa):
    done = run("import rnncore; print(rnncore.show_config('dicts')['isa'])", RNNCORE_ISA=isa)
    assert done.stdout.strip() == isa, done.stderr


def test_an_unknown_build_fails_the_import():
    done = run("import rnncore", RNNCORE_ISA="sse9")
    assert done.returncode != 0
    assert "RNNCORE_ISA: expected one of" in done.stderr


PACKAGE = Path(rc.__file__).parent
COMPILED = re.compile(r"(cpu|_core_\w+)\..*(so|pyd)")


def imported(where):
    """What is said when it is imported from there, numpy being wherever it is."""
    path = [str(where), str(Path(np.__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {path}; import rnncore"
    return run(code, PYTHONPATH="", PYTHONSAFEPATH="1").stderr


@pytest.fixture
def source(tmp_path):
    """The package in a folder of its own, without what is compiled."""
    shutil.copytree(
        PACKAGE, tmp_path / "rnncore",
        ignore=lambda _, names: [name for name in names if COMPILED.fullmatch(name)],
    )  # fmt: skip
    return tmp_path


def test_from_an_archive_it_says_that_it_cannot_be(source):
    shutil.make_archive(source / "package", "zip", source, "rnncore")
    text = imported(source / "package.zip")
    assert "ImportError: rnncore: expected a folder, got an archive" in text
    assert "install the package (python -m pip install rnncore)" in text
    assert "circular import" not in text


def test_source_that_was_not_built_says_so(source):
    text = imported(source)
    assert (
        f"ImportError: rnncore: expected compiled modules (*{EXTENSION_SUFFIXES[0]}) in {source}"
        in text
    )
    assert "got none. Where this is the source code, build and install it" in text
    assert "circular import" not in text


def test_modules_of_another_python_are_named(source):
    (source / "rnncore" / "cpu.cpython-23-any.so").write_bytes(b"")
    assert "got those of another Python (cpu.cpython-23-any.so)" in imported(source)


def test_without_any_core_it_was_not_built(source):
    """As after a build that was interrupted."""
    for path in PACKAGE.glob("cpu.*"):
        shutil.copy(path, source / "rnncore" / path.name)
    text = imported(source)
    assert "ImportError: rnncore: expected compiled modules" in text
    assert "got none." in text


def test_every_build_is_loaded_from_its_own_module(build, dtype):
    module = _builds.core(dtype)
    assert module.__name__ == f"rnncore._core_{build}_f{dtype[5:]}"


def test_show_config(capsys):
    rc.show_config()
    assert rc.__version__ in capsys.readouterr().out
    with pytest.raises(ValueError, match="mode: expected 'stdout' or 'dicts'"):
        rc.show_config("json")


OTHER_INTERPRETER = """
import rnncore as rc
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
failure = None
try:  # up to 3.12 it raises, later it returns what was raised
    failure = interpreters.run_string(interpreters.create(), "import rnncore")
except Exception as error:
    failure = error
assert "ImportError" in repr(failure) or "ImportError" in str(failure), failure
print(rc.RNN(1, 1, 1)([[[1.0]]]).y.shape)
"""


def test_another_interpreter_of_the_process_gets_an_import_error():
    """As of numpy there is one per process; the first one goes on."""
    done = run(OTHER_INTERPRETER)
    assert done.stdout.strip() == "(1, 1)", done.stderr


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python"
)
def test_importing_it_leaves_the_gil_off():
    done = run(
        "import sys, rnncore; [rnncore.RNN(1, 1, dtype=d) for d in ('float32', 'float64')];"
        "print(sys._is_gil_enabled())"
    )
    assert done.stdout.strip() == "False", done.stderr


def test_a_wheel_brings_its_licence_and_its_bill_of_materials():
    try:
        installed = importlib.metadata.distribution("rnncore")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("not installed")
    if installed.read_text("WHEEL") is None:
        pytest.skip("not installed from a wheel")
    assert "BSD 3-Clause" in installed.read_text("licenses/LICENSE")
    materials = json.loads(installed.read_text("sboms/rnncore.cdx.json"))
    assert materials["metadata"]["component"]["version"] == rc.__version__
    tools = {tool["name"] for tool in materials["metadata"]["tools"]["components"]}
    assert tools == {"Cython", "numpy", "setuptools"}
