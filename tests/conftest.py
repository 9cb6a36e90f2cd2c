"""Every test of the core runs on every build this machine can run."""

import builtins
import os
import subprocess
import sys

import pytest

from rnncore import _builds


@pytest.fixture(params=_builds.available())
def build(request, monkeypatch):
    """The name of a build, in use for the length of the test."""
    monkeypatch.setattr(_builds, "selected", request.param)
    return request.param


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def printed_by(build):
    """printed_by(code): what a program of its own prints, which uses that build."""

    def printed_by(code):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RNNCORE_ISA": build}
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True,
            check=True, timeout=300,
        ).stdout  # fmt: skip

    return printed_by


@pytest.fixture
def hide(monkeypatch):
    """hide("name"): from now on that module cannot be imported."""
    real_import = builtins.__import__

    def hide(hidden):
        def importing(name, *args, **options):
            if name.split(".")[0] == hidden:
                raise ImportError(name)
            return real_import(name, *args, **options)

        monkeypatch.setattr(builtins, "__import__", importing)

    return hide
