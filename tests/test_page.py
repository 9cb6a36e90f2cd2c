"""The page of `GradientFlow.to_html`: its numbers are those of the flow, and it works in a browser
that has nothing but the file."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

import rnncore as rc

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "input", "br"}


class Checked(HTMLParser):
    """Whether every element is closed where it should be, and what their ids are."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.wrong = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.wrong += [name for name, _ in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def scalar_flow(sequences=1, **options):
    net = rc.RNN(1, 1, 1, loss="mse", bias=False, seed=1, **options)
    x = np.random.default_rng(0).normal(size=(sequences, 20, 1))
    return net.gradient_flow(x, np.zeros((sequences, 20) if options else sequences))


def wide_flow(kind=rc.LSTM, **options):
    net = kind(2, 4, 2, loss="mse", seed=1, **options)
    x = np.random.default_rng(0).normal(size=(3, 30, 2))
    return net.gradient_flow(x, np.zeros((3, 30, 2) if net.readout != "last" else (3, 2)))


def data_in(page):
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(text)


FLOWS = {
    "scalar": scalar_flow, "every step": lambda: scalar_flow(readout="all"),
    "before": lambda: scalar_flow(readout="before"), "wide": wide_flow,
    "stack": lambda: wide_flow(rc.GRU, num_layers=2, bidirectional=True, readout="all"),
    "skip": lambda: wide_flow(rc.RNN, skip=3), "first states": lambda: wide_flow(trainable_h0=True),
    "one step": lambda: rc.GRU(1, 1, 1, loss="mse").gradient_flow(np.ones((1, 1, 1)), [0.0]),
    "no output": lambda: rc.RNN(1, 1).gradient_flow(np.ones((2, 3, 1)), dy=np.ones((2, 1))),
}  # fmt: skip


@pytest.mark.parametrize("name", FLOWS)
def test_the_page_is_whole_and_alone(name):
    page = FLOWS[name]().to_html()
    checked = Checked(page)
    assert not checked.open
    assert not checked.wrong
    assert len(set(checked.ids)) == len(checked.ids)
    assert set(re.findall(r'by\("(\w+)"\)', page)) <= set(checked.ids)
    assert not re.search(r"https?:|@import|url\(", page)
    assert len(page) < 90_000


@pytest.mark.parametrize("name", FLOWS)
def test_the_numbers_multiply_to_the_terms(name):
    """What the page multiplies, from the numbers in it; those of all losses are added instead."""
    flow = FLOWS[name]()
    data = data_in(flow.to_html())
    for item, view in ((i, v) for i in range(len(data["items"])) for v in data["views"]):
        terms, states = np.array(view["terms"][item]), np.array(view["states"])
        local = data["items"][item].get("local")
        if local is not None:
            assert np.allclose(terms, states[1:] * local, rtol=1e-7, atol=1e-300)
    if data["scalar"]:
        view = data["views"][0]
        passed = np.array(view["states"][1:]) * data["jacobians"]
        assert np.allclose(view["through"][:-1], passed, rtol=1e-7)
        if data["single"]:
            first = view["slopes"][data["read"] - data["shift"]] * data["out"]
            assert view["states"][data["read"]] == pytest.approx(first, rel=1e-8)
    else:
        states = np.array(data["views"][0]["states"])
        assert (states[:-1] <= states[1:] * np.array(data["norms"]) * (1 + 1e-6)).all()


@pytest.mark.parametrize("name", ["scalar", "every step"])
def test_terms_of_one_sequence_are_those_of_the_flow(name):
    flow = FLOWS[name]()
    data = data_in(flow.to_html())
    view = data["views"][-1]
    for k, item in enumerate(data["items"]):
        expected = flow.terms[item["name"]].ravel()
        assert np.allclose(view["terms"][k], expected, rtol=1e-8)
        assert view["sums"][k][0] == pytest.approx(expected.sum(), rel=1e-7)


def test_terms_of_all_sequences_sum_to_those_of_the_flow():
    flow = scalar_flow(3)
    parts = [data_in(flow.to_html(sequence=b))["views"][0]["terms"][1] for b in range(3)]
    assert np.allclose(np.sum(parts, axis=0), flow.terms["weight_hh_l0"].ravel(), rtol=1e-7)


def test_what_does_not_multiply_is_said():
    data = data_in(FLOWS["stack"]().to_html())
    why = {item["name"]: item["why"] for item in data["items"]}
    assert why["weight_hh_l1"] is None
    assert "forward direction" in why["weight_hh_l0"]
    assert "forward direction" in why["weight_hh_l1_reverse"]
    assert "read-out" in why["head.weight"]


def test_infinite_gradients_are_no_number():
    net = rc.RNN(1, 2, 1, loss="mse", nonlinearity="identity", dtype="float64")
    net.parameters()["weight_hh_l0"] = 1e8 * np.eye(2)
    flow = net.gradient_flow(np.zeros((1, 60, 1)), dy=np.ones((1, 1)))
    assert data_in(flow.to_html())["views"][0]["states"][0] is None


