#!/bin/sh
# usage: scripts/coverage.sh
#
# Runs all tests on a build for gcov and says how many lines of the program they reach, file by file.
set -eu
cd "$(dirname "$0")/.."
. scripts/testing.sh

status=0
scripts/install-deps.sh check coverage
build build-coverage gcc -DSTASIS_COVERAGE=ON
find build-coverage -name '*.gcda' -delete
run_tests build-coverage || status=1
gcovr --root . --object-directory build-coverage --filter vmm/ --filter snapshot/ --filter guest/guests.c
summary || status=1
exit $status
