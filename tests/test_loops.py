"""Inside the loops over time there is no Python and no allocation."""

import re
import subprocess
import sys
from ast import literal_eval
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "rnncore"

# Stands between a process and its C library, and counts.
COUNTER = """
#include <stddef.h>
void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
static long count;
long allocations(void) { return count; }
void *malloc(size_t n) { count++; return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { count++; return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { count++; return __libc_realloc(p, n); }
void *memalign(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
void *aligned_alloc(size_t a, size_t n) { count++; return __libc_memalign(a, n); }
"""

# Prints how often a call allocates: a line for each network, a number for each length.
CALLS = """
import ctypes, gc, sys
import numpy as np
import rnncore as rc
gc.disable()
count = ctypes.CDLL(None).allocations
count.restype = ctypes.c_long
def spent(call):
    call(), call()
    before = count()
    call()
    return count() - before
rng = np.random.default_rng(0)
for H, B in (1, 1), (1, 40), (4, 5), (20, 40):
    for readout in "last", "all":
        net = rc.RNN(2, H, 1, loss="mse", readout=readout, seed=0)
        calls = []
        for T in 400, 4000:
            x = rng.standard_normal((B, T, 2)).astype(np.float32)
            y = rng.standard_normal((B, T, 1) if readout == "all" else (B, 1)).astype(np.float32)
            calls.append((spent(lambda: net.loss_and_grad(x, y)), spent(lambda: net(x)),
                          spent(lambda: net.loss(x, y))))
        x, y = x[:, :400], y[:, :400] if readout == "all" else y
        for epochs in 2, 30:
            calls.append(spent(lambda: net.fit(x, y, epochs=epochs, lr=1e-3)))
        print(*calls, sep=";")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the counter is for Linux")
def test_no_call_allocates_more_for_more_steps(tmp_path, build):
    (tmp_path / "counter.c").write_text(COUNTER)
    library = tmp_path / "counter.so"
    compiler = ["cc", "-shared", "-fPIC", "-O1", str(tmp_path / "counter.c"), "-o", str(library)]
    try:
        subprocess.run(compiler, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler, or not the C library the counter knows")
    environment = {
        "LD_PRELOAD": str(library), "RNNCORE_ISA": build, "PYTHONPATH": ":".join(sys.path),
        "PYTHONMALLOC": "malloc", "RNNCORE_THREADS": "1",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", CALLS], env=environment, capture_output=True, text=True, check=True
    )
    for line in result.stdout.splitlines():
        short, long, few, many = line.split(";")
        # One or two of Python's own come and go; an allocation in a loop would be 3600 more.
        for less, more in zip(literal_eval(short), literal_eval(long), strict=True):
            assert more < less + 10, line
        assert int(many) < int(few) + 10, line
    assert len(result.stdout.splitlines()) == 8


@pytest.mark.skipif(not SOURCE.is_dir(), reason="needs the source")
def test_no_loop_contains_python(tmp_path):
    """Every function of the compiled loops, as Cython translates it, calls nothing of Python."""
    main = pytest.importorskip("Cython.Compiler.Main")
    options = main.CompilationOptions(
        output_file=str(tmp_path / "kernel.c"),
        include_path=[str(SOURCE.parent), str(SOURCE)],
        compiler_directives={
            "language_level": 3, "boundscheck": False, "wraparound": False, "cdivision": True,
            "initializedcheck": False,
        },
    )  # fmt: skip
    assert main.compile(str(SOURCE / "kernel.pyx"), options).num_errors == 0
    text = (tmp_path / "kernel.c").read_text()
    loops = set()
    for path in [*SOURCE.rglob("*.pxi"), *SOURCE.rglob("*.pxd")]:
        source = path.read_text()
        loops |= set(re.findall(r"^ *cdef [\w ]*?(\w+)\([^:]*\) noexcept nogil:", source, re.M))
    assert len(loops) > 60
    found = set()
    for match in re.finditer(r"^static [^;=]*?__pyx_f_(\w+)\([^;{]*\) \{$", text, re.M):
        name = without_scope(match[1])
        if name not in loops:
            continue
        found.add(name)
        body = text[match.end() : text.index("\n}\n", match.end())]
        body = re.sub(r"/\*.*?\*/|Py_ssize_t", "", body, flags=re.S)
        assert not re.search(r"\b(__Pyx_|Py[A-Z_])\w*", body), name
    assert found == loops


def without_scope(name):
    """affine, of 7rnncore_8products_affine: each scope is a length and so many letters."""
    while scope := re.match(r"(\d+)", name):
        name = name[scope.end() + int(scope[1]) + 1 :]
    return name
