#!/bin/sh
# Fuzzes: builds the targets with clang and libFuzzer, and runs each for a time over the committed inputs and those that it
# found before (build-fuzz/corpus).
#
# Usage: scripts/fuzz.sh [SECONDS [TARGET...]]   each target so long (default 60)
#        scripts/fuzz.sh --ci                    the committed inputs, then 5 s of new ones each
#        scripts/fuzz.sh --report                what the runs so far came to
#
# An input that broke something is kept in build-fuzz/findings and makes the exit status 1; minimise it
# (build-fuzz/tests/fuzz/fuzz_TARGET -minimize_crash=1 -runs=100000 FILE) and commit it as tests/fuzz/corpus/TARGET/found-WHAT.
set -eu
cd "$(dirname "$0")/.."

build=build-fuzz
# Target and the longest input that makes sense for it.
targets="snapshot:24576 records:512 component:16384 xsave:12352 boot:8192 reg_name:96 options:1024 terminal:128 devices:1024"

# Executions, time and findings of all runs, from libFuzzer's own last lines.
report() {
	printf '%-10s %14s %9s %8s %9s\n' target executions seconds edges findings
	for target in $targets; do
		name=${target%:*}
		[ -e "$build/log/$name" ] || continue
		awk -v name="$name" -v findings="$(find "$build/findings" -name "$name-*" | wc -l)" '
			/^stat::number_of_executed_units:/ { runs += $2 }
			/^run of / { seconds += $3 }
			/ cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
			END { printf "%-10s %14d %9d %8d %9d\n", name, runs, seconds, cov, findings }' "$build/log/$name"
	done
}

# fuzz TARGET LENGTH SECONDS: one run.  A few bytes must not make the program take more memory than this.
fuzz() {
	inputs=tests/fuzz/corpus/$1
	dictionary=tests/fuzz/$1.dict
	mkdir -p "$build/corpus/$1"
	echo "run of $3 s" >>"$build/log/$1"
	set -- "$1" "$2" "$3" "$build/corpus/$1" "$inputs"
	[ ! -e "$dictionary" ] || set -- "$@" "-dict=$dictionary"
	name=$1 length=$2 time=$3
	shift 3
	"$build/tests/fuzz/fuzz_$name" -max_len="$length" -max_total_time="$time" -rss_limit_mb=1024 -malloc_limit_mb=32 \
		-timeout=10 -print_final_stats=1 -artifact_prefix="$build/findings/$name-" "$@" >>"$build/log/$name" 2>&1
}

seconds=60
case ${1:-} in
--report)
	report
	exit 0
	;;
--ci) seconds=5 ;;
*[!0-9]*)
	sed -n '5,7s/^# *//p' "$0" >&2
	exit 64
	;;
?*) seconds=$1 ;;
esac
[ $# -eq 0 ] || shift

scripts/install-deps.sh fuzz
mkdir -p "$build/findings" "$build/log"
{
	cmake -S . -B "$build" -DCMAKE_C_COMPILER=clang -DSTASIS_FUZZ=ON &&
		cmake --build "$build" --target fuzz_targets
} >"$build/log/build" 2>&1 || {
	cat "$build/log/build"
	exit 1
}

status=0
for target in $targets; do
	name=${target%:*}
	case " $* " in
	"  " | *" $name "*) ;;
	*) continue ;;
	esac
	if ! fuzz "$name" "${target#*:}" "$seconds"; then
		status=1
		echo "$name: broken; the end of $build/log/$name:"
		tail -n 30 "$build/log/$name"
	fi
done
report
exit $status
