"""What notebooks show of networks and results: valid, small, escaped, without scripts and without
colours of its own; and their texts."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rnncore._html import pieces
from rnncore._html.curves import Curve, curves

import rnncore as rc
from rnncore import dynamics

MOST = 6000  # characters


class Shown(HTMLParser):
    """The tags and attributes of a piece of HTML, its text, and whether all is closed."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.attributes = [], set(), [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def text_of(thing):
    """What a reader sees, after checks of the rest."""
    html = thing._repr_html_()
    shown = Shown(html)
    assert len(html) < MOST
    assert not shown.tags & {"script", "style", "link", "img", "iframe"}
    for name, value in shown.attributes:
        assert not name.startswith("on")
        assert name != "id"  # of which a notebook would have several
        assert "background" not in value
        assert not re.search(r"(?<!currentC)color:(?!inherit)", value)
    return " ".join(shown.text)


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 12, 3))
    return x, (x[:, :, 0] > 0).astype(int)


@pytest.mark.parametrize("kind", [rc.RNN, rc.LSTM, rc.GRU, rc.MGU])
def test_networks(kind):
    net = kind(3, 4, 2, loss="mse", seed=0)
    text = text_of(net)
    assert text.startswith(kind.__name__)
    assert "3 inputs → 4 hidden units → 2 outputs" in text
    assert f"{net.flat.size} parameters, {net.flat.nbytes} bytes" in text
    for word in ("loss mse", "float32", "read out after the last step", "weight_hh_l0"):
        assert word in text
    for name, values in net.parameters().items():
        rows = "\u2009\u00d7\u2009".join(map(str, values.shape))
        assert re.search(rf"{re.escape(name)}\s+{rows}", text)


def test_networks_with_options():
    net = rc.LSTM(
        3, 4, num_layers=2, bidirectional=True, dropout=0.1, readout="all", dtype="float64",
        trainable_h0=True,
    )  # fmt: skip
    text = text_of(net)
    for words in (
        "3 inputs → 4 hidden units · 2 layers in both directions · states after every step",
        "no loss", "dropout=0.1", "float64", "l1, reverse", "first state",
    ):  # fmt: skip
        assert words in text
    assert "skip=3" in text_of(rc.RNN(1, 2, skip=3))
    assert "1 input → 1 hidden unit → 1 output" in text_of(rc.RNN(1, 1, 1))
    assert "read out before every step" in text_of(rc.RNN(1, 1, 1, readout="before"))


def test_the_numbers_of_layers_add_up():
    net = rc.GRU(3, 5, 2, num_layers=3, bidirectional=True)
    counts = re.findall(r'text-align:right">([\d,]+)</td>', net._repr_html_())
    assert sum(int(count.replace(",", "")) for count in counts) == net.flat.size


def test_deep_networks_stay_short():
    assert "and 55 more" in text_of(rc.RNN(1, 2, 1, num_layers=32, bidirectional=True))


def test_populations():
    x, y = data()
    pop = rc.Population(rc.GRU, 7, 3, 2, 2, loss="cross_entropy", readout="all", seed=0)
    text = text_of(pop)
    assert text.startswith("Population of 7 GRU")
    assert f"{pop.flat.shape[1]} parameters each, {pop.flat.nbytes / 1000:.3g} kB" in text
    history = pop.fit(x, y, epochs=5, validation=np.arange(5), patience=2)
    text = text_of(history)
    assert "History of 7 members" in text
    least, middle = history.best.min(), np.median(history.best)
    assert f"best validation {least:.4g} to {history.best.max():.4g}, median {middle:.4g}" in text


def test_histories():
    x, y = data()
    net = rc.GRU(3, 2, 1, loss="bce", readout="all", seed=0)
    history = net.fit(x, y, epochs=300, validation=0.2, rng=0)
    text = text_of(history)
    assert "History of 300 epochs" in text
    assert f"loss {history.loss[0]:.4g} → {history.loss[-1]:.4g}" in text
    assert f"in epoch {history.best_epoch}" in text
    assert history._repr_html_().count("<path") == 3  # the axes and two curves
    assert "<path" not in net.fit(x, y, epochs=1)._repr_html_()
    assert "History" in text_of(net.fit(x, y, epochs=1))


@pytest.mark.parametrize("readout", ["last", "all"])
def test_gradient_flows(readout):
    x, y = data()
    net = rc.RNN(3, 4, 1, loss="mse", readout=readout, seed=0)
    flow = net.gradient_flow(x, y if readout == "all" else y[:, 0])
    text = text_of(flow)
    assert f"Gradient over 12 steps: {flow.verdict}" in text
    assert f"{flow.norms['weight_hh_l0'][-1]:.4g}" in text
    assert ("last step's loss alone" in text) == (readout == "all")
    assert all(remedy in text for remedy in flow.remedies)


