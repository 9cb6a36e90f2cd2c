"""The core compiled for systems that are not here."""

import shutil
import zipfile
from pathlib import Path

from builds.common import (
    PYTHON,
    ROOT,
    WORK,
    builder,
    interpreter,
    need,
    run,
    tools,
    unpacked,
    zig,
)

#: What the headers of Python ask of pyconfig.h, as it is on 64-bit Windows.
WINDOWS = """
#define MS_WINDOWS
#define MS_WIN64
#define NT_THREADS
#define HAVE_DECLSPEC_DLL
#define SIZEOF_WCHAR_T 2
#define SIZEOF_SHORT 2
#define SIZEOF_INT 4
#define SIZEOF_LONG 4
#define SIZEOF_LONG_LONG 8
#define SIZEOF_SIZE_T 8
#define SIZEOF_VOID_P 8
#define SIZEOF_TIME_T 8
"""


def headers(system: str) -> str:
    """Flags for the headers of Python and numpy on that system.  Python's are the same everywhere,
    and its configuration on all 64-bit systems but Windows, as far as it matters here."""
    folder = WORK / "headers" / system
    shutil.rmtree(folder, ignore_errors=True)
    where = "import sysconfig; print(sysconfig.get_path('include'))"
    shutil.copytree(run(interpreter(PYTHON), "-c", where).strip(), folder / "python")
    if system.startswith("win"):
        (folder / "python" / "pyconfig.h").write_text(WINDOWS)
    run(
        tools() / "python", "-m", "pip", "download", "--quiet", "--only-binary=:all:", "--no-deps",
        f"--python-version={PYTHON}", f"--platform={system}", f"--dest={folder}", "numpy",
    )  # fmt: skip
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as numpy:
        numpy.extractall(folder, [name for name in numpy.namelist() if "/include/" in name])
    return f"-I{folder / 'python'} -I{folder / 'numpy' / '_core' / 'include'}"


def compiled(system: str, host: str, cc: str | Path, link: str) -> str:
    """All modules, as setup.py builds them, by a compiler for another system; not one warning."""
    source = unpacked(system)
    cflags = f"{headers(system)} -Wall -Wno-unused-function -Werror"
    log = run(
        builder(PYTHON) / "python", "setup.py", "build_ext", cwd=source, CC=cc, LDSHARED=link,
        CFLAGS=cflags, _PYTHON_HOST_PLATFORM=host,
    )  # fmt: skip
    assert "WARNING" not in log, log[-3000:]
    objects = [path.stem for path in source.glob("build/temp*/**/*.o")]
    wanted = 3 if host.endswith(("arm64", "aarch64")) else 7
    assert len(objects) == wanted, f"{system}: {sorted(objects)}"
    return f"{system}: {len(objects)} modules"


def check_windows() -> str:
    """The core compiled for Windows; its headers with vectors and with plain loops too, and these
    run, given wine."""
    gcc = need("x86_64-w64-mingw32-gcc")
    modules = compiled("win_amd64", "win-amd64", gcc, "true")  # no Python there to link with
    core = ROOT / "rnncore"
    names = [p.relative_to(core).as_posix() for p in core.rglob("*.h") if p.stem != "coefficients"]
    included = [part for name in sorted(names) for part in ("-include", name)]
    source = [*included, f"-I{core}", Path(__file__).with_name("headers.c")]
    wine = shutil.which("wine") or shutil.which("wine64")
    built = 0
    for isa in ("", "-march=x86-64-v3", "-march=x86-64-v4"):
        for bits in ("-DRNN_FLOAT", "-DRNN_DOUBLE"):
            for lanes in ("-DRNN_VECTORS", "-DRNN_PLAIN_LANES"):
                flags = [flag for flag in ("-O3", "-Wall", "-Werror", isa, bits, lanes) if flag]
                exe = WORK / "windows.exe"
                run(gcc, "-DWIN32_LEAN_AND_MEAN", *flags, *source, "-o", exe)
                built += 1
                if wine and not isa.endswith("v4"):
                    print(run(wine, exe, WINEDEBUG="-all", WINEPREFIX=WORK / "wine").strip())
    ran = "run by wine" if wine else "no wine to run them"
    return f"{modules}; {built} programs of the headers, {ran}"


def check_macos() -> str:
    """Compiled and linked for macOS; not run."""
    return ", ".join(
        compiled(f"macosx_14_0_{cpu}", f"macosx-14.0-{cpu}", cc,
                 f"{cc} -shared -undefined dynamic_lookup")
        for cpu, cc in (("arm64", zig("aarch64-macos")), ("x86_64", zig("x86_64-macos")))
    )  # fmt: skip


def check_musl() -> str:
    """Compiled and linked with the C library of Alpine Linux; not run."""
    return ", ".join(
        compiled(f"musllinux_1_2_{cpu}", f"linux-{cpu}", cc, f"{cc} -shared")
        for cpu, cc in ((cpu, zig(f"{cpu}-linux-musl")) for cpu in ("x86_64", "aarch64"))
    )
