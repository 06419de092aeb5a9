#!/bin/sh
# Fuzzes: builds the targets with clang and libFuzzer, and runs each for a time over the committed inputs and those that it
# found before (build-fuzz/corpus).
#
# Usage: scripts/fuzz.sh [SECONDS [TARGET...]]   each target so long (default 60)
#        scripts/fuzz.sh --ci                    the committed inputs, then 5 s of new ones each
#        scripts/fuzz.sh --until NUMBER [TARGET...]   a campaign: in turns, until each has so many executions
#        scripts/fuzz.sh --report                what all runs so far came to
#
# An input that broke something is kept in build-fuzz/findings and makes the exit status 1; minimise it
# (build-fuzz/tests/fuzz/fuzz_TARGET -minimize_crash=1 -runs=100000 FILE) and commit it as tests/fuzz/corpus/TARGET/found-WHAT.
set -eu
cd "$(dirname "$0")/.."

build="build-fuzz"
turn=120 # seconds of a target in a campaign
# Each target with the longest input that makes sense for it.
targets="snapshot:34816 records:256 chain:132 wire:12544 component:16384 xsave:12352 boot:8192 reg_name:96 options:1024 request:1024 terminal:128 devices:1024"

executions() {
	awk '/^stat::number_of_executed_units:/ { runs += $2 } END { printf "%d\n", runs }' "$build/log/$1" 2>/dev/null || echo 0
}

report() {
	printf '%-10s %14s %9s %8s %9s\n' target executions seconds edges findings
	for target in $targets; do
		name=${target%:*}
		[ -e "$build/log/$name" ] || continue
		awk -v name="$name" -v runs="$(executions "$name")" \
			-v findings="$(find "$build/findings" -name "$name-*" | wc -l)" '
			/^Done [0-9]+ runs in / { seconds += $5 }
			/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
			END { printf "%-10s %14d %9d %8d %9d\n", name, runs, seconds, edges, findings }' "$build/log/$name"
	done
}

# fuzz TARGET:LENGTH SECONDS: one run.  No few bytes may make the program take more memory than this.
fuzz() {
	name=${1%:*} length=${1#*:} seconds=$2
	mkdir -p "$build/corpus/$name"
	set -- "$build/corpus/$name" "tests/fuzz/corpus/$name"
	[ ! -e "tests/fuzz/$name.dict" ] || set -- "$@" "-dict=tests/fuzz/$name.dict"
	"$build/tests/fuzz/fuzz_$name" -max_len="$length" -max_total_time="$seconds" -rss_limit_mb=1024 -malloc_limit_mb=32 \
		-timeout=10 -reload=0 -print_final_stats=1 -artifact_prefix="$build/findings/$name-" "$@" >>"$build/log/$name" 2>&1 && return
	status=1
	echo "$name: broken; the end of $build/log/$name:"
	tail -n 30 "$build/log/$name"
}

# Turns until every target has so many executions, or one is broken.
campaign() {
	again=yes
	while [ -n "$again" ] && [ "$status" -eq 0 ]; do
		again=
		for target in $chosen; do
			[ "$(executions "${target%:*}")" -lt "$1" ] || continue
			fuzz "$target" "$turn"
			again=yes
		done
	done
}

usage() {
	sed -n '5,8s/^# *//p' "$0" >&2
	exit 64
}

seconds=60 until=
case ${1:-} in
--report)
	report
	exit 0
	;;
--ci) seconds=5 ;;
--until) until=${2:?the number of executions is missing} && shift ;;
*[!0-9]*) usage ;;
?*) seconds=$1 ;;
esac
[ $# -eq 0 ] || shift
chosen=
for target in $targets; do
	case " $* " in
	"  " | *" ${target%:*} "*) chosen="$chosen $target" ;;
	esac
done

scripts/install-deps.sh fuzz
mkdir -p "$build/findings" "$build/log"
{
	cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang -DSTASIS_FUZZ=ON &&
		cmake --build "$build" -j "$(nproc)" --target fuzz_targets
} >"$build/log/build" 2>&1 || {
	cat "$build/log/build"
	exit 1
}

# Memory that was freed is kept from use for the next 16 MiB of it, which is more than a hundred inputs take: the default of
# 256 MiB costs a page fault for every page that an input touches.
export ASAN_OPTIONS="quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
status=0
if [ -n "$until" ]; then
	campaign "$until"
else
	for target in $chosen; do
		fuzz "$target" "$seconds"
	done
fi
echo "== summary"
report
exit "$status"
