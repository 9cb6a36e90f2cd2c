"""Which lines of the core the tests run.

    python tools/coverage.py [what to pass to pytest]

Cython says in its C code, before each statement's, which line that is; gcc counts how often each
line of C runs.  So every build this machine can run is counted, in both precisions, with threads
as they are; Cython's own tracing would take the GIL at every line of the loops.  A line is one
with code; it is covered where some of that ran.  The build is made in a temporary copy.

Needs gcc with its gcov, and what the tests need.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: Its flags come after those of setup.py.  Nothing is optimised away, nor inlined, nor left out
#: because nobody calls it; threads lose no count; C's headers are not counted, they are called
#: too often for that.
COMPILER = r"""#!/bin/sh
exec gcc "$@" -O0 -Dalways_inline=used --coverage -fprofile-update=atomic \
    '-fprofile-filter-files=\.c$'
"""

#: How Cython's comment before the code of a statement begins.
MARK = re.compile(r'\s*/\* "(.+)":(\d+)$')


def build(copy: str) -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in tracked.stdout.decode().split("\0")[:-1]:
        Path(copy, name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, Path(copy, name))
    compiler = Path(copy, "cc")
    compiler.write_text(COMPILER, encoding="utf-8")
    compiler.chmod(0o755)
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--inplace"]
    subprocess.run(command, cwd=copy, check=True, env=os.environ | {"CC": str(compiler)})


def test(copy: str, *arguments: str) -> int:
    # Its fits are long for code that is not optimised, and what they run others run.
    without = ["--deselect", "tests/test_loops.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *without, *arguments]
    environment = os.environ | {"PYTHONPATH": str(Path(copy, "python"))}
    return subprocess.run(command, cwd=copy, env=environment).returncode


def origins(copy: str, translated: str) -> dict[int, tuple[str, int]]:
    """Line of a C file -> which file and line of the core it is the code of."""
    found, origin = {}, None
    text = Path(copy, translated).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if mark := MARK.match(line):
            # Cython marks code of its own too, by names of which there is no file.
            origin = (mark[1], int(mark[2])) if Path(copy, mark[1]).is_file() else None
        elif line == "}":  # the end of a function: what comes next has a mark or is Cython's
            origin = None
        if origin:
            found[number] = origin
    return found


def count(copy: str) -> dict[str, Counter[int]]:
    """File of the core -> line with code -> how often some of that ran."""
    files: dict[str, Counter[int]] = defaultdict(Counter)
    notes = sorted(str(path) for path in Path(copy, "build").rglob("*.gcno"))
    command = ["gcov", "--json-format", "--stdout", *notes]
    counted = subprocess.run(command, cwd=copy, check=True, capture_output=True, text=True)
    for module in counted.stdout.splitlines():
        for source in json.loads(module)["files"]:
            if not source["file"].endswith(".c"):
                continue
            origin = origins(copy, source["file"])
            for line in source["lines"]:
                # A statement's constants are made at import, by functions of this name.
                at_import = line["function_name"].startswith("__Pyx_")
                if line["line_number"] in origin and not at_import:
                    file, number = origin[line["line_number"]]
                    files[file][number] += line["count"]
    return files


def missed(lines: Counter[int]) -> str:
    """The lines that did not run: 3-7 if no line with code in between did."""
    found = []
    for ran, group in groupby(sorted(lines), lambda line: lines[line] > 0):
        numbers = list(group)
        if not ran:
            found.append("-".join(str(n) for n in sorted({numbers[0], numbers[-1]})))
    return ", ".join(found)


def main() -> int:
    with tempfile.TemporaryDirectory() as copy:
        build(copy)
        status = test(copy, *sys.argv[1:])
        files = count(copy)
    rows = [(file, len(+lines), len(lines), missed(lines)) for file, lines in sorted(files.items())]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows), ""))
    for file, ran, lines, where in rows:
        print(f"{file:26} {ran:4} of {lines:4} {100 * ran / lines:6.1f} %  {where}".rstrip())
    return status


if __name__ == "__main__":
    sys.exit(main())
