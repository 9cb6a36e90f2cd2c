#!/bin/sh
# The tests under a sanitizer, or some under valgrind, on a build of their own in a temporary copy.
#
#     tools/sanitize.sh              AddressSanitizer and UndefinedBehaviorSanitizer: the suite
#     tools/sanitize.sh threads      ThreadSanitizer: what works with threads
#     tools/sanitize.sh valgrind     a selection
#
# Words after it go to pytest, in place of the tests chosen here. Needs gcc and what the tests
# need, and for the last one valgrind.
set -eu
cd "$(dirname "$0")/.."
what=${1:-memory}
[ $# -eq 0 ] || shift
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
export PYTHONPATH="$copy/python" PYTHONMALLOC=malloc

build() { # with these flags, which come after those of setup.py
    printf '#!/bin/sh\nexec gcc "$@" -g1 %s\n' "$1" >cc
    chmod +x cc
    builds="base v3 v4" # or as the caller wants; v4 only where this machine can run it
    grep -qs avx512vl /proc/cpuinfo || builds="base v3"
    builds=${RNNCORE_BUILDS:-$builds}
    CC="$copy/cc" RNNCORE_BUILDS=$builds python setup.py --quiet build_ext --inplace
}
# Every function once, not inlined wherever it is called, and as it is written: what is checked is the
# same, and compiled in half a minute instead of ten.
lean="-O0 -Dalways_inline=used"
# Fresh memory full of NaN, and segments so short that every test has some.
debug="-DRNN_POISON -DSEGMENT_BYTES=4096 -DMOST_TAPE_BYTES=16384"
library() { # the compiler's, to be loaded before Python
    gcc -print-file-name="lib$1.so"
}
tests="python -m pytest -q -p no:cacheprovider"

case $what in
memory)
    build "$lean $debug -fsanitize=address,undefined -fno-omit-frame-pointer"
    # Leaks are the interpreter's own; what cannot be had must be NULL, as anywhere; the test of
    # allocations brings a counter that does not mix.
    LD_PRELOAD="$(library asan) $(library ubsan)" \
        ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
        UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
        $tests --deselect tests/test_loops.py "$@"
    ;;
threads)
    build "$lean -fsanitize=thread"
    [ $# -gt 0 ] || set -- tests/test_threads.py tests/test_bits.py tests/test_fit.py
    # It does not know the interpreter, whose lock it sees all the same; and it wants addresses
    # where they are without randomization.
    LD_PRELOAD=$(library tsan) TSAN_OPTIONS=die_after_fork=0:exitcode=66:allocator_may_return_null=1 \
        setarch -R $tests "$@"
    ;;
valgrind)
    build ""
    [ $# -gt 0 ] || set -- tests/test_stack.py tests/test_cells.py tests/test_flow.py \
        tests/test_dropout.py tests/test_jacobians.py \
        -k "v3 and (masked or skip_network or dropped or length or closed)"
    # It knows no AVX-512. What it says of the interpreter is not ours.
    RNNCORE_ISA=v3 valgrind --error-limit=no --log-file=valgrind.log $tests "$@"
    if grep -B5 -A20 _core_ valgrind.log; then exit 1; fi
    echo "no error in the core"
    ;;
*)
    echo "$0: expected threads or valgrind, got $what" >&2
    exit 2
    ;;
esac
