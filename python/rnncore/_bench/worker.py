"""The process of one contestant: ``python -m rnncore._bench.worker MODE PEER``.

MODE is a ``modes.Mode`` as JSON. The process writes one JSON object about itself; then it reads one
command per line of standard input and writes one reply per line of standard output, both as JSON
(see ``processes``). Whatever a library prints goes to standard error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext, redirect_stdout
from typing import Any

from rnncore._bench import timing
from rnncore._bench.modes import Mode


def main(arguments: list[str]) -> None:
    mode, name = Mode(*json.loads(arguments[0])), arguments[1]
    out = sys.stdout

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=out, flush=True)

    pinned = timing.pinned() if mode.threads == 1 else nullcontext()
    with pinned, redirect_stdout(sys.stderr):
        serve(mode, name, sys.stdin, say)


def serve(
    mode: Mode, name: str, commands: Iterable[str], say: Callable[[dict[str, Any]], None]
) -> None:
    # Imported after pinning: some libraries count cores when they are imported.
    from rnncore._bench import limits, race
    from rnncore._bench.grid import Row
    from rnncore._bench.peers.registry import load
    from rnncore._runtime import builds

    try:
        peer = load(name, mode.threads)
    except ImportError:
        say({"version": None})
        return
    say({"version": peer.version, "build": builds.selected})
    entry = None
    for line in commands:
        command = json.loads(line)
        if command["do"] == "limits":
            say(limits.measure(mode.dtype)._asdict())
        elif command["do"] == "enter":
            entry = race.enter(Row(*command["row"]), mode.dtype, peer, command["at_least"])
            say({} if entry is None else entry.about())
        elif entry is not None:
            say({"seconds": entry.time()})


if __name__ == "__main__":
    main(sys.argv[1:])
