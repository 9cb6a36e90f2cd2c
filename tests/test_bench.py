"""The benchmark suite measures what it is asked to, refuses bad arguments, and reports what its
documentation says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rnncore.__main__ import main
from rnncore._bench import command, grid, limits, modes, processes, results, timing
from rnncore._bench.grid import Row
from rnncore._bench.modes import Mode
from rnncore._bench.peers import registry as peers
from rnncore._runtime import builds as _builds

ROOT = Path(__file__).resolve().parents[1]


ROOT = Path(__file__).resolve().parents[1]


QUICK = {"rounds": 2, "at_least": 1e-4}


def test_a_failing_process_says_why():
    with pytest.raises(RuntimeError, match="measures nobody, float32, 1 thread failed:") as error:
        list(processes.run(Mode(), grid.QUICK, ["nobody"], **QUICK))
    assert "peers: expected some of rnncore, oracle" in str(error.value)


def test_the_light_command_prints_a_table_and_writes_json(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "RIVALS", ("oracle", "numpy"))
    file = tmp_path / "bench.json"
    main(["bench", "--rows", "2,3,4,5", "--dtype", "float64", "--rounds", "1", "--json", str(file)])
    text = capsys.readouterr().out
    assert "Float64, 1 thread, build" in text
    assert re.search(r"\| train rnn 2, 3, 4, 5 +\| +[\d.]+ ±0 %", text)
    document = json.loads(file.read_text())
    assert list(document["runs"][0]["versions"]) == ["rnncore", "oracle", "numpy"]


@pytest.fixture
def whole_grid():
    """benchmarks/run.py as a module."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("run", ROOT / "benchmarks" / "run.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


COMMON = [
    ("--rows 1,2", "argument --rows: expected four sizes H,D,B,T, before them"),
    ("--rows 1,2,3,4 foo", "argument --rows: expected four sizes"),
    ("--rows 1,2,0,4", "argument --rows: expected sizes of at least 1, got '1,2,0,4'"),
    ("--rounds 0", "argument --rounds: expected at least 1, got 0"),
    ("--rounds many", "argument --rounds: expected an integer, got 'many'"),
    ("--dtype float16", "argument --dtype: invalid choice"),
]


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """refused(main, line, text): the command says so, and how it is used, and measures nothing."""

    def measured(*args, **options):
        raise AssertionError("it measures")

    def refused(main, line, text):
        with pytest.raises(SystemExit) as ended:
            main(line.format(tmp_path).split())
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("usage: ")
        assert text.format(tmp_path) in said
        assert not list(tmp_path.iterdir())

    monkeypatch.setattr(command, "measure", measured)
    return refused


@pytest.mark.parametrize(
    ("line", "text"),
    [
        *COMMON,
        ("--json {}/no/file.json", "argument --json: No such file or directory: '{}/no/file.json'"),
        ("--json {}", "argument --json: "),
        ("--json {}/left.json --rounds 0", "argument --rounds: expected at least 1"),
    ],
)
def test_the_light_command_refuses_bad_arguments(refused, line, text):
    refused(main, "bench " + line, text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        *COMMON,
        ("--peers numpy,nunpy", "argument --peers: expected one of 'oracle', 'numpy'"),
        ("--seconds 0", "argument --seconds: expected more than 0 and finite, got 0.0"),
        ("--seconds nan", "argument --seconds: expected more than 0 and finite, got nan"),
        ("--isa v9", "argument --isa: invalid choice: 'v9'"),
        (f"--out {__file__}", f"argument --out: File exists: '{__file__}'"),
        (f"--out {__file__}/results", "argument --out: "),
    ],
)
def test_the_whole_grid_refuses_bad_arguments(refused, whole_grid, line, text):
    refused(whole_grid.main, line, text)


