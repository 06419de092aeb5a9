#!/bin/sh
# Installs what is missing, builds with gcc and runs every test; builds with clang, where it is there, and runs the unit
# tests.  The last line counts what passed, failed and was skipped.
set -eu
cd "$(dirname "$0")/.."
. scripts/testing.sh

status=0
scripts/install-deps.sh check
set --
build build-gcc gcc
run_tests build-gcc || status=1
if command -v clang >/dev/null; then
	build build-clang clang
	run_tests build-clang -L unit || status=1
else
	set -- "SKIPPED: the build with clang, which is not installed"
fi
summary "$@" || status=1
exit $status
