"""Single calls are compared before they are timed, and reported as the documentation says."""

import json
import re

import numpy as np
import pytest
from rnncore.__main__ import main
from rnncore._bench import calls, latency

import rnncore as rc


def test_two_tables_and_a_document(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(latency, "ROWS", latency.QUICK)
    monkeypatch.setattr(calls, "ROWS", calls.QUICK)
    file = tmp_path / "latency.json"
    main(["bench", "--latency", "--rounds", "1", "--dtype", "float64", "--json", str(file)])
    text = capsys.readouterr().out
    assert "| float64: call, network, H, D | p50, ns | p99, ns | p99.9, ns | numba p50, ns" in text
    assert re.search(r"^\| streams\(64\)\.step gru 2, 3 \| \d+ \| \d+ \| \d+ \|", text, re.M)
    assert re.search(r"^\| online uoro, GRU 2, 1 \| [\d.]+ \| step \| ", text, re.M)
    document = json.loads(file.read_text())
    assert len(document["rows"]) == len(latency.QUICK)
    assert [entry["label"] for entry in document["others"]] == [r.label for r in calls.QUICK]
    for row in document["rows"]:
        own = row["contestants"]["rnncore"]
        assert own["p50"] <= own["p99"] <= own["p99.9"] <= own["largest"]
        assert sum(own["counts"]) == own["calls"] == document["calls_per_round"]
        assert len(own["edges"]) == len(own["counts"]) + 1


def test_percentiles_and_bins():
    times = np.arange(1, 1001)
    found = latency.spread(times)
    assert (found["p50"], found["largest"]) == (500.5, 1000.0)
    assert found["edges"][0] == 1.0
    assert found["edges"][-1] >= 1000
    assert sum(found["counts"]) == 1000


@pytest.mark.parametrize("row", latency.ROWS, ids=lambda row: row.label)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_everybody_computes_the_same(row, dtype):
    found = latency.contestants(row, dtype)
    assert "rnncore" in found
    for call in found.values():
        call()


@pytest.mark.parametrize("row", latency.QUICK, ids=lambda row: row.label)
def test_outputs_that_differ_are_not_timed(row, monkeypatch):
    ours = latency.ours

    def wrong(row, net, x):
        call, y = ours(row, net, x)
        return call, lambda: 1.001 * y()

    monkeypatch.setattr(latency, "numbas", wrong)
    with pytest.raises(RuntimeError, match=r"numba: outputs deviate by 0\.001"):
        latency.contestants(row, "float64")


@pytest.mark.parametrize("row", calls.ROWS, ids=lambda row: row.label)
def test_answers_are_those_of_another_way(row):
    work = row.make(row.cell, row.H, row.D, row.more)
    work.call()
    if work.other is not None:
        work.other()


def test_answers_that_differ_are_not_timed(monkeypatch):
    def wrong(self, *args, **options):
        losses, grads = per_sample(self, *args, **options)
        return losses, {name: 1.01 * values for name, values in grads.items()}

    per_sample = rc.RNN.per_sample_grad
    monkeypatch.setattr(rc.RNN, "per_sample_grad", wrong)
    with pytest.raises(
        RuntimeError, match=r"per_sample_grad 4, RNN 2, 3: answers deviate by 0\.01"
    ):
        calls.compare(calls.QUICK, 1, 1e-4)


def test_the_script_is_quick(monkeypatch, capsys):
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    path = Path(__file__).resolve().parents[1] / "benchmarks" / "latency.py"
    spec = spec_from_file_location("latency_script", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(["--quick", "--rounds", "1"])
    assert capsys.readouterr().out.count("\n| ") >= len(latency.QUICK) + len(calls.QUICK)
