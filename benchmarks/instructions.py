"""How many instructions each tracked call takes, compared with a baseline.

    python benchmarks/instructions.py                     compare with instructions.json
    python benchmarks/instructions.py --write             write that file anew
    python benchmarks/instructions.py --baseline FILE     compare with another file

Times on a machine that others use differ by tens of per cent, counts by less than one in a
thousand. valgrind runs the calls on the AVX2 build (it knows no AVX-512) and counts separately what
the compiled core executes, and what everything does, the interpreter and numpy too. Core counts are
comparable where the compiler is the same, the others where Python and numpy are; what is not
comparable is listed only.

A core count that is over 2 % higher, or a whole one over 5 %, is an error. It says nothing of
waiting for memory: fewer instructions are not always faster, but more have to be explained.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "instructions.json"
#: A function of the C library that nothing else calls: at each call of it valgrind writes what it
#: has counted since the one before.
MARK = "getppid"
CALLS = 3  # of each, after two that are not counted
#: By which share a count may be higher.
TOLERANCE = {"core": 0.02, "all": 0.05}
Counts = dict[str, dict[str, int]]


def run_calls() -> None:
    """In the process under valgrind: every call between two marks."""
    from tracked import calls

    gc.disable()
    for make in calls.CALLS.values():
        try:
            call = make()
            call()
            call()
        except (AttributeError, TypeError):  # of an earlier version, which has no such call
            call = type(None)
        os.getppid()
        for _ in range(CALLS):
            call()
        os.getppid()


def count() -> Counts:
    """The counts of one call of each, by name; without those that the version in use lacks."""
    from tracked import calls

    environment = os.environ | {
        "RNNCORE_ISA": "v3", "RNNCORE_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", f"--dump-before={MARK}",
            f"--callgrind-out-file={folder}/counts", sys.executable, __file__, "--run-calls",
        ]  # fmt: skip
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        # Every second one is of what came before a call: imports, data, calls not counted.
        dumps = [Path(folder, f"counts.{2 * k + 2}") for k in range(len(calls.CALLS))]
        totals = [by_object(dump.read_text()) for dump in dumps]
    counts = {}
    for name, total in zip(calls.CALLS, totals, strict=True):
        core = sum(n for file, n in total.items() if "/_core_" in file)
        if core:
            counts[name] = {
                "core": round(core / CALLS), "all": round(sum(total.values()) / CALLS)
            }  # fmt: skip
    return counts


def by_object(dump: str) -> dict[str, int]:
    """Instructions by the file they are in, of a dump in callgrind's format."""
    names: dict[str, str] = {}
    totals: dict[str, int] = {}
    file, is_call = "", False
    for line in dump.splitlines():
        if found := re.match(r"c?ob=\((\d+)\)(?: (.+))?", line):
            number, name = found.groups()
            names.setdefault(number, name or "")
            if not line.startswith("c"):
                file = names[number]
        elif line.startswith("calls="):
            is_call = True  # the next line is the cost of what is called, counted there
        elif re.match(r"[\d+*-]", line):
            if not is_call:
                totals[file] = totals.get(file, 0) + int(line.split()[-1])
            is_call = False
    return totals


def machine() -> dict[str, str]:
    """What the counts depend on."""
    import numpy as np

    import rnncore

    (core,) = Path(rnncore.__file__).parent.glob("_core_v3_f32.*")
    compiler = re.search(rb"(GCC: \([^\0]+|clang version [^\0]+)", core.read_bytes())
    return {
        "compiler": compiler[1].decode() if compiler else "unknown",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def compare(now: dict[str, Any], before: dict[str, Any]) -> tuple[list[str], bool]:
    """A table, and whether a count is higher than it may be."""
    same = {name: now["machine"][name] == before["machine"][name] for name in now["machine"]}
    comparable = {"core": same["compiler"] and same["system"]}
    comparable["all"] = comparable["core"] and same["python"] and same["numpy"]
    lines, worse = [f"{'call':38s} {'core':>12s} {'':8s} {'all':>12s}"], False
    for name, counts in now["calls"].items():
        line = f"{name:38s}"
        for kind, allowed in TOLERANCE.items():
            old = before["calls"].get(name, {}).get(kind)
            line += f" {counts[kind]:12,d}"
            if not old or not comparable[kind]:
                line += " " * 8
                continue
            change = counts[kind] / old - 1
            line += f" {100 * change:+6.2f}%"
            if change > allowed:
                line += " more"
                worse = True
        lines.append(line)
    for kind, is_comparable in comparable.items():
        if not is_comparable:
            other = [name for name, equal in same.items() if not equal]
            lines.append(f"{kind}: not compared, another {' and '.join(other)}")
    lines += [f"{name}: in the baseline only" for name in before["calls"].keys() - now["calls"]]
    return lines, worse


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the baseline anew")
    parser.add_argument("--baseline", type=Path, default=BASELINE, metavar="FILE")
    parser.add_argument("--run-calls", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run_calls:
        run_calls()
        return 0
    now = {"machine": machine(), "calls": count()}
    if options.write:
        options.baseline.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
        before = now
    else:
        before = json.loads(options.baseline.read_text("utf-8"))
    lines, worse = compare(now, before)
    print("\n".join(lines))
    return worse


if __name__ == "__main__":
    sys.exit(main())
