"""The dependencies between the core's files run one way."""

import re
from pathlib import Path

import pytest

CORE = Path(__file__).resolve().parents[1] / "rnncore"

#: Folders from the bottom up: a file uses its own folder and those before it.
ORDER = (
    "simd", "platform", "cells", "losses", "duals", "optimisers", "products", "spec", "sequence",
    "bindings", "training", "diagnostics", "streaming",
)  # fmt: skip

DEFINED = re.compile(
    r"^(?:cdef|def|cpdef)\s(?:inline\s|class\s|enum\s|struct\s)?(?:[\w* \[\]]*?[\s*])?"
    r"(\w+)\s*(?:\(|:$|=)", re.MULTILINE,
)  # fmt: skip
IMPORTED = re.compile(r"^from (?:rnncore\.|\.\.)(\w+)[\w.]* cimport", re.MULTILINE)
INCLUDED = re.compile(r'^include "([\w/.]+)"', re.MULTILINE)


def included():
    """The files that kernel.pyx is made of, in their order."""
    return INCLUDED.findall((CORE / "kernel.pyx").read_text(encoding="utf-8"))


def included_twice():
    """Files that are compiled for numbers and for dual numbers: others include them."""
    texts = all_texts("**/*.pxd").values()
    return {name for text in texts for name in INCLUDED.findall(text)}


def code(text):
    """Without comments and texts."""
    text = re.sub(r'"""(?:.|\n)*?"""', "", text)
    return re.sub(r"#.*|\"[^\"\n]*\"", "", text)


def upward(texts, order):
    """(user, name, definer) of every name used before the file that defines it; texts by file."""
    defined = {}
    for number, name in enumerate(order):
        for found in DEFINED.findall(code(texts[name])):
            defined.setdefault(found, (number, name))
    edges = []
    for number, name in enumerate(order):
        own = set(DEFINED.findall(code(texts[name])))
        for word in set(re.findall(r"(?<![.\w])\w+(?=\()", code(texts[name]))) - own:
            where = defined.get(word)
            if where is not None and where[0] > number:
                edges.append((name, word, where[1]))
    return edges


def imports(texts):
    """(file, folder it imports from) for every import of a folder above its own."""
    edges = []
    for name, text in texts.items():
        mine = ORDER.index(name.split("/")[0])
        files = INCLUDED.findall(text) if name.endswith(".pxd") else []
        for folder in IMPORTED.findall(text) + [file.split("/")[0] for file in files]:
            if ORDER.index(folder) > mine:
                edges.append((name, folder))
    return edges


def all_texts(pattern):
    return {
        path.relative_to(CORE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(CORE.glob(pattern))
    }


def test_every_file_of_the_core_is_in_a_folder_that_has_its_place():
    names = {path.relative_to(CORE).as_posix() for path in CORE.rglob("*.*")}
    assert {name for name in names if "/" not in name} == {"kernel.pyx", "cpu.pyx"}
    assert {name.split("/")[0] for name in names if "/" in name} == set(ORDER)
    texts = {name for name in names if name.endswith(".pxi")}
    assert set(included()) == texts - included_twice()
    assert included_twice() <= names


def test_included_files_stand_in_the_order_of_their_folders():
    places = [ORDER.index(name.split("/")[0]) for name in included()]
    assert places == sorted(places)


def test_no_file_uses_one_that_comes_after_it():
    assert upward(all_texts("*/*.pxi"), included()) == []
    assert imports(all_texts("**/*.pxd")) == []
    assert imports({name: all_texts("*/*.pxi")[name] for name in included()}) == []


@pytest.mark.parametrize("name", ["sequence/gather.pxi", "platform/arena.pxi"])
def test_an_edge_upwards_is_found(name):
    texts = all_texts("*/*.pxi")
    texts[name] += "\n    work_in_chunks(plan, seqs, 0, NULL)\n"
    assert upward(texts, included()) == [(name, "work_in_chunks", "sequence/chunks.pxi")]
    for line in "from rnncore.spec.plan cimport Plan", "from ..spec.plan cimport Plan":
        texts = all_texts("**/*.pxd")
        texts["cells/gru.pxd"] += f"\n{line}\n"
        assert imports(texts) == [("cells/gru.pxd", "spec")]
    texts["cells/gru.pxd"] = 'include "spec/plan.pxd"\n'
    assert imports(texts) == [("cells/gru.pxd", "spec")]


def test_every_cell_and_loss_is_there_on_dual_numbers():
    for folder in "cells", "losses":
        names = {path.name for path in (CORE / folder).glob("*.pxd")}
        assert {path.name for path in (CORE / "duals" / folder).glob("*.pxd")} == names


def test_files_fit_in_a_head():
    long = {
        name: len(text.splitlines())
        for pattern in ("*.py*", "**/*.p*", "**/*.h")
        for name, text in all_texts(pattern).items()
    }
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
