"""A page on which a learner goes through the terms of a gradient, step by step."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from rnncore._checks import arguments as check
from rnncore._diagnostics.norms import norms_of
from rnncore._diagnostics.passing_back import WayBack, column_of, slopes_of_state, way_back
from rnncore._diagnostics.terms import norms_by_parameter
from rnncore._html.pieces import escaped, number, plural
from rnncore._types import Array

if TYPE_CHECKING:
    from rnncore._diagnostics.flow import GradientFlow

#: Numbers of a parameter of a network of one unit that are each shown on their own.
MOST_ENTRIES = 12
#: Powers of ten over which arrows become thin on the logarithmic scale.
DECADES = 9

SKELETON = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Where a gradient comes from</title>
<style>
{css}</style>
</head>
<body>
<h1>Where a gradient comes from</h1>
<p class="soft">{about}</p>
<div class="general">{formula}</div>
<p class="soft">The weights are used at every step <i>j</i>. What their use at step <i>j</i>
contributes to the gradient is a product, from the loss back through all later states: the term of
step <i>j</i>. The terms of all steps sum to the gradient.</p>
<div class="controls">
<label class="along">Step <input type="range" id="step" min="1" value="1" step="1">
<output id="now" for="step"></output></label>
<span class="buttons"><button id="earlier" aria-label="One step back in time">◀</button>
<button id="play">▶ Play</button>
<button id="later" aria-label="One step forward in time">▶</button></span>
<label>Weights <select id="item"></select></label>
<label id="losses">Loss <select id="view"></select></label>
<label><input type="checkbox" id="log" checked> logarithmic</label>
</div>
<noscript><p>This page needs JavaScript to go from step to step.</p></noscript>
<h2>The product of this step</h2>
<div id="product"></div>
<p class="soft" id="explain"></p>
<h2>The network unrolled in time</h2>
<p class="soft">Arrows are as wide as what goes back along them; point at one for its size.</p>
<div id="unrolled"></div>
<h2>All terms</h2>
<p class="soft">The <span id="what"></span> of every step; choose one by a click, or go by the arrow
keys. <span id="sum"></span></p>
<div id="terms"></div>
<details id="numbers"><summary>All numbers</summary><div class="scroll"><table id="table"></table>
</div></details>
<script type="application/json" id="data">{data}</script>
<script>
{js}</script>
</body>
</html>
"""

FORMULA = (
    '<math display="block"><mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi><mi>W</mi>'
    "</mrow></mfrac><mo>=</mo><munder><mo>∑</mo><mi>j</mi></munder>"
    "<mfrac><mrow><mi>∂</mi><mi>L</mi></mrow><mrow><mi>∂</mi><mi>y</mi></mrow></mfrac>"
    "<mo>·</mo><mfrac><mrow><mi>∂</mi><mi>y</mi></mrow><mrow><mi>∂</mi><msub><mi>h</mi><mi>T</mi>"
    "</msub></mrow></mfrac><mo>·</mo><mrow><mo>(</mo><munder><mo>∏</mo><mrow><mi>t</mi><mo>&gt;</mo>"
    "<mi>j</mi></mrow></munder><mfrac><mrow><mi>∂</mi><msub><mi>h</mi><mi>t</mi></msub></mrow>"
    "<mrow><mi>∂</mi><msub><mi>h</mi><mrow><mi>t</mi><mo>&#8722;</mo><mn>1</mn></mrow></msub></mrow>"
    "</mfrac><mo>)</mo></mrow><mo>·</mo><mfrac><mrow><mi>∂</mi><msub><mi>h</mi><mi>j</mi></msub>"
    "</mrow><mrow><mi>∂</mi><mi>W</mi></mrow></mfrac></math>"
)

ELSEWHERE = (
    "These weights are not those of the last layer's forward direction, along which the product is "
    "formed: only the term is shown."
)
IN_HEAD = "The weights of the read-out have a term wherever an output has a loss."
FIRST = "The first state is a parameter. It is used once, before the first step."


def to_html(
    self: GradientFlow, path: str | os.PathLike[str] | None = None, *, sequence: int = 0
) -> str | None:
    """Make a page to go through the terms of one sequence, step by step.

    The page is one file that needs nothing else: it has a slider, arrow keys and a button to play
    it; the factors of the product from the loss to the weights of the chosen step; the network
    unrolled in time; and all terms. Of a network of one unit (but for the LSTM) the factors are
    numbers. Of a larger one they are by how much each stretched the gradient that passed through
    it, so that they multiply to the norm of the term. With ``readout="all"`` the loss of the last
    step alone can be chosen, or all.

    Parameters
    ----------
    path : path-like, optional
        The file to write. If not given, the page is returned as text.
    sequence : int, optional
        Which one of the batch, counted from 0. The terms are what it contributes to the gradient.

    Returns
    -------
    str or None
        The page, if no path was given.

    Raises
    ------
    TypeError, ValueError
        If there is no such sequence, or the path is none.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import numpy as np, rnncore as rc
    >>> net = rc.RNN(1, 1, 1, loss="mse", seed=0)
    >>> page = net.gradient_flow(np.ones((1, 20, 1)), np.zeros(1)).to_html()
    >>> page[:15], len(page) < 60_000
    ('<!DOCTYPE html>', True)

    In a notebook, write it to a file and show that in a frame:

    >>> flow.to_html("flow.html")  # doctest: +SKIP
    >>> from IPython.display import IFrame  # doctest: +SKIP
    >>> IFrame("flow.html", width="100%", height=700)  # doctest: +SKIP
    """
    file = None if path is None else check.path(path)
    sequence = check.whole("sequence", sequence, 0, self._inputs.count - 1)
    folder = files("rnncore._diagnostics")
    css, js = ((folder / name).read_text("utf-8") for name in ("page.css", "page.js"))
    data = json.dumps(data_of(self, sequence), allow_nan=False).replace("<", "\\u003c")
    page = SKELETON.format(
        css=css, js=js, data=data, formula=FORMULA, about=about(self, sequence)
    )  # fmt: skip
    if file is None:
        return page
    with open(file, "w", encoding="utf-8") as stream:
        stream.write(page)
    return None


