"""Where the examples get their data: releases of other projects, which contain it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"


def fetch(release: str, suffix: str) -> Path:
    """The archive of a release, "name==version" on the package index: its source distribution
    for the suffix ".tar.gz", its wheel for ".whl". Kept in examples/data from the first time on.
    """
    if not archives(release, suffix):
        DATA.mkdir(exist_ok=True)
        print(f"fetching {release} ...", file=sys.stderr)
        form = "--only-binary" if suffix == ".whl" else "--no-binary"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", form, ":all:"]
        subprocess.run([*command, "-d", str(DATA), release], check=True)
    return archives(release, suffix)[0]


def archives(release: str, suffix: str) -> list[Path]:
    stem = release.replace("==", "-").lower()  # an index may write names in lower case
    names = {path: path.name.lower() for path in sorted(DATA.glob("*"))}
    return [path for path, n in names.items() if n.startswith(stem) and n.endswith(suffix)]
