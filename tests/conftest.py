"""Every test of the core runs on every build this machine can run."""

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
