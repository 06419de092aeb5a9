#!/bin/sh
# usage: scripts/coverage.sh
#
# Runs all tests on a build for gcov and says how many lines of the program they reach, file by file.
set -eu
cd "$(dirname "$0")/.."

command -v gcovr >/dev/null || { echo "gcovr is missing (Debian: apt-get install gcovr)"; exit 69; }
cmake -S . -B build-coverage -DSTASIS_COVERAGE=ON >/dev/null
cmake --build build-coverage -j "$(nproc)"
find build-coverage -name '*.gcda' -delete
ctest --test-dir build-coverage --output-on-failure
gcovr --root . --object-directory build-coverage --filter vmm/ --filter snapshot/ --filter guest/guests.c