def test_traces_fixed_points_and_exponents():
    x, _ = data()
    layer = rc.LSTM(3, 4, seed=0).trace(x)["l0"]
    assert "Trace of 30 sequences" in text_of(layer)
    assert f"{layer.gates['f'].max():.4g}" in text_of(layer)
    switch = rc.RNN(1, 1, bias=False, dtype="float64")
    switch.parameters()["weight_hh_l0"] = [[2.0]]
    text = text_of(switch.fixed_points([0.0]))
    assert "Fixed points: 2 stable, 1 unstable" in text
    assert "0.9575" in text
    rotating = rc.RNN(1, 7, nonlinearity="identity", bias=False, dtype="float64")
    rotating.parameters()["weight_hh_l0"] = np.eye(7)
    assert "and 20 more" in text_of(rotating.fixed_points([0.0], 30))
    alone = rc.RNN(3, 8, seed=0).lyapunov(x[0])
    assert f"largest {alone.exponents[0]:.4g}".replace("-", "\u2212") in text_of(alone)
    assert "sequence" in text_of(rc.RNN(3, 2, seed=0).lyapunov(x[:3]))


def test_sweeps():
    x, y = data()
    found = rc.sweep(
        rc.RNN, x, y[:, 0], grid={"lr": [0.01, 0.1], "hidden_size": [1, 2]}, input_size=3,
        output_size=1, loss="bce", epochs=5, folds=3, inner=2,
    )  # fmt: skip
    text = text_of(found)
    assert "Sweep of 24 fits" in text
    assert "best validation_loss first" in text
    assert "and 14 more" in text
    first = re.findall(r"<td[^>]*>(\d+)</td>", found._repr_html_())[0]
    assert int(first) == found.best()
    single = rc.sweep(
        rc.RNN, x, y[:, 0], input_size=3, hidden_size=1, output_size=1, loss="bce", epochs=2
    )  # fmt: skip
    text = text_of(single)
    assert f"{single['loss'][0]:.4g}" in text
    assert "best loss first" in text
    assert "test_loss" not in text


def test_what_is_text_is_escaped():
    x, y = data()
    found = rc.sweep(
        rc.RNN, x, y[:, 0], subjects=["<b>a&b"] * 15 + ["c"] * 15, input_size=3, hidden_size=1,
        output_size=1, loss="bce", epochs=2,
    )  # fmt: skip
    html = found._repr_html_()
    assert "&lt;b&gt;a&amp;b" in html
    assert "<b>" not in html
    assert pieces.escaped("<i>") == "&lt;i&gt;"
    assert pieces.escaped(pieces.Html("<i>")) == "<i>"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3"), (12345, "12,345"), (-2, "\u22122"), (0.123456, "0.1235"), (np.inf, "∞"),
        (-np.inf, "\u2212∞"), (np.nan, "\u2013"), (np.float32(0.5), "0.5"), (np.int64(7), "7"),
        (-1e-12, "\u22121e\u221212"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers(value, text):
    assert pieces.escaped(value) == text


def test_curves_of_anything():
    steps = np.arange(1, 6)
    for y in (
        [1, 2, 3, 4, 5], [1, np.nan, 3, np.inf, 5], [0, 0, 0, 0, 0], [-1, 1e9, 0, 3, 4],
        [1e-300, 1e300, 1, 2, 3],
    ):  # fmt: skip
        svg = curves([Curve("a & b", steps, np.array(y, float))], "x", "<y>")
        Shown(svg)
        assert "nan" not in svg
        assert "<y>" not in svg
    assert not curves([Curve("none", steps, np.full(5, np.nan))], "x", "y")
    assert "logarithmic" in curves([Curve("far", steps, 10.0**-steps)], "x", "y")
    assert len(curves([Curve("long", np.arange(10**5), np.arange(10.0**5))], "x", "y")) < 2500


def test_texts_are_short():
    """Not the arrays themselves."""
    x, _ = data()
    layer = rc.GRU(3, 4, seed=0).trace(x)["l0"]
    assert repr(layer) == "Trace(hidden, r, z, n: (30, 12, 4) of float32)"
    found = rc.RNN(3, 2, seed=0).lyapunov(x[:2])
    assert [line.index("[-") for line in repr(found).splitlines()] == [10, 10]
    net = rc.GRU(3, 1, 1, loss="bce", readout="all", seed=0)
    portrait = dynamics.phase_portrait(net, np.eye(3))
    assert repr(portrait) == "Portrait(of 3 inputs: state, logit (101,), change (3, 101))"
    field = dynamics.flow_field(rc.GRU(3, 2, seed=0), np.eye(3))
    assert repr(field) == "Field(of 3 inputs: state (15, 15, 2), change (3, 15, 15, 2))"
    ran = dynamics.simulate(net, lambda c, t, rng: np.zeros((len(c), 3)), 5, sessions=2, rng=0)
    assert repr(ran) == "Simulation(2 sessions of 5 trials, 2 choices)"
