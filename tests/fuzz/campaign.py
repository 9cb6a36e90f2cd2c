"""Many examples, one after another, in a process of their own: a crash is then seen from outside.

    python tests/fuzz/campaign.py FIRST COUNT PLACE

Examples FIRST .. FIRST + COUNT - 1; the number of the one that runs stands in the file PLACE.
Prints a JSON object: how many calls there were, how they ended, and the finds.
"""

from __future__ import annotations

import json
import mmap
import random
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz import calls, strategies


def limited(memory: int) -> bool:
    """Whether this process now gets no more than so many bytes."""
    try:
        import resource
    except ImportError:
        return False
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    return True


def main(first: int, count: int, place: str) -> None:
    strategies.LIMITED = limited(4 << 30)
    Path(place).write_bytes(bytes(8))
    finds = []
    with open(place, "r+b") as file, mmap.mmap(file.fileno(), 8) as now:
        for number in range(first, first + count):
            now[:] = number.to_bytes(8, "little")
            try:
                calls.example(random.Random(number))
            except calls.Find as find:
                finds.append((number, str(find)))
            except Exception:
                finds.append((number, traceback.format_exc()))
    ends = [[*key, n] for key, n in sorted(calls.COUNTS.items())]
    print(json.dumps({"calls": sum(calls.COUNTS.values()), "ends": ends, "finds": finds}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
