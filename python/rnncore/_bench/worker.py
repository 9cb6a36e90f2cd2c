"""The child process that measures one mode: ``python -m rnncore._bench.worker TASK``.

TASK is a JSON object, see ``modes.run``.  Reports go to standard output, one JSON object a line;
whatever a library prints goes to standard error.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, redirect_stdout
from typing import Any

from rnncore._bench import timing
from rnncore._bench.modes import Mode


def main(text: str) -> None:
    task = json.loads(text)
    mode = Mode(*task["mode"])
    out = sys.stdout

    def report(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(sys.stderr))
        if mode.threads == 1:
            stack.enter_context(timing.pinned())
        measure(task, mode, report)


def measure(task: dict[str, Any], mode: Mode, report: Any) -> None:
    # Imported after pinning: some libraries count cores when they are imported.
    from rnncore import _builds
    from rnncore._bench import limits, peers, race
    from rnncore._bench.grid import Row

    contenders, missing = [peers.load("rnncore", mode.threads)], []
    for name in task["peers"]:
        try:
            contenders.append(peers.load(name, mode.threads))
        except ImportError:
            missing.append(name)
    at_most = limits.measure(mode.dtype)
    report(
        {
            "mode": mode._asdict() | {"build": _builds.selected},
            "versions": {peer.name: peer.version for peer in contenders},
            "missing": missing,
            "limits": at_most._asdict(),
        }
    )
    for rows, rivals in ((task["rows"], contenders), (task["flat"], contenders[:1])):
        for row in rows:
            report(
                race.run(Row(*row), mode.dtype, rivals, task["rounds"], task["at_least"], at_most)
            )


if __name__ == "__main__":
    main(sys.argv[1])
