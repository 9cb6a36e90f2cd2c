"""Every figure is drawn where it is asked to be, says what it shows, and changes no settings."""

import subprocess
import sys

import numpy as np
import pytest

import rnncore as rc
from rnncore import History, PopulationHistory, dynamics

INPUTS = np.eye(2)


@pytest.fixture
def pyplot():
    pytest.importorskip("matplotlib").use("agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def data():
    x = np.random.default_rng(0).normal(size=(12, 9, 2))
    return x, (x[:, :, :1] > 0).astype(float)


def net(hidden=3, kind=rc.GRU, **options):
    return kind(2, hidden, 1, **{"loss": "bce", "readout": "all", "seed": 0, **options})


def flow(**options):
    return net(**options).gradient_flow(*data())


def swept():
    x, y = data()
    return rc.sweep(rc.RNN, x, y, grid={"hidden_size": [1, 2]}, input_size=2, output_size=1,
                    loss="bce", readout="all", epochs=2, folds=3, inner=2)  # fmt: skip


#: How each figure is made, and how many panels it has.
FIGURES = {
    "history": (lambda: net().fit(*data(), epochs=3).plot, 3),
    "population": (lambda: rc.Population(
        rc.GRU, 5, 2, 2, 1, loss="bce", readout="all", seed=0).fit(*data(), epochs=3).plot, 2),
    "sweep": (lambda: swept().plot, 1),
    "flow": (lambda: flow().plot, 2),
    "unrolled": (lambda: flow().plot_unrolled, 1),
    "units": (lambda: flow().plot_units, 1),
    "trace": (lambda: net(kind=rc.LSTM).trace(data()[0])["l0"].plot, 6),
    "samples": (lambda: net().per_sample_grad(*data()).plot, 2),
    "fixed points": (lambda: net().fixed_points(INPUTS[0], 8).plot, 1),
    "lyapunov": (lambda: net().lyapunov(data()[0][0]).plot, 1),
    "curves": (lambda: dynamics.flow_field(net(1), INPUTS).plot, 1),
    "arrows": (lambda: dynamics.flow_field(net(2), INPUTS).plot, 2),
    "portrait": (lambda: dynamics.phase_portrait(net(1), INPUTS).plot, 1),
}  # fmt: skip


def panels_of(figure):
    """The axes of a figure, without those of colour bars."""
    return [axis for axis in figure.axes if not hasattr(axis, "_colorbar")]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn_in_axes_that_are_passed(pyplot, name):
    import matplotlib

    before = dict(matplotlib.rcParams)
    make, count = FIGURES[name]
    plot = make()
    figure = plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    assert len(panels_of(figure)) == count
    for axis in panels_of(figure):
        assert axis.get_xlabel() or axis is not panels_of(figure)[-1] or name == "unrolled"
        assert axis.get_ylabel() or name in ("unrolled", "arrows")
    given, axes = pyplot.subplots(1, count, squeeze=False)
    assert plot(ax=axes) is given
    alone, axis = pyplot.subplots()
    assert plot(ax=axis) is alone
    assert axis.has_data() or axis.patches
    for one in (figure, given, alone):
        one.canvas.draw()
    assert dict(matplotlib.rcParams) == before
    with pytest.raises(ValueError, match=f"ax: expected .* got {count + 1}"):
        plot(ax=[axis] * (count + 1))
    with pytest.raises(TypeError, match="ax: expected axes of matplotlib, got a str"):
        plot(ax="left")


def test_a_fit_without_an_epoch_is_drawn(pyplot):
    none = PopulationHistory(np.zeros((3, 4, 4)), np.zeros(3, int), np.full(3, 3), 0.1)
    for history in (none, History(np.zeros((0, 5)), False, "callback")):
        assert len(history) == 0
        assert history._repr_html_()
        history.plot().canvas.draw()


def test_without_matplotlib_it_is_said_what_to_install(hide):
    plots = [make() for make, _ in FIGURES.values()]
    hide("matplotlib")
    for plot in plots:
        with pytest.raises(ImportError, match=r"plot: expected matplotlib .pip install rnncore\[p"):
            plot()


def test_importing_rnncore_imports_no_matplotlib():
    text = "import sys, rnncore, rnncore.dynamics; print('matplotlib' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True,
                         env={"PYTHONPATH": ":".join(sys.path)})  # fmt: skip
    assert out.stdout == "False\n"


def test_heat_maps_show_the_numbers_of_one_sequence(pyplot):
    layer = net(kind=rc.LSTM).trace(data()[0])["l0"]
    figure = layer.plot(["f", "cell"], sequence=4)
    gate, cell = panels_of(figure)
    assert (gate.collections[0].get_array() == layer.gates["f"][4].T).all()
    assert gate.collections[0].get_clim() == (0, 1)
    assert (cell.collections[0].get_array() == layer.cell[4].T).all()
    low, high = cell.collections[0].get_clim()
    assert low == -high
    measured = flow(kind=rc.LSTM)
    (axis,) = panels_of(measured.plot_units(2, log=False))
    assert (axis.collections[0].get_array() == measured.state_gradients(2).T).all()
    assert "then of c" in axis.get_ylabel()
    with pytest.raises(ValueError, match="what: expected one of"):
        layer.plot("r")
    with pytest.raises(ValueError, match="what: expected at least one"):
        layer.plot([])
    with pytest.raises(ValueError, match="sequence: expected"):
        layer.plot(sequence=12)


