#!/bin/sh
# usage: scripts/sanitize.sh address,undefined|thread
#
# Builds everything with the sanitizers in a folder of its own and runs all tests.
set -eu
cd "$(dirname "$0")/.."
. scripts/testing.sh

case ${1:-} in
address,undefined) folder='build-asan' ;;
thread) folder='build-tsan' ;;
*) echo "usage: $0 address,undefined|thread" >&2; exit 64 ;;
esac
status=0
scripts/install-deps.sh check
build $folder gcc -DSTASIS_SANITIZE="$1"
# The crashes that tests provoke are the program's own to handle.
export ASAN_OPTIONS=handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_abort=0
export TSAN_OPTIONS=$ASAN_OPTIONS
export CK_TIMEOUT_MULTIPLIER=3 # they are slow
run_tests $folder || status=1
summary || status=1
exit $status