def test_a_file_is_written(tmp_path):
    flow, path = scalar_flow(), tmp_path / "flow.html"
    assert flow.to_html(path) is None
    assert path.read_text("utf-8") == flow.to_html()
    with pytest.raises(ValueError, match="sequence: expected"):
        flow.to_html(path, sequence=1)
    with pytest.raises(TypeError, match="path: expected"):
        flow.to_html(3)


# ---- in a browser


def dom_of(tmp_path, page, place, script="", width=1280):
    """The page as it is after its scripts, and one more, have run."""
    if BROWSER is None:
        pytest.skip("needs Chromium")
    path = tmp_path / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    out = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/user",
         "--virtual-time-budget=20000", f"--window-size={width},900", "--dump-dom",
         f"{path.as_uri()}#{place}"],
        capture_output=True, text=True, timeout=300, check=True,
    ).stdout  # fmt: skip
    return out


def values_in(dom):
    """The numbers of the product that is shown, the last of which is the term."""
    (product,) = re.findall(r'<div id="product".*?(?=<p class="soft" id="explain">)', dom, re.S)
    return [float(v) for v in re.findall(r'data-value="([^"]*)"', product)]


def test_a_browser_shows_the_factors_of_a_step(tmp_path):
    flow = scalar_flow()
    terms = flow.terms["weight_hh_l0"].ravel()
    for t in (15, 2):
        values = values_in(dom_of(tmp_path, flow.to_html(), f"t={t}&p=weight_hh_l0"))
        assert values[-1] == pytest.approx(terms[t - 1], rel=1e-8)
        assert np.prod(values[:-1]) == pytest.approx(terms[t - 1], rel=1e-7)
    assert values[2] == pytest.approx(flow.jacobians[-1, 0, 0, 0], rel=1e-8)


def test_a_browser_shows_how_a_larger_network_stretches(tmp_path):
    flow = wide_flow()
    page = flow.to_html(sequence=1)
    values = values_in(dom_of(tmp_path, page, "t=12&p=weight_ih_l0"))
    assert values[-1] == pytest.approx(np.prod(values[:-1]), rel=1e-6)
    states = np.linalg.norm(flow.state_gradients(1), axis=1)
    assert values[0] == pytest.approx(states[-1], rel=1e-8)
    assert values[1] == pytest.approx(states[-2] / states[-1], rel=1e-7)


def test_a_browser_adds_the_losses_of_all_steps(tmp_path):
    flow = FLOWS["every step"]()
    own, coming, together, local, term = values_in(
        dom_of(tmp_path, flow.to_html(), "t=7&loss=all&p=weight_ih_l0")
    )
    assert own + coming == pytest.approx(together, rel=1e-7)
    assert together * local == pytest.approx(term, rel=1e-7)
    assert term == pytest.approx(flow.terms["weight_ih_l0"][6, 0, 0], rel=1e-8)


KEYS = """
const press = (key) => document.body.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const shown = [];
const note = () => shown.push(document.getElementById("now").textContent);
note(); press("ArrowLeft"); note(); press("Home"); note(); press("ArrowLeft"); note();
press("End"); note(); press("ArrowRight"); note();
document.getElementById("earlier").click(); note();
const slider = document.getElementById("step");
slider.value = 4; slider.dispatchEvent(new Event("input")); note();
document.getElementById("play").click();
setTimeout(() => {
  note();
  document.body.dataset.shown = shown.join();
  document.body.dataset.play = document.getElementById("play").textContent;
  document.body.dataset.wide = document.documentElement.scrollWidth > innerWidth;
}, 5000);
document.getElementById("numbers").open = true;
"""


def test_a_browser_goes_from_step_to_step(tmp_path):
    """By arrow keys, buttons and the slider; played to the first step, where it stops."""
    dom = dom_of(tmp_path, scalar_flow().to_html(), "t=9", KEYS, width=500)
    (shown,) = re.findall(r'data-shown="([^"]*)"', dom)
    assert shown.replace(" of 20", "") == "9,8,1,1,20,20,19,4,1"
    assert "Play" in re.findall(r'data-play="([^"]*)"', dom)[0]
    assert 'data-wide="false"' in dom
    assert dom.count("<tr><td>") == 20


@pytest.mark.parametrize("name", FLOWS)
def test_a_browser_shows_every_kind_of_flow(tmp_path, name):
    """Without an error of its scripts, for all weights and losses."""
    script = """
      addEventListener("error", (e) => { document.body.dataset.error = e.message; });
      for (const id of ["item", "view"]) for (const one of document.getElementById(id).options) {
        document.getElementById(id).value = one.value;
        document.getElementById(id).dispatchEvent(new Event("change"));
        for (let t = 1; t <= 30; t += 7) {
          document.getElementById("step").value = t;
          document.getElementById("step").dispatchEvent(new Event("input"));
          if (/NaN|undefined|Infinity/.test(document.getElementById("product").textContent +
              document.getElementById("unrolled").innerHTML))
            document.body.dataset.error = `step ${t}`;
        }
      }
      document.body.dataset.done = 1;"""
    dom = dom_of(tmp_path, FLOWS[name]().to_html(), "", script)
    assert 'data-done="1"' in dom
    assert "data-error" not in dom
