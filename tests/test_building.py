"""Building from source: what a compiler must not be told, and what is said where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CC = shutil.which(os.environ.get("CC", "cc"))

pytestmark = [
    pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="needs the sources"),
    pytest.mark.skipif(os.name == "nt", reason="flags and compilers as on Unix"),
]
needs_compiler = pytest.mark.skipif(CC is None, reason="needs a C compiler")


def compiled(*flags):
    """What the compiler says of the header alone, with these flags."""
    command = [CC, *flags, "-fsyntax-only", "-x", "c", str(ROOT / "rnncore" / "simd" / "lanes.h")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@needs_compiler
@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
def test_flags_without_nan_are_refused(flag):
    done = compiled(flag)
    assert done.returncode != 0
    assert "rnncore needs IEEE arithmetic with NaN: remove -ffast-math and its like" in done.stderr


@needs_compiler
@pytest.mark.parametrize(
    ("macro", "flags"),
    [
        ("__ASSOCIATIVE_MATH__", ["-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math"]),
        ("__RECIPROCAL_MATH__", ["-freciprocal-math"]),
        ("__NO_SIGNED_ZEROS__", ["-fno-signed-zeros"]),
    ],
)
def test_finer_flags_are_refused_where_the_compiler_tells(macro, flags):
    asked = [CC, *flags, "-dM", "-E", "-x", "c", os.devnull]
    if macro not in subprocess.run(asked, capture_output=True, text=True, timeout=60).stdout:
        pytest.skip("this compiler keeps it to itself")
    assert compiled(*flags).returncode != 0


@needs_compiler
def test_the_flags_of_the_build_are_accepted():
    done = compiled("-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math")
    assert done.returncode == 0, done.stderr


@pytest.fixture
def build(tmp_path):
    """build(CC=...): what building says in such an environment, from a copy of the sources."""
    for package in ("Cython", "setuptools"):
        pytest.importorskip(package)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "rnncore", tmp_path / "rnncore")
    compiled = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(ROOT / "python", tmp_path / "python", ignore=compiled)

    def build(**environment):
        done = subprocess.run(
            [sys.executable, "setup.py", "build_ext"], cwd=tmp_path,
            env=os.environ | environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "build" / "cython").exists(), "it goes on without a compiler"
        return done.stderr

    return build


def test_without_a_compiler_it_says_what_to_install(build):
    text = build(CC="/nowhere/cc")
    assert "needs a C compiler, but the one there is (/nowhere/cc) does not work" in text
    for remedy in ("apt install gcc", "xcode-select --install", "Build Tools for Visual Studio"):
        assert remedy in text


@needs_compiler
def test_without_headers_it_says_what_to_install(build, tmp_path):
    """A compiler that finds none of C's headers finds none of Python's either."""
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec "{CC}" -nostdinc "$@"\n')
    bare.chmod(0o755)
    text = build(CC=str(bare))
    assert "needs the C headers of Python" in text
    assert "apt install libc6-dev python3-dev" in text


@pytest.mark.parametrize("builds", ["base v5", "v3", ""])
def test_which_builds_there_are(build, builds):
    text = build(RNNCORE_BUILDS=builds)
    assert "RNNCORE_BUILDS: expected base and some of base, v3, v4, got" in text


@needs_compiler
@pytest.mark.parametrize("variable", ["CFLAGS", "LDFLAGS"])
def test_what_the_linker_must_not_be_told(build, variable):
    assert "remove -Ofast from the compiler's flags" in build(**{variable: "-Ofast"})
