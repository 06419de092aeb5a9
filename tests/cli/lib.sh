# What the command-line tests share.  A test sources this file, runs commands with expect, looks at what they printed
# with the other checks, and ends with finish.  Every check goes on after a failure, so that one run tells them all.
#
# From ctest: STASIS, the program; STASIS_BUILD, the build folder.

set -u
LC_ALL=C
export LC_ALL
ulimit -c 0

stasis=$STASIS
images=$STASIS_BUILD/tests/images
guest_images=$STASIS_BUILD/guest
tools=$STASIS_BUILD/tests/tools

work=$(mktemp -d "${TMPDIR:-/tmp}/stasis-cli.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
out=$work/out
err=$work/err
input=/dev/null # standard input of what expect runs
nr_checks=0
nr_failed=0
last=

# Reasons to skip a whole test; ctest counts it as skipped.
skip() {
	printf 'SKIPPED: %s\n' "$*"
	exit 77
}

need_kvm() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip "/dev/kvm is missing or may not be opened"
}

need() {
	command -v "$1" >/dev/null || skip "there is no $1 here"
}

# Sets $full to a device that is always full: our own where we may make one, for /dev/full may have been replaced.
need_full() {
	full=$work/full
	{ mknod "$full" c 1 7 && true >"$full"; } 2>/dev/null || full=/dev/full
	[ -c "$full" ] || skip "there is no /dev/full"
}

check() { # check WHAT COMMAND...: the command must succeed
	check_what=$1
	shift
	nr_checks=$((nr_checks + 1))
	if "$@"; then
		return
	fi
	nr_failed=$((nr_failed + 1))
	printf 'FAILED %d: %s\n  command: %s\n' "$nr_checks" "$check_what" "$last"
	[ ! -s "$out" ] || { printf '  standard output:\n'; tail -c 1500 "$out" | sed 's/^/    /'; }
	[ ! -s "$err" ] || { printf '  standard error:\n'; tail -c 1500 "$err" | sed 's/^/    /'; }
}

finish() {
	printf '%d checks, %d failed\n' "$nr_checks" "$nr_failed"
	[ "$nr_checks" -gt 0 ] && [ "$nr_failed" -eq 0 ]
	exit
}

# Waits for a socket, which its process makes when it is ready.
await_socket() { # await_socket PATH
	for _ in $(seq 600); do
		[ ! -S "$1" ] || return 0
		sleep 0.05
	done
	check "there is no socket $1" false
}

# Of a process in the background.
ended() { # ended PROCESS STATUS
	wait "$1"
	ended_status=$?
	check "it ended with $ended_status, expected $2" [ "$ended_status" -eq "$2" ]
}

# Runs a command, with what it prints in $out and $err; its exit status must be the first argument.
expect() {
	wanted=$1
	shift
	last=$*
	timeout 60 "$@" <"$input" >"$out" 2>"$err"
	status=$?
	check "exit status $status, expected $wanted" [ "$status" -eq "$wanted" ]
}

# Runs a command whose guest never ends, until it has printed so many lines; nobody reads what follows.
expect_lines() {
	nr_lines=$1
	shift
	last=$*
	timeout 60 "$@" <"$input" 2>"$err" | head -n "$nr_lines" >"$out"
	check "fewer than $nr_lines lines" [ "$(wc -l <"$out")" -eq "$nr_lines" ]
}

# Extended regular expressions that a line must match.
prints() {
	check "nothing on standard output matches: $1" grep -Eq -e "$1" "$out"
}
prints_not() {
	check "something on standard output matches: $1" lacks "$1" "$out"
}
complains() {
	check "nothing on standard error matches: $1" grep -Eq -e "$1" "$err"
}
complains_not() {
	check "something on standard error matches: $1" lacks "$1" "$err"
}
lacks() {
	! grep -Eq -e "$1" "$2"
}

# All of standard output.
prints_exactly() {
	printf "$1" >"$work/wanted"
	check "standard output is not exactly: $1" cmp -s "$work/wanted" "$out"
}
prints_last() {
	check "the last line of standard output does not match: $1" last_line_matches "$1"
}
last_line_matches() {
	tail -n 1 "$out" | grep -Eq -e "$1"
}
prints_nothing() {
	check "something on standard output" [ ! -s "$out" ]
}
complains_nothing() {
	check "something on standard error" [ ! -s "$err" ]
}

# One sentence on standard error, and it is ours.
complains_once() {
	check "standard error is not one line" [ "$(wc -l <"$err")" -eq 1 ]
	complains "^stasis: .*$1"
}

# Takes a snapshot of a guest: snapshot FILE GUEST OPTION...
snapshot() {
	snapshot_file=$1
	snapshot_guest=$2
	shift 2
	expect 0 "$stasis" run --mem 8M --guest "$snapshot_guest" --snapshot "$snapshot_file" "$@"
}

# Changes a snapshot by name: edit IN OUT KIND NAME VALUE...
edit() {
	expect 0 "$tools/snapshot_edit" "$@"
}

machine_is() { # machine_is SOCKET WORD: by its own account
	expect 0 "$stasis" ctl "$1" status
	prints "^machine: $2\$"
}
