#!/bin/sh
# Installs what is missing, builds with gcc and runs every test; builds with clang, where it is there, and runs the unit
# tests.  The last line counts what passed, failed and was skipped.
set -eu
cd "$(dirname "$0")/.."

jobs=$(nproc)
results=''
status=0

build() {
	cmake -S . -B "build-$1" -DCMAKE_C_COMPILER="$1" && cmake --build "build-$1" -j "$jobs"
}

# check COMPILER CTEST-OPTION...: builds with the compiler and runs the tests that the options choose.
check() {
	compiler=$1
	shift
	echo "== building with $compiler"
	mkdir -p "build-$compiler"
	if ! build "$compiler" >"build-$compiler/build.log" 2>&1; then
		cat "build-$compiler/build.log"
		exit 1
	fi
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
