"""What users may rely on, as lines of text: names, signatures and documented attributes.

    python tests/public_api.py          writes tests/public_api.txt anew

A module's public names are those of its ``__all__``. Of a class, what classes of this package
define is listed, not what it inherits from another one; attributes are those that its docstring
lists, and of estimators the options of the constructor. Types are left out: they are what mypy
checks. A module that needs a package which is not installed keeps its lines in the file.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".txt")

#: The public modules, and the package that each needs besides numpy.
MODULES = {
    "rnncore": None, "rnncore.schedules": None, "rnncore.dynamics": None, "rnncore.export": None,
    "rnncore.torch": "torch", "rnncore.sklearn": "sklearn", "rnncore.aeon": "aeon",
    "rnncore.sktime": "sktime", "rnncore.onnx": "onnx", "rnncore.keras": "keras",
}  # fmt: skip

#: Classes whose objects come from calls: how they are made is not for users to rely on.
RESULTS = {
    "Accuracy", "Export", "FixedPoints", "Generated", "GradientFlow", "History", "Lyapunov",
    "Output", "Portrait", "PopulationHistory", "SampleGradients", "Simulation", "Streams", "Sweep",
    "Trace", "Trainer",
}  # fmt: skip

#: Methods with such names are listed like others.
SPECIAL = ("__call__", "__getitem__", "__iter__", "__len__")


def described(name: str) -> list[str]:
    """The lines of a module, which is imported."""
    module = import_module(name)
    return [
        line for public in sorted(module.__all__)
        for line in of(f"{name}.{public}", getattr(module, public))
    ]  # fmt: skip


def of(path: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield path + ("" if value.__name__ in RESULTS else signature(value))
        yield from members(path, value)
    elif callable(value):
        yield path + signature(value)
    else:
        yield path


def members(path: str, kind: type) -> Iterator[str]:
    """Methods, properties and documented attributes, those of the classes it derives from too."""
    ours = [base for base in kind.__mro__ if base.__module__.startswith("rnncore")]
    found = {name for base in ours for name in documented(base)}
    found |= {
        name for base in ours for name in vars(base)
        if not name.startswith("_") or name in SPECIAL
    }  # fmt: skip
    if kind.__name__ not in RESULTS:
        found -= set(getattr(kind, "__dataclass_fields__", ()))  # options of the constructor
    for name in sorted(found):
        if re.fullmatch("set_.*_request", name):  # made by scikit-learn, as its version wants
            continue
        value = getattr(kind, name, None)
        yield f"{path}.{name}" + (signature(value) if callable(value) else "")


def documented(kind: type) -> list[str]:
    """The names in the section "Attributes" of a docstring."""
    text = inspect.cleandoc(vars(kind).get("__doc__") or "")
    section = re.search(r"^Attributes\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", text, re.S | re.M)
    listed = re.findall(r"^([\w, ]+?)(?: :.*)?$", section[1], re.M) if section else []
    return [name for line in listed for name in line.split(", ") if line[0] != " "]


def signature(value: Any) -> str:
    """Names, kinds and defaults of the parameters, without types."""
    try:
        given = inspect.signature(value)
    except ValueError:  # of a class written in C
        return ""
    bare = [
        parameter.replace(annotation=parameter.empty) for parameter in given.parameters.values()
    ]
    if not inspect.isclass(value) and bare and bare[0].name == "self":
        bare = bare[1:]
    return str(given.replace(parameters=bare, return_annotation=given.empty))


def recorded() -> dict[str, list[str]]:
    """The lines of every module in the file, which is under headings in brackets."""
    parts = re.split(r"^\[(.+)\]\n", FILE.read_text("utf-8"), flags=re.M)[1:]
    return {
        name: lines.split() and lines.strip().split("\n")
        for name, lines in zip(parts[::2], parts[1::2], strict=True)
    }


def main() -> None:
    before = recorded() if FILE.exists() else {}
    lines = []
    for name, package in MODULES.items():
        try:
            found = described(name)
        except ImportError:
            found = before.get(name, [])
            print(f"{name}: as it was, since {package} is not installed", file=sys.stderr)
        lines += [f"[{name}]", *found, ""]
    FILE.write_text("\n".join(lines), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
