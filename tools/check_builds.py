"""Build, test and compare what users install: python tools/check_builds.py [check ...]

Every check starts from an unpacked sdist and works in build/checks/, in virtual environments
made there; a check this machine lacks something for is skipped and says what.  Without
arguments, all of them run, one after the other.  CONTRIBUTING.md says what each one needs.
"""

import argparse
import sys
import time

from builds import emulated, foreign, native
from builds.common import WORK, Skip

#: Each returns what it found, one line.
CHECKS = {
    name[6:]: check
    for room in (native, emulated, foreign)
    for name, check in vars(room).items()
    if name.startswith("check_")
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checks", nargs="*", metavar="check", help=", ".join(CHECKS))
    names = parser.parse_args().checks or list(CHECKS)
    if unknown := set(names) - set(CHECKS):
        parser.error(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
    WORK.mkdir(parents=True, exist_ok=True)
    table = []
    for name in names:
        begun = time.monotonic()
        try:
            outcome, detail = "passed", CHECKS[name]()
        except Skip as why:
            outcome, detail = "skipped", str(why)
        except (RuntimeError, AssertionError) as error:
            outcome, detail = "FAILED", str(error)
        table.append(f"{name:12} {outcome:8} {time.monotonic() - begun:5.0f} s  {detail}")
        print(table[-1], flush=True)
    print("\n" + "\n".join(table))
    return any("FAILED" in line.split()[:2] for line in table)


if __name__ == "__main__":
    sys.exit(main())
