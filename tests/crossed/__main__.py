"""Many examples, on demand.

    python tests/crossed FIRST COUNT [BUILD ...]

Examples FIRST .. FIRST + COUNT - 1 on these builds, or all that this machine can run, in two
processes. Prints the mismatches and the largest deviations.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rnncore._runtime import builds as _builds

from crossed import compare
from crossed.draw import draw

TOGETHER = 100


def run(first, count, builds):
    """(mismatches, the largest deviation by build, precision and kind of answer)"""
    found, worst = [], {}
    for number in range(first, first + count):
        example = draw(number)
        wanted = compare.expected(example)
        for build in builds:
            _builds.selected = build
            deviations = {}
            for dtype in ("float32", "float64"):
                try:
                    compare.check(example, dtype, wanted, deviations)
                except Exception as error:
                    found.append((build, f"{type(error).__name__}: {error} ({example})"))
            for key, value in deviations.items():
                worst[build, *key] = max(worst.get((build, *key), (0.0, 0)), value)
    return found, worst


def main(first, count, *builds):
    first, count = int(first), int(count)
    builds = builds or _builds.available()
    found, worst = [], {}
    firsts = range(first, first + count, TOGETHER)
    counts = [min(TOGETHER, first + count - f) for f in firsts]
    with ProcessPoolExecutor(2) as pool:
        for part, deviations in pool.map(run, firsts, counts, [builds] * len(counts)):
            found += part
            for text in part:
                print(*text, flush=True)
            for key, value in deviations.items():
                worst[key] = max(worst.get(key, (0.0, 0)), value)
    print(f"{count} examples, {len(found)} mismatches")
    for key, (off, number) in sorted(worst.items()):
        print(f"{' '.join(key):30s} {off:.2e} in example {number}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
