"""Every test of the core runs on every build this machine can run."""

import builtins
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import selection
from rnncore._runtime import builds as _builds

import rnncore as rc

# Any will do that is installed, and keras reads it once; jax compiles each model for a second.
os.environ.setdefault("KERAS_BACKEND", "torch" if find_spec("torch") else "jax")


def poisoned(function):
    """Fresh memory holds anything: here, what is no number, so that a result which was not
    written shows."""

    def fresh(*args, **options):
        result = function(*args, **options)
        if result.dtype.kind == "f":
            result.fill(np.nan)
        return result

    return fresh


np.empty, np.empty_like = poisoned(np.empty), poisoned(np.empty_like)


def pytest_addoption(parser):
    parser.addoption(
        "--share", type=selection.share, metavar="K/N", default=(1, 1),
        help="of the exhaustive cases every N-th alone, from the K-th on",
    )  # fmt: skip


def pytest_configure(config):
    """Files in their order, not those of most tests first: with several processes, files of a few
    long tests would come last, when all other processes are done."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before -m is looked at
def pytest_collection_modifyitems(config, items):
    config.stash[selection.COLLECTED] = list(items)
    for item in list(selection.left_out(items)):
        item.add_marker("exhaustive")
    others = set(selection.other_shares(items, *config.getoption("share")))
    if others:
        config.hook.pytest_deselected(items=list(others))
        items[:] = [item for item in items if item not in others]


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

    def printed_by(code, **more):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RNNCORE_ISA": build}
        environment |= more
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


@pytest.fixture
def net():
    """A network to be saved."""
    return rc.RNN(3, 4, 2, loss="mse", readout="all", nonlinearity="relu", dtype="float64", seed=0)


@pytest.fixture
def safetensors():
    """The package, or the test is skipped."""
    return pytest.importorskip("safetensors.numpy")
