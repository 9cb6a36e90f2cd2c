"""What is tracked over commits: the calls run, counts are read and compared, figures are drawn."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="needs the source code")

DUMP = """\
version: 1
events: Ir
ob=(1) /lib/rnncore/_core_v3_f32.so
fl=(1) kernel.c
fn=(1) step
0 100
+3 20
calls=2 10
0 5000
cob=(2) /lib/libm.so
cfn=(2) exp
calls=4 0
* 40
-2 7
ob=(2)
fn=(2)
12 40
ob=(1)
fn=(3) other
0 3
"""


@pytest.fixture
def script(monkeypatch):
    """script("name"): that file of benchmarks/ as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return import_module


def test_every_call_that_is_tracked_runs(script):
    calls = script("tracked.calls")
    for make in calls.CALLS.values():
        call = make()
        call()
        call()


def test_times_are_measured_for_asv(script):
    times = script("tracked.times")
    assert times.Times.params == tuple(script("tracked.calls").CALLS)
    timed = times.Times()
    timed.setup(times.Times.params[0])
    timed.time_call(times.Times.params[0])
    assert times.Ratios().track_train_step("1, 3, 4, 5") > 0
    options = json.loads((FOLDER.parent / "asv.conf.json").read_text("utf-8"))
    assert (FOLDER.parent / options["benchmark_dir"]).samefile(FOLDER / "tracked")


def test_counts_are_those_of_each_file_alone(script):
    """Calls of others are counted where they are executed."""
    found = script("instructions").by_object(DUMP)
    assert found == {"/lib/rnncore/_core_v3_f32.so": 130, "/lib/libm.so": 40}


def counted(core, whole, **machine):
    like = {"compiler": "GCC 1", "python": "3.0", "numpy": "2.0", "system": "Some"}
    return {"machine": like | machine, "calls": {"step": {"core": core, "all": whole}}}


@pytest.mark.parametrize(
    ("now", "worse"),
    [
        (counted(1000, 2000), False),
        (counted(1019, 2090), False),
        (counted(1021, 2000), True),
        (counted(1000, 2110), True),
        (counted(500, 600), False),
        (counted(1019, 9000, python="3.1"), False),
        (counted(1021, 9000, numpy="2.1"), True),
        (counted(9000, 9000, compiler="GCC 2"), False),
    ],
)
def test_only_more_instructions_than_allowed_are_an_error(script, now, worse):
    lines, found = script("instructions").compare(now, counted(1000, 2000))
    assert found is worse
    assert any(" more" in line for line in lines) is worse
    others = {name for name, value in now["machine"].items() if value not in str(counted(0, 0))}
    for name in others:
        assert any("not compared" in line and name in line for line in lines)


def test_the_baseline_has_the_calls_that_are_counted(script):
    baseline = json.loads(script("instructions").BASELINE.read_text("utf-8"))
    assert baseline["calls"].keys() == script("tracked.calls").CALLS.keys()
    assert all(0 < n["core"] < n["all"] for n in baseline["calls"].values())


def results(**medians):
    """A document with one row of every task."""
    grid = import_module("rnncore._bench.grid")
    rows = [
        {
            "row": grid.Row("gru", 4, 8, 32, 50, task)._asdict(),
            "contestants": {name: {"median": median} for name, median in medians.items()},
        }
        for task in grid.TASKS
    ]
    mode = {"threads": 1, "dtype": "float32", "isa": None, "build": "v3"}
    return {
        "rnncore": "0.1.0", "machine": {"cpu": "Some"}, "runs": [{"mode": mode, "rows": rows}]
    }  # fmt: skip


def test_figures_are_drawn_for_both_grounds(script, tmp_path):
    pytest.importorskip("matplotlib")
    plots = script("plots")
    (tmp_path / "results.json").write_text(
        json.dumps(results(rnncore=1e-5, torch=4e-5, numpy=5e-6)), encoding="utf-8"
    )
    plots.main([str(tmp_path / "results.json"), "--out", str(tmp_path / "figures")])
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    tasks = ("times-train", "times-ragged", "times-forward", "times-step", "ratio")
    assert names == {f"{task}-{on}.svg" for task in tasks for on in ("light", "dark")}
    light = (tmp_path / "figures" / "times-train-light.svg").read_text("utf-8")
    assert {"10.0", "40.0", "5.00"} <= set(re.findall(r">\s*([\d.]+)\s*</text>", light))
    assert plots.COLOURS["torch"] in light
    ratio = (tmp_path / "figures" / "ratio-dark.svg").read_text("utf-8")
    assert ratio.count("0.5 (numpy)") == len(plots.TASKS)
    assert plots.SLOWER in ratio
    assert plots.GROUNDS["dark"].text in ratio


def test_rows_of_rnncore_alone_are_not_drawn(script):
    pytest.importorskip("matplotlib")
    plots = script("plots")
    assert not list(plots.figures(results(rnncore=1e-5)["runs"][0]))


def test_every_peer_has_a_colour(script):
    pytest.importorskip("matplotlib")
    plots = script("plots")
    assert set(plots.PEERS) - set(plots.STUDIES) <= set(plots.COLOURS)