def about(flow: GradientFlow, sequence: int) -> str:
    """What the page is about, in a line."""
    config, count = flow._model.config, flow._inputs.count
    sizes = [plural(config["input_size"], "input"), plural(config["hidden_size"], "hidden unit")]
    if config["output_size"] is not None:
        sizes.append(plural(config["output_size"], "output"))
    parts = [
        f"{flow._model.cell.name}, {' → '.join(sizes)}",
        plural(int(flow._lengths[sequence]), "step"),
        f"verdict {flow.verdict}",
    ]
    if config["num_layers"] > 1:
        parts.insert(1, plural(config["num_layers"], "layer"))
    if flow.loss is not None:
        parts.append(f"loss {number(flow.loss)}")
    if count > 1:
        parts.append(f"sequence {sequence} of {count}, what it contributes")
    return escaped(" · ".join(parts))


def data_of(flow: GradientFlow, sequence: int) -> dict[str, Any]:
    """What the page shows, as JSON takes it."""
    model = flow._model
    ways = {"last": way_back(flow, sequence, flow.every_step)}
    if flow.every_step:
        ways["all"] = way_back(flow, sequence, False)
    last = ways["last"]
    steps, n = last.jacobians.shape[:2]
    read = steps - model.spec.before
    scalar = n == 1
    local = slopes_of_state(flow, sequence, last.jacobians) if scalar else None
    items = items_of(flow, scalar, local)
    names = {"last": "of the last step alone", "all": "of all steps"}
    data: dict[str, Any] = {
        "steps": steps, "read": read, "shift": 1 - model.spec.before, "scalar": scalar,
        "everyStep": flow.every_step, "decades": DECADES,
        "single": scalar and model.spec.outputs == 1,
        "items": [{k: v for k, v in item.items() if k != "columns"} for item in items],
        "first": next((k for k, item in enumerate(items) if "weight_hh" in item["name"]), 0),
        "views": [
            {"key": key, "label": names[key], **view_of(way, items, scalar)}
            for key, way in ways.items()
        ],
    }  # fmt: skip
    if scalar:
        data["jacobians"] = short(last.jacobians[:, 0, 0])
    else:
        data["norms"] = short(norms_of(last.jacobians[:, None]))
    if data["single"]:
        weight = model.parameters.get("head.weight", np.ones((1, 1)))
        data["out"] = short(weight[0, :1])[0]
    return data


def items_of(flow: GradientFlow, scalar: bool, local: Array | None) -> list[dict[str, Any]]:
    """What weights can be chosen: the parameters, of a network of one unit their numbers, with
    their columns among the terms; and why their term is shown without its factors, if it is."""
    model = flow._model
    chain = f"_l{model.config['num_layers'] - 1}"
    items: list[dict[str, Any]] = []
    for name, values in model.parameters.items():
        at = column_of(model, name)
        why = None
        if not name.endswith(chain):
            why = IN_HEAD if name.startswith("head.") else FIRST if name[1:] == "0" else ELSEWHERE
        common: dict[str, Any] = {"why": why}
        if scalar and values.size <= MOST_ENTRIES:
            for k, index in enumerate(np.ndindex(values.shape)):
                label = name if values.size == 1 else f"{name}[{', '.join(map(str, index))}]"
                item = {"name": label, "columns": slice(at + k, at + k + 1), "norm": False}
                if local is not None and why is None:
                    item["local"] = short(local[:, at + k])
                items.append(item | common)
        else:
            columns = slice(at, at + values.size)
            items.append({"name": name, "columns": columns, "norm": True} | common)
    return items


def view_of(way: WayBack, items: list[dict[str, Any]], scalar: bool) -> dict[str, Any]:
    """The numbers of some losses: of a state of several numbers, and of parameters of several,
    norms."""
    through = way.states - way.direct
    sums = np.cumsum(way.terms[::-1], axis=0)[::-1]
    states = [v[:, 0] if scalar else size_of(v) for v in (way.states, way.direct, through)]
    return {
        "slopes": short(way.slopes[:, 0]),
        **dict(zip(("states", "direct", "through"), map(short, states), strict=True)),
        "terms": [short(reduced(way.terms, item)) for item in items],
        "sums": [short(reduced(sums, item)) for item in items],
    }


def reduced(values: Array, item: dict[str, Any]) -> Array:
    """The columns of an item, (T,): a number, or their norm."""
    some = values[:, item["columns"]]
    return size_of(some) if item["norm"] else some[:, 0]


def size_of(values: Array) -> Array:
    """Norms of rows, also of very small and of very large numbers."""
    result: Array = norms_by_parameter(np.ascontiguousarray(values), [0])[:, 0]
    return result


def short(values: Array) -> list[float | None]:
    """Numbers in nine digits, which is more than a page shows; None where one is not finite."""
    return [float(f"{v:.9g}") if isfinite(v) else None for v in values.tolist()]
