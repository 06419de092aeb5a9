#!/bin/sh
# usage: scripts/valgrind.sh
#
# Builds everything in a folder of its own and runs the unit tests under valgrind: no byte is used before it has a value,
# none is lost.
set -eu
cd "$(dirname "$0")/.."
. scripts/testing.sh

status=0
scripts/install-deps.sh valgrind
build build-valgrind gcc -DSTASIS_UNIT_LAUNCHER="valgrind;--quiet;--error-exitcode=99;--leak-check=full;\
--errors-for-leak-kinds=definite;--child-silent-after-fork=yes"
# One process for all tests of a file, so that what leaks is seen at its end.
export CK_FORK=no UNDER_VALGRIND=yes
run_tests build-valgrind -L unit || status=1
summary || status=1
exit $status
