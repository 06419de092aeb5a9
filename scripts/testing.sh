# Building and testing in a folder; what check.sh, sanitize.sh and coverage.sh share.
# shellcheck shell=sh

jobs=$(nproc)
results='' # what ctest wrote, for summary

# build FOLDER COMPILER CMAKE-OPTION...: says nothing where it succeeds, and ends the script where it fails.
# The compiler is that of a folder for ever: where CMake is told another one it forgets all other options.
build() {
	folder=$1 compiler=$2
	shift 2
	echo "== building $folder"
	mkdir -p "$folder"
	{ CC=$compiler cmake -S . -B "$folder" "$@" && cmake --build "$folder" -j "$jobs"; } >"$folder/build.log" 2>&1 && return
	cat "$folder/build.log"
	exit 1
}

# run_tests FOLDER CTEST-OPTION...: those that the options choose.  Status 1 where one fails.
run_tests() {
	folder=$1
	shift
	echo "== testing $folder"
	results="$results $folder/results.xml"
	rm -f "$folder/results.xml"
	ctest --test-dir "$folder" --output-on-failure -j "$jobs" --test-output-size-passed 1000000 --output-junit results.xml "$@"
}

# summary [LINE]...: these, and what came of all tests; status 1 where one failed or none ran.
summary() {
	echo "== summary"
	[ $# -eq 0 ] || printf '%s\n' "$@"
	# shellcheck disable=SC2086 # a list of files
	scripts/ctest-summary.sh $results
}
