"""The processes of a run, one for every contestant, and the turns they take.

Libraries in one process disturb each other: each has threads that spin while they wait for work,
and settings that the others would share. So each has a process of its own, which is idle unless it
is its turn.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from time import sleep
from typing import IO, Any, NamedTuple

from rnncore._bench import timing
from rnncore._bench.grid import Row
from rnncore._bench.limits import Limits
from rnncore._bench.modes import Mode, environment

#: Seconds between turns where threads of the last one may still spin.
PAUSE = 0.01


class Child(NamedTuple):
    """A ``worker`` process. If it fails, RuntimeError with its standard error."""

    what: str
    process: subprocess.Popen[str]
    errors: IO[str]  # its standard error

    def ask(self, do: str, **details: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # then there is no reply either
            self.process.stdin.write(json.dumps({"do": do, **details}) + "\n")
            self.process.stdin.flush()
        return self.reply()

    def reply(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(
                f"the process that measures {self.what} failed:\n{self.errors.read()}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def child(mode: Mode, peer: str) -> Iterator[Child]:
    command = [sys.executable, "-m", "rnncore._bench.worker", json.dumps(mode), peer]
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(
            command, env=environment(mode), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        try:
            yield Child(f"{peer}, {mode}", process, errors)
        finally:
            process.kill()


def run(
    mode: Mode, rows: Sequence[Row], peers: Sequence[str], *, rounds: int, at_least: float,
    flat: Sequence[Row] = (),
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Measure rnncore and its peers; reports one by one, as in docs/project/benchmarks.md.

    The first says "mode", "versions", "missing" (peers that are not installed) and "limits"; the
    others are rows.  Of `flat` only rnncore is timed.
    """
    with ExitStack() as stack:
        names = ("rnncore", *peers)
        children = {name: stack.enter_context(child(mode, name)) for name in names}
        hello = {name: children[name].reply() for name in names}
        present = {name: children[name] for name in hello if hello[name]["version"] is not None}
        limits = Limits(**present["rnncore"].ask("limits"))
        yield {
            "mode": mode._asdict() | {"build": hello["rnncore"]["build"]},
            "versions": {name: hello[name]["version"] for name in present},
            "missing": [name for name in hello if name not in present],
            "limits": limits._asdict(),
        }
        alone = {"rnncore": present["rnncore"]}
        for among, contenders in ((rows, present), (flat, alone)):
            for row in among:
                pause = PAUSE if mode.threads > 1 else 0
                entries = race(row, contenders, rounds, at_least, pause)
                yield report(row, entries, limits)


def race(
    row: Row, contenders: dict[str, Child], rounds: int, at_least: float, pause: float
) -> dict[str, dict[str, Any]]:
    """For every contestant its entry of a row: "variant", "median", "spread", "first_call"."""
    entries = {}
    for name, contender in contenders.items():
        about = contender.ask("enter", row=row, at_least=at_least)
        if about:
            entries[name] = about
    seconds: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(rounds):
        for name, times in seconds.items():
            sleep(pause)
            times.append(contenders[name].ask("time")["seconds"] / row.calls)
    return {
        name: about | timing.summary(seconds[name])._asdict() for name, about in entries.items()
    }


def report(row: Row, entries: dict[str, dict[str, Any]], limits: Limits) -> dict[str, Any]:
    call = entries["rnncore"]["median"] * row.calls
    limit = limits.seconds(row)
    return {
        "row": row._asdict(),
        "contestants": entries,
        "limit": limit / row.calls,
        "share": limit / call,
        "fma_share": limits.fma_share(row, call),
    }
