#!/bin/sh
# usage: scripts/sanitize.sh address,undefined|thread
#
# Builds everything with the sanitizers in a folder of its own and runs all tests.
set -eu
cd "$(dirname "$0")/.."

case ${1:-} in
address,undefined) build='build-asan' ;;
thread) build='build-tsan' ;;
*) echo "usage: $0 address,undefined|thread" >&2; exit 64 ;;
esac
cmake -S . -B $build -DSTASIS_SANITIZE="$1" >/dev/null
cmake --build $build -j "$(nproc)"
# The crashes that tests provoke are the program's own to handle.  Where a tracer makes system calls fail, those of the
# sanitizers' runtimes fail too: the tests of faults are for other builds.
export ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0
export TSAN_OPTIONS=$ASAN_OPTIONS
ctest --test-dir $build --output-on-failure -LE faults
