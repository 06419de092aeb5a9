#!/bin/sh
# usage: scripts/lint.sh [BUILD_FOLDER]
#
# Looks for mistakes that compilers let through: clang-tidy (.clang-tidy) and cppcheck over the program, shellcheck over
# the scripts.  All must find nothing.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build-lint}
scripts/install-deps.sh lint
cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang >/dev/null # for the compiler's options, which clang-tidy must know

files() {
	git ls-files 'vmm/*.c' 'snapshot/*.c' 'guest/guests.c'
}

tidy() {
	# What it counts but does not show is in the system's headers.
	files | xargs -n 4 -P "$(nproc)" clang-tidy -p "$build" --quiet 2>"$build/clang-tidy.log" && return
	grep -v '^[0-9]* warnings\{0,1\} generated\.$' "$build/clang-tidy.log"
	return 1
}

check_c() {
	files | cppcheck --file-list=- --std=c11 --quiet --error-exitcode=1 -j "$(nproc)" \
		--enable=warning,performance,portability --inline-suppr --suppress=missingIncludeSystem --library=posix,gnu -I . \
		-D__x86_64__ -D__linux__ -DSTASIS_VERSION='""'
}

check_shell() {
	git ls-files 'scripts/*.sh' tests/layers.sh .ci/run | xargs shellcheck --severity=warning
}

status=0
# run TOOL FUNCTION: notes what it came to, and goes on.
results=
run() {
	echo "== $1"
	if "$2"; then
		results="$results$1: nothing found
"
	else
		status=1
		results="${results}FAILED: $1
"
	fi
}

run clang-tidy tidy
run cppcheck check_c
run shellcheck check_shell
echo "== summary"
printf %s "$results"
exit $status
