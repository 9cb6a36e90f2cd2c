"""Which builds of the core this machine can run.  Always compiled for the baseline."""

cdef extern from "platform/cpu_features.h":
    int x86_64_level()


def runnable():
    """Names of the builds this processor and operating system can run, fastest first.

    "v4" and "v3" are x86-64-v4 (AVX-512) and x86-64-v3 (AVX2 and FMA); "base" is what
    every machine of this architecture has (SSE2 on x86-64, NEON on arm64).
    """
    level = x86_64_level()
    return [name for name, least in (("v4", 4), ("v3", 3)) if level >= least] + ["base"]
