"""Wheels tested on processors that this machine has not, by QEMU."""

import shutil
from pathlib import Path

from builds.common import (
    PYTHON,
    WORK,
    interpreter,
    need,
    repaired,
    run,
    summary,
    tests_folder,
    tools,
    venv,
    wheel,
    zig,
)

#: What is quick enough on an emulated processor; no test that starts a process, which would run
#: on the real one.
EMULATED_TESTS = [
    "-q", "tests/test_gradients.py", "tests/test_fit.py", "tests/test_threads.py", "-k",
    "(test_fit or test_threads) and not without_memory"
    " or vjp_equals and not (T6000 or T2500 or T200 or T150)",
]  # fmt: skip


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
            "python3.11", "libpython3.11-dev", "libstdc++6")  # fmt: skip
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
