#!/bin/sh
# The tests under AddressSanitizer and UndefinedBehaviorSanitizer, or some under valgrind, on a
# build of their own in a temporary copy.
#
#     tools/sanitize.sh              the suite, some minutes
#     tools/sanitize.sh valgrind     a selection, some more
#
# Needs gcc and what the tests need; for the second valgrind.
set -eu
cd "$(dirname "$0")/.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z | xargs -0 cp --parents -t "$copy"
cd "$copy"
export PYTHONPATH="$copy/python" PYTHONMALLOC=malloc

if [ "${1:-}" = valgrind ]; then
    # valgrind knows no AVX-512. What it says of the interpreter is not ours.
    CFLAGS=-g python setup.py --quiet build_ext --inplace
    RNNCORE_ISA=v3 valgrind --error-limit=no --log-file=valgrind.log \
        python -m pytest -q -p no:cacheprovider tests/test_stack.py tests/test_cells.py \
        tests/test_flow.py -k "v3 and (masked or skip_network or dropped or length or closed)"
    if grep -B5 -A20 _core_ valgrind.log; then exit 1; fi
    echo "no error in the core"
    exit
fi

flags="-fsanitize=address,undefined -fno-omit-frame-pointer"
CFLAGS="$flags -O1 -g" LDFLAGS="$flags" python setup.py --quiet build_ext --inplace
# Leaks are the interpreter's own; the test of allocations brings a counter that does not mix.
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1 \
    python -m pytest -q -p no:cacheprovider --deselect tests/test_loops.py