def test_the_whole_grid_writes_a_folder(tmp_path, whole_grid, capsys):
    out = tmp_path / "new" / "results"
    line = f"--rows 2,3,4,5 --peers oracle,numpy --rounds 1 --seconds 0.0001 --out {out}"
    whole_grid.main(line.split())
    (run,) = json.loads((out / "results.json").read_text())["runs"]
    assert list(run["versions"]) == ["rnncore", "oracle", "numpy"]
    assert f"Written to {out}." in capsys.readouterr().out


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"peers: expected one of .* did you mean 'numpy'"):
        command.measure([Mode()], grid.QUICK, ["nunpy"])
    with pytest.raises(ValueError, match="rounds: expected at least 1, got 0"):
        command.measure([Mode()], grid.QUICK, [], rounds=0)
    with pytest.raises(ValueError, match="seconds: expected more than 0"):
        command.measure([Mode()], grid.QUICK, [], at_least=0)


@pytest.fixture(scope="module")
def document():
    """Two modes, with numpy and the oracle."""
    kinds, flat = [Mode(), Mode(2, "float64")], [Row("rnn", 1, 1, 2, 3)]
    return command.measure(kinds, grid.QUICK, ["oracle", "numpy"], flat=flat, **QUICK)


def test_the_document_has_what_the_docs_say(document):
    text = (ROOT / "docs" / "project" / "benchmarks.md").read_text(encoding="utf-8")
    table = text.split("## The JSON document")[1].split("\n## ")[0]
    documented = set(re.findall(r"`(\w+)`", table)) - {"step"}

    def fields(value):
        if isinstance(value, list):
            return set().union(*map(fields, value))
        if not isinstance(value, dict):
            return set()
        named = set(value)
        if named <= set(peers.PEERS):  # by contestant: names are not fields
            return fields(list(value.values()))
        return named | fields(list(value.values()))

    assert fields(json.loads(json.dumps(document))) == documented


def test_the_document_tells_what_was_run(document):
    first, second = document["runs"]
    assert first["mode"]["build"] == _builds.selected
    *quick, flat = [Row(**row["row"]) for row in first["rows"]]
    assert quick == grid.QUICK
    assert flat == Row("rnn", 1, 1, 2, 3)
    assert set(first["rows"][0]["contestants"]) == {"rnncore", "oracle", "numpy"}
    assert set(first["rows"][-1]["contestants"]) == {"rnncore"}
    assert second["mode"]["dtype"] == "float64"
    assert len(second["rows"]) == len(grid.QUICK)
    for row in first["rows"]:
        own = row["contestants"]["rnncore"]["median"]
        assert row["limit"] == pytest.approx(row["share"] * own)


def test_markdown_has_a_line_for_every_row(document, tmp_path):
    command.write(document, tmp_path)
    assert json.loads((tmp_path / "results.json").read_text()) == document
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text.count("| train rnn 2, 3, 4, 5 ") == 2
    assert "## Float32, 1 thread, build" in text
    assert document["machine"]["cpu"] in text


def measured(row, **medians):
    """A report as processes.run makes it, with these times."""
    contestants = {
        name: {"variant": "", "median": seconds, "spread": 0.0, "first_call": 0.1}
        for name, seconds in medians.items()
    }
    share = {"limit": 1e-6, "share": 0.5, "fma_share": 0.25}
    return {"row": row._asdict(), "contestants": contestants} | share


def run_of(rows, **mode):
    versions = {"rnncore": "1", "numpy": "2", "torch": "3"}
    return {
        "mode": {"threads": 1, "dtype": "float32", "isa": None, "build": "v3"} | mode,
        "versions": versions, "missing": [], "rows": rows,
        "limits": limits.Limits(1e11, 1e-9, 2e-8, 1e10)._asdict(),
    }  # fmt: skip


