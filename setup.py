"""Which extension modules exist, and which compiler flags each gets.

``rnncore/kernel.pyx`` is compiled once per instruction set and precision, as
``rnncore._core_<isa>_f<bits>``: a stub in the build folder names the module and
includes the source, and the compiler's flags do the rest.  ``rnncore.cpu``, which
decides at import which of them this machine can run, is always compiled for the
baseline.  The wheel says in ``sboms/`` what went into it (PEP 770).  Everything else about
the project is in pyproject.toml.
"""

import json
import os
import platform
import sys
import sysconfig
import tempfile
from pathlib import Path

import Cython
import numpy
import setuptools
from Cython.Build import cythonize
from Cython.Compiler import Options
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError

HERE = Path(__file__).resolve().parent
CORE = HERE / "rnncore"
STUBS = Path("build") / "stubs" / "rnncore"

MSVC = sys.platform == "win32"
#: What is compiled for, which is another machine than this one in a cross build.
TARGET = sysconfig.get_platform().replace("universal2", platform.machine()).lower()
X86 = TARGET.endswith(("x86_64", "amd64"))

#: Instruction set -> the flags that ask for it; "base" is what the compiler assumes.
ISA_FLAGS = {
    "base": [],
    "v3": ["/arch:AVX2"] if MSVC else ["-march=x86-64-v3"],
    "v4": ["/arch:AVX512"] if MSVC else ["-march=x86-64-v4"],
}

#: Those that are compiled for. RNNCORE_BUILDS="base v3", say, saves a developer the time of others.
BUILDS = os.environ.get("RNNCORE_BUILDS", " ".join(ISA_FLAGS)).split()
if not {"base"} <= set(BUILDS) <= set(ISA_FLAGS):
    raise SystemExit(
        f"RNNCORE_BUILDS: expected base and some of {', '.join(ISA_FLAGS)}, "
        f"got {' '.join(BUILDS)!r}"
    )

#: One more than the axes of the core's arrays. A memoryview is copied whole, with room for so many
#: axes: with Cython's 8 they take 208 bytes each, the modules 5 % more and a call 150 ns more.
Options.buffer_max_dims = 5

#: No -ffast-math: the core relies on rounding and on NaN.  These three only say that
#: nobody reads errno or traps floating-point exceptions, and that a multiplication and
#: an addition are fused where the source says so and nowhere else.  Loops are aligned, or
#: the speed of one would depend on the size of whatever is compiled before it.
KERNEL_FLAGS = (
    ["/O2", "/fp:precise", "/std:c11"]
    if MSVC
    else [
        "-O3", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-falign-loops=32",
        "-g0",
    ]
)  # fmt: skip

#: simd/lanes.h refuses these and their like where the compiler sees them.  But the -O3 above
#: hides an -Ofast from it, and not from the linker, which adds to the modules what flushes
#: subnormals in any process that loads them.
FAST_MATH = {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"}

#: The loops are built from small functions called with literals; they are only fast
#: when every one of them is inlined.
KERNEL_MACROS = [] if MSVC else [("CYTHON_INLINE", "inline __attribute__((always_inline))")]

#: What numpy 2.0 has is all that is used, so that whatever came after it will do.
NUMPY_MACROS = [
    ("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"),
    ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION"),
]

#: Entry points check sizes themselves; inside, nothing may call back into Python.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": True,
    # Whatever threads share is swapped whole, counted atomically or written alone; without
    # this, importing rnncore would switch the GIL of a free-threaded Python on.
    "freethreading_compatible": True,
    # As numpy: one interpreter per process, an ImportError in any other.
    "subinterpreters_compatible": "no",
}


def kernel(isa: str, bits: int) -> Extension:
    name = f"_core_{isa}_f{bits}"
    STUBS.mkdir(parents=True, exist_ok=True)
    stub = STUBS / f"{name}.pyx"
    text = 'include "kernel.pyx"\n'
    if not stub.exists() or stub.read_text(encoding="utf-8") != text:
        stub.write_text(text, encoding="utf-8")
    return Extension(
        f"rnncore.{name}",
        [stub.as_posix()],
        include_dirs=["rnncore", numpy.get_include()],
        define_macros=KERNEL_MACROS + NUMPY_MACROS + ([("RNN_DOUBLE", None)] if bits == 64 else []),
        extra_compile_args=KERNEL_FLAGS + ISA_FLAGS[isa],
        depends=[path.relative_to(HERE).as_posix() for path in CORE.rglob("*.*")],
    )


def extensions() -> list[Extension]:
    isas = BUILDS if X86 else ["base"]
    cpu = Extension(
        "rnncore.cpu",
        ["rnncore/cpu.pyx"],
        include_dirs=["rnncore"],
        extra_compile_args=[] if MSVC else ["-g0"],  # no build folder's name in the file
    )
    return [cpu] + [kernel(isa, bits) for isa in isas for bits in (32, 64)]


