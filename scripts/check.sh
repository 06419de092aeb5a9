#!/bin/sh
# Installs what is missing, builds with gcc and runs every test; builds with clang, where it is there, and runs the unit
# tests.  The last line counts what passed, failed and was skipped.
set -eu
cd "$(dirname "$0")/.."
. scripts/testing.sh

status=0
scripts/install-deps.sh check
build build-gcc -DCMAKE_C_COMPILER=gcc
run_tests build-gcc || status=1
if command -v clang >/dev/null; then
	build build-clang -DCMAKE_C_COMPILER=clang
	run_tests build-clang -L unit || status=1
fi
summary || status=1
exit $status