@pytest.mark.parametrize(("own", "verdict"), [(1e-6, "4 met"), (2e-6, "4 missed")])
def test_targets_are_judged_against_the_fastest_peer(own, verdict):
    row = measured(grid.TABLE[0], rnncore=own, numpy=7e-6, torch=5e-5)
    line = results.Table(run_of([row])).line(row)
    assert f"{7e-6 / own:.3g} (numpy)" in line
    assert verdict in line
    assert "50 %" in line
    for other in ({"threads": 2}, {"dtype": "float64"}, {"isa": "v3"}):
        assert verdict not in results.Table(run_of([row], **other)).line(row)
    assert verdict not in results.Table(run_of([row]) | {"missing": ["jax"]}).line(row)
    alone = measured(grid.TABLE[0], rnncore=own)
    assert "(" not in results.Table(run_of([alone])).line(alone)


def test_pictures_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    rows = [measured(row, rnncore=1e-6, numpy=1e-5, torch=1e-4) for row in grid.FULL]
    rows += [measured(row, rnncore=1e-6) for rows in grid.FLAT.values() for row in rows]
    command.write(results.new_document(1, 0.1) | {"runs": [run_of(rows)]}, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "flat.png", "share.png", "speedup_B.png", "speedup_H.png", "speedup_T.png",
    ]  # fmt: skip


def test_benchmarks_need_no_matplotlib(tmp_path, hide):
    sys.modules.pop("rnncore._bench.plots", None)
    hide("matplotlib")
    command.write(results.new_document(1, 0.1) | {"runs": [run_of([])]}, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results.json", "results.md"}


def test_rows_are_parsed():
    assert grid.parse("16,8,32,50") == grid.TABLE[4]
    assert grid.parse("forward,2,3,4,5") == Row("rnn", 2, 3, 4, 5, "forward")
    assert grid.parse("step,16,8,7,100") == grid.STEP[0]
    assert grid.parse("gru,bi,64,32,32,100") in grid.STACKED
    assert grid.parse("ragged,16,8,256,50").target == 8
    every = Row("lstm", 2, 3, 4, 5, "forward", 3, True)
    assert grid.parse("forward,lstm,x3,bi,2,3,4,5") == every
    assert str(every) == "forward lstm x3 bi 2, 3, 4, 5"
    with pytest.raises(ValueError, match="rows: expected one layer and one direction of a step"):
        grid.parse("step,bi,2,3,4,5")
    for text in ("1,2,3", "1,2,3,x", "dance,1,2,3,4", "", "5,1,2,3,4", "xx,1,2,3,4"):
        with pytest.raises(ValueError, match="rows: expected four sizes"):
            grid.parse(text)
    for text in ("1,2,0,4", "x0,1,2,3,4"):
        with pytest.raises(ValueError, match="rows: expected sizes of at least 1"):
            grid.parse(text)


def test_contestants_take_turns():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    timings = timing.in_turns(calls, rounds=3, at_least=0.0)
    assert "".join(order) == "ab" + 3 * "ab"
    assert set(timings) == {"a", "b"}
    assert timing.summary([3.0, 1.0, 2.0, 4.0, 5.0]) == (3.0, 1.0)


def test_pinning_is_undone():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not let a process choose its cores")
    before = os.sched_getaffinity(0)
    with timing.pinned():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


def test_modes_reach_the_child(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    environment = modes.environment(Mode(1, "float32", "base"))
    assert environment["OMP_NUM_THREADS"] == "1"
    assert environment["RNNCORE_ISA"] == "base"
    assert environment["XLA_FLAGS"].count("--xla_cpu") == 2
    every = modes.environment(Mode(3))
    assert every["NUMBA_NUM_THREADS"] == "3"
    assert "XLA_FLAGS" not in every
    reports = processes.run(Mode(1, "float64", "base"), [], [], **QUICK)
    assert next(reports)["mode"] == {
        "threads": 1, "dtype": "float64", "isa": "base", "build": "base",
    }  # fmt: skip


def test_the_package_imports_nothing_of_it():
    code = "import rnncore, rnncore.__main__, sys; print('rnncore._bench' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
