#!/bin/sh
# usage: scripts/lint.sh [BUILD_FOLDER]
#
# Looks for mistakes that compilers let through: clang-tidy (.clang-tidy) and cppcheck over the program, shellcheck over
# the scripts where it is there.  All must find nothing.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}

for tool in clang-tidy cppcheck; do
	command -v $tool >/dev/null || { echo "$tool is missing (Debian: apt-get install $tool)"; exit 69; }
done
cmake -S . -B "$build" >/dev/null

echo "clang-tidy"
git ls-files -z 'vmm/*.c' 'snapshot/*.c' 'guest/guests.c' | xargs -0 -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet

echo "cppcheck"
git ls-files 'vmm/*.c' 'snapshot/*.c' 'guest/guests.c' | cppcheck --file-list=- --std=c11 --quiet --error-exitcode=1 -j "$(nproc)" \
	--enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem --library=posix,gnu -I . \
	-D__x86_64__ -D__linux__ -DSTASIS_VERSION='""'

if command -v shellcheck >/dev/null; then
	echo "shellcheck"
	git ls-files -z 'scripts/*.sh' tests/layers.sh .ci/run | xargs -0 shellcheck --severity=warning
fi
