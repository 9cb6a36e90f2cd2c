"""Wheels for this machine: what is in them, by every compiler and for every Python there is."""

import hashlib
import tarfile
import zipfile

from builds.common import (
    PYTHONS,
    ROOT,
    WORK,
    Skip,
    interpreter,
    need,
    passes,
    repaired,
    run,
    sdist,
    tools,
    wheel,
    zig,
)


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


def check_reproducible() -> str:
    """Two builds, in folders of different names, give the same bytes."""
    epoch = run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()
    digests = set()
    for name in ("twice", "twice-elsewhere"):
        built = wheel(name, SOURCE_DATE_EPOCH=epoch)
        digests.add(hashlib.sha256(built.read_bytes()).hexdigest())
    assert len(digests) == 1, f"the wheels differ: compare those in {WORK / 'wheels'}"
    return f"sha256 {digests.pop()[:16]}... twice"
