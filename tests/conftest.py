"""Every test of the core runs on every build this machine can run."""

import builtins

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
