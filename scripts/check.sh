#!/bin/sh
# Installs what is missing, builds with gcc and runs every test; builds with clang, where it is there, and runs the unit
# tests.  The last line counts what passed, failed and was skipped.
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)
results=
status=0

# check COMPILER CTEST-OPTION...: builds with the compiler and runs the tests that the options choose.
check() {
	compiler=$1
	shift
	echo "== building with $compiler"
	cmake -S . -B "build-$compiler" -DCMAKE_C_COMPILER="$compiler" >"build-$compiler.log" 2>&1 &&
		cmake --build "build-$compiler" -j "$jobs" >>"build-$compiler.log" 2>&1 || {
		cat "build-$compiler.log"
		exit 1
	}
	echo "== testing what $compiler built"
	results="$results build-$compiler/results.xml"
	rm -f "build-$compiler/results.xml"
	ctest --test-dir "build-$compiler" --output-on-failure -j "$jobs" --test-output-size-passed 1000000 \
		--output-junit results.xml "$@" || status=1
}

scripts/install-deps.sh check
check gcc
if command -v clang >/dev/null; then
	check clang -L unit
fi
echo "== summary"
# shellcheck disable=SC2086 # a list of files
scripts/ctest-summary.sh $results || status=1
exit $status