def test_heat_maps_of_what_is_zero_or_infinite(pyplot):
    x = np.zeros((1, 5, 1))
    for weight in (0.0, 1e200):
        wild = rc.RNN(1, 2, 1, nonlinearity="identity", bias=False, dtype="float64")
        wild.flat[:] = weight
        measured = wild.gradient_flow(x, dy=np.ones((1, 1)))
        for log in (False, True):
            measured.plot_units(log=log).canvas.draw()
        measured.plot_unrolled().canvas.draw()


def test_the_sequences_that_pull_hardest_come_first(pyplot):
    x, y = data()
    y[7] = 1 - y[7]
    found = net(kind=rc.LSTM, num_layers=2).per_sample_grad(x, y)
    flat = np.concatenate([g.reshape(len(x), -1) for g in found.grads.values()], axis=1)
    assert found.norms == pytest.approx(np.linalg.norm(flat, axis=1), rel=1e-6)
    assert repr(found).startswith("SampleGradients(12 sequences, norms 0.")
    order = np.argsort(found.norms)[::-1]
    above, below = found.plot().axes
    assert (above.lines[0].get_ydata() == found.norms[order]).all()
    assert [label.get_text() for label in below.get_xticklabels()] == [str(k) for k in order[:10]]
    shares = np.array([[bar.get_height() for bar in bars] for bars in below.containers])
    assert shares.shape == (6, 10)  # five parameters, and the others together
    assert shares.sum(axis=0) == pytest.approx(np.ones(10))
    names = [text.get_text() for text in below.get_legend().get_texts()]
    of_first = (found.grads[names[0]].astype(float)[order[0]] ** 2).sum()
    assert shares[0, 0] == pytest.approx(of_first / found.norms[order[0]] ** 2)
    assert names[-1] == "others"


def test_sequences_without_a_gradient_are_drawn(pyplot):
    x, y = data()
    found = net().per_sample_grad(x[:2], y[:2], target_mask=np.arange(2)[:, None] * np.ones(9) > 0)
    assert found.norms[0] == 0 < found.norms[1]
    found.plot().canvas.draw()
    one = net().per_sample_grad(x[:1], y[:1])
    assert repr(one).startswith("SampleGradients(1 sequence, norms ")
    one.plot().canvas.draw()


def widths_of(figure):
    """Of the arrows back to the states before, and of those down to the weights."""
    from matplotlib.patches import FancyArrowPatch

    drawn = [p for p in figure.axes[0].patches if isinstance(p, FancyArrowPatch)]
    back = [p.get_linewidth() for p in drawn if p.get_connectionstyle().rad]
    down = [p.get_linewidth() for p in drawn if not p.get_connectionstyle().rad]
    return np.array(back), np.array(down[: len(back)])


def test_arrows_are_as_wide_as_what_goes_back(pyplot):
    one = rc.RNN(1, 1, 1, loss="mse", bias=False, nonlinearity="identity", dtype="float64")
    one.flat[:] = [1, 0.5, 1]
    measured = one.gradient_flow(np.ones((1, 30, 1)), np.zeros(1))
    back, down = widths_of(measured.plot_unrolled("weight_ih_l0", steps=3))
    assert len(back) == 3
    assert back[1:] / back[:-1] == pytest.approx([2, 2])
    assert down[1:] / down[:-1] == pytest.approx([2, 2])
    back, _ = widths_of(measured.plot_unrolled(steps=40, log=True))
    assert len(back) == 30
    assert np.diff(back)[-10:] == pytest.approx(np.log10(2) * back.max() / 5.698970, rel=0.02)
    texts = [t.get_text() for t in measured.plot_unrolled("weight_ih_l0", steps=2).axes[0].texts]
    assert {f"{measured.norms['weight_ih_l0'][-1]:.2g}", "$h_{30}$", "$h_{28}$", "L"} <= set(texts)
    for options, message in (
        ({"name": "weight"}, "name: expected one of"), ({"steps": 0}, "steps: expected at least 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            measured.plot_unrolled(**options)


def test_arrows_are_those_of_the_last_steps(pyplot):
    x = np.random.default_rng(0).normal(size=(1, 20, 1)) * np.linspace(0, 2, 20)[:, None]
    measured = rc.RNN(1, 1, 1, loss="mse", seed=1).gradient_flow(x, np.zeros(1))
    back, down = widths_of(measured.plot_unrolled("weight_ih_l0", steps=3, log=True))
    states, terms = measured.state_norms[-4:], measured.norms["weight_ih_l0"][-3:]
    assert back / 6 == pytest.approx(1 + np.log10(states[:-1] / states.max()) / 6)
    assert down / 6 == pytest.approx(1 + np.log10(terms / terms.max()) / 6)


def test_a_sweep_over_kinds_and_rates_is_drawn(pyplot):
    x, y = data()
    found = rc.sweep([rc.RNN, rc.GRU], x, y, grid={"lr": [0.001, 0.01, 0.1]}, input_size=2,
                     hidden_size=1, output_size=1, loss="bce", readout="all", epochs=2, folds=3,
                     inner=2)  # fmt: skip
    (axis,) = found.plot("lr").axes
    assert axis.get_xscale() == "log"
    (axis,) = found.plot("kind", loss="loss").axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["GRU", "RNN"]
    assert "mean loss" in axis.get_ylabel()
    means = axis.containers[0].lines[0].get_ydata()
    assert (means == found.compare("kind", "loss")["mean"]).all()
