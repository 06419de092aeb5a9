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
ctest --test-dir $build --output-on-failure
