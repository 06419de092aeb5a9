#!/bin/sh
# usage: scripts/valgrind.sh [BUILD_FOLDER]
#
# Runs the unit tests under valgrind: no byte is used before it has a value, none is lost.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}

command -v valgrind >/dev/null || { echo "valgrind is missing (Debian: apt-get install valgrind)"; exit 69; }
cmake -S . -B "$build" >/dev/null
cmake --build "$build" -j "$(nproc)"
failed=''
# Not here: the terminal's test, whose children stop and go on by job control, and the sandbox, which valgrind cannot be in.
# One process for all tests of a file (CK_FORK), so that what leaks is seen at its end.
for test in "$build"/tests/unit/*_test; do
	case ${test##*/} in
	terminal_test | sandbox_test) continue ;;
	esac
	(cd "$build/tests/unit" && CK_FORK=no valgrind --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
		--child-silent-after-fork=yes "./${test##*/}" </dev/null) || failed="$failed ${test##*/}"
done
[ -z "$failed" ] || { echo "failed under valgrind:$failed"; exit 1; }