NO_COMPILER = """rnncore is compiled from source here and needs a C compiler, but the one there \
is ({compiler}) does not work: {why}
Install one:
    Debian, Ubuntu   apt install gcc libc6-dev python3-dev
    Fedora           dnf install gcc python3-devel
    macOS            xcode-select --install
    Windows          Build Tools for Visual Studio, "Desktop development with C++"
or install a wheel, which needs none: python -m pip install --only-binary rnncore rnncore"""

NO_HEADERS = """rnncore is compiled from source here and needs the C headers of Python, but this \
does not compile: #include <Python.h>
Install them, for the very Python that runs this ({python}):
    Debian, Ubuntu   apt install libc6-dev python3-dev
    Fedora           dnf install python3-devel
or install a wheel, which needs none: python -m pip install --only-binary rnncore rnncore"""


class BuildExt(build_ext):
    """Cython, then the C compiler on every core; a build the compiler has no flag for is
    left out with a message, a build that fails is an error."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extensions(self):
        self.check_compiler()
        supported = {isa: not self.failure(flags=flags) for isa, flags in ISA_FLAGS.items()}
        for isa, flags in ISA_FLAGS.items():
            if X86 and not supported[isa]:
                why = f"this compiler has no {' '.join(flags)}"
                print(f"WARNING: rnncore is built without '{isa}': {why}", file=sys.stderr)
        self.extensions = [
            extension
            for extension in self.extensions
            if all(f"_core_{isa}_" not in extension.name or ok for isa, ok in supported.items())
        ]
        translated = cythonize(
            self.extensions,
            include_path=[".", "rnncore"],
            build_dir="build/cython",
            compiler_directives=DIRECTIVES,
            nthreads=os.cpu_count() if sys.platform == "linux" else 0,
            force=self.force,
        )
        sources = {extension.name: extension.sources for extension in translated}
        for extension in self.extensions:
            extension.sources = sources[extension.name]
        super().build_extensions()

    def check_compiler(self):
        """An error that says what to do, before a compiler fails in its own words."""
        fast = FAST_MATH.intersection(getattr(self.compiler, "linker_so", None) or ())
        if fast:
            raise CompileError(
                f"rnncore needs IEEE arithmetic with NaN: remove {', '.join(sorted(fast))} from "
                "the compiler's flags, such as CFLAGS or LDFLAGS"
            )
        why = self.failure()
        if why:
            compiler = " ".join(getattr(self.compiler, "compiler_so", ())[:1]) or "MSVC"
            raise CompileError(NO_COMPILER.format(compiler=compiler, why=why))
        if self.failure("#include <Python.h>\n"):
            raise CompileError(NO_HEADERS.format(python=sys.executable))

    def failure(self, source="", flags=()) -> Exception | None:
        """What comes of compiling a file that begins like this; None where it works."""
        with tempfile.TemporaryDirectory() as folder:
            probe = Path(folder) / "probe.c"
            probe.write_text(source + "int probe(void) { return 0; }\n", encoding="utf-8")
            try:
                self.compiler.compile([str(probe)], output_dir=folder, extra_postargs=list(flags))
            except Exception as error:  # each compiler class has an error of its own
                return error
        return None


def sbom(name: str, version: str) -> dict:
    """The wheel's bill of materials (CycloneDX): the project alone, no third-party code; and
    the tools whose generated code or headers are in the binaries.  No time, no serial number:
    the same sources give the same bytes."""
    itself = f"pkg:pypi/{name}@{version}"
    tools = {"Cython": Cython, "numpy": numpy, "setuptools": setuptools}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": itself,
                "name": name,
                "version": version,
                "licenses": [{"license": {"id": "BSD-3-Clause"}}],
                "purl": itself,
            },
            "tools": {
                "components": [
                    {"type": "application", "name": tool, "version": module.__version__}
                    for tool, module in tools.items()
                ]
            },
        },
        "components": [],
        "dependencies": [{"ref": itself}],
    }


class BdistWheel(bdist_wheel):
    """setuptools' own, and the bill of materials beside the wheel's metadata."""

    def egg2dist(self, egginfo_path, distinfo_path):
        super().egg2dist(egginfo_path, distinfo_path)
        name, version = self.distribution.get_name(), self.distribution.get_version()
        folder = Path(distinfo_path) / "sboms"
        folder.mkdir(exist_ok=True)
        text = json.dumps(sbom(name, version), indent=2) + "\n"
        (folder / f"{name}.cdx.json").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    commands = {"build_ext": BuildExt, "bdist_wheel": BdistWheel}
    setup(ext_modules=extensions(), cmdclass=commands)
