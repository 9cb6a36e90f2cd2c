"""Figures of histories and gradient flows, in a script and in a notebook."""

import os
import re
import subprocess
import sys
import types

import numpy as np
import pytest
from fits import data, network, overflowing

import rnncore as rc


def drawing():
    """pyplot, without a screen."""
    pytest.importorskip("matplotlib").use("Agg")
    return pytest.importorskip("matplotlib.pyplot")


def test_a_history_is_drawn():
    pyplot = drawing()
    history = network().fit(*data(), epochs=30, validation=0.2, rng=0)
    figure = history.plot()
    losses, norms, rates = figure.axes
    assert losses.get_ylabel() == "loss"
    assert norms.get_ylabel() == "gradient norm"
    assert rates.get_ylabel() == "learning rate"
    assert rates.get_xlabel() == "epoch"
    assert len(losses.lines) == 3
    with pytest.raises(ValueError, match="ax: expected 3 axes"):
        history.plot(ax=[losses, norms])
    figure.clf()
    assert history.plot(ax=figure.subplots(3)) is figure
    pyplot.close(figure)


def test_few_epochs_are_marked():
    """A line through one point is nothing."""
    pyplot = drawing()
    for epochs, marked in ((1, True), (3, True), (200, False)):
        figure = network().fit(*data(), epochs=epochs, rng=0).plot()
        figure.canvas.draw()
        for panel in figure.axes:
            assert (panel.lines[0].get_marker() == "o") == marked
            ticks = panel.get_xticks()
            assert (ticks == ticks.round()).all()
        low, high = figure.axes[0].get_xlim()
        assert low < 1 <= epochs < high
        pyplot.close(figure)


@pytest.mark.parametrize(("scale", "label"), [
    (1.5, r"validation, least [\d.e-]+ in epoch \d+"), (9.0, "validation, never finite"),
])  # fmt: skip
def test_a_validation_loss_that_is_not_finite_is_drawn(scale, label):
    pyplot = drawing()
    figure = overflowing(scale, epochs=10)[1].plot()
    figure.canvas.draw()
    training, validation = figure.axes[0].get_legend().get_texts()
    assert training.get_text() == "training"
    assert re.fullmatch(label, validation.get_text())
    pyplot.close(figure)


@pytest.mark.parametrize("backend", ["inline", "module://matplotlib_inline.backend_inline", "agg"])
@pytest.mark.parametrize("what", ["history", "flow"])
def test_a_notebook_shows_a_figure_once(monkeypatch, backend, what):
    """It shows the value of a cell, by its own method where it has one; then all open figures."""
    pyplot = drawing()
    shown = []
    monkeypatch.setattr("matplotlib.get_backend", lambda: backend)
    fake = types.SimpleNamespace(display=shown.append)
    package = types.SimpleNamespace(get_ipython=lambda: None, version_info=(9, 0), display=fake)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    x, y = data()
    net = network()
    plot = net.fit(x, y, epochs=3).plot if what == "history" else net.gradient_flow(x, y).plot
    pyplot.close("all")
    figure = plot()
    if backend == "agg":  # a script: pyplot.show() and pyplot.savefig() find it
        assert pyplot.gcf() is figure
        assert not hasattr(figure, "_ipython_display_")
        pyplot.close(figure)
        return
    assert pyplot.get_fignums() == [figure.number]  # shown even where it is not a cell's value
    figure._ipython_display_()
    assert shown == [figure]
    assert pyplot.get_fignums() == []
    assert not hasattr(figure, "_ipython_display_")  # from now on as any other


NOTEBOOK = """
import sys
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.enable_gui = lambda self, gui=None: None
shell = InteractiveShell.instance()
shown = []
class Publisher(type(shell.display_pub)):
    def publish(self, data, metadata=None, **options):
        shown.append(sorted(data))
class Hook(type(shell.displayhook)):
    def write_format_data(self, data, metadata=None):
        shown.append(sorted(data))
shell.display_pub.__class__, shell.displayhook.__class__ = Publisher, Hook
def run(cell):
    shown.clear()
    shell.run_cell(cell).raise_error()
    return sum("image/png" in kinds for kinds in shown)
run("%matplotlib inline")
run("import numpy as np, rnncore as rc; net = rc.RNN(1, 1, 1, loss='mse', seed=0)")
run("x, y = np.ones((8, 3, 1)), np.ones(8)")
run("history, flow = net.fit(x, y, epochs=3), net.gradient_flow(x, y)")
counts = [run(cell) for cell in (
    "history.plot()", "flow.plot()", "figure = flow.plot()", "figure",
    "for _ in range(2): history.plot()",
    "from matplotlib import pyplot; mine, ax = pyplot.subplots(); history.plot(ax=ax)",
    "mine, (a, b) = pyplot.subplots(2); history.plot(ax=a); flow.plot(ax=b)", "mine",
)]
print(counts, file=sys.stderr)
"""


def test_a_real_notebook_shows_a_figure_once():
    pytest.importorskip("IPython")
    pytest.importorskip("matplotlib_inline")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    out = subprocess.run(
        [sys.executable, "-c", NOTEBOOK], env=environment, capture_output=True, text=True,
        check=True,
    ).stderr  # fmt: skip
    assert out.splitlines()[-1] == "[1, 1, 1, 1, 2, 1, 1, 1]"


@pytest.mark.parametrize("T", [1, 2, 50, 300])
def test_flows_are_drawn(T):
    pyplot = drawing()
    x, y = np.random.default_rng(0).standard_normal((3, T, 1)), np.ones(3)
    figure = rc.GRU(1, 4, 1, loss="mse", seed=0).gradient_flow(x, y).plot()
    upper, lower = figure.axes
    figure.canvas.draw()
    assert "norm" in upper.get_ylabel()
    assert "last step" not in upper.get_title()
    assert lower.get_xlabel() == "time step"
    for line in lower.lines:  # few points, which are no line, are seen
        assert (line.get_marker() == "o") == (T <= 2)
    ticks = lower.get_xticks()
    assert (ticks == ticks.round()).all()
    pyplot.close(figure)


def test_a_flow_says_that_it_is_of_the_last_loss():
    pyplot = drawing()
    x = np.random.default_rng(0).standard_normal((3, 20, 1))
    figure = rc.RNN(1, 4, 1, loss="mse", readout="all", seed=0).gradient_flow(x, x).plot()
    assert "the last step's loss alone" in figure.axes[0].get_title()
    pyplot.close(figure)


def test_a_flow_of_nothing_is_drawn():
    pyplot = drawing()
    net = rc.RNN(1, 2, 1, loss="mse", bias=False, seed=0)
    figure = net.gradient_flow(np.zeros((2, 5, 1)), np.zeros(2)).plot()
    figure.canvas.draw()
    pyplot.close(figure)
