# What the tests of crash safety share.  From ctest: STASIS, the program; FAULT_RUN, REWRITE and PTY_RUN, tools of ours.
set -u
LC_ALL=C
export LC_ALL
ulimit -c 0

work=$(mktemp -d "${TMPDIR:-/tmp}/stasis-faults.XXXXXX") || exit 1
trap 'umount "$work/folder" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
folder=$work/folder # has the snapshot and nothing else
file=$folder/F
mkdir "$folder" || exit 1
nr_cases=0
nr_failed=0
for tool in "$STASIS" "$FAULT_RUN" "$REWRITE" "$PTY_RUN"; do
	[ -x "$tool" ] || { echo "$tool is missing"; exit 1; }
done

skip() {
	printf 'SKIPPED: %s\n' "$*"
	exit 77
}

skip_case() { # of several: the others still count
	printf 'SKIPPED: %s\n' "$*"
}

need_kvm() {
	[ -r /dev/kvm ] && [ -w /dev/kvm ] || skip "/dev/kvm is missing or may not be opened"
}

fail() {
	nr_failed=$((nr_failed + 1))
	printf 'FAILED: %s: %s\n' "$case" "$*"
	[ ! -s "$work/err" ] || head -c 600 "$work/err"
}

begin() { # begin NAME: a case; what fails until the next one is told with it
	case=$*
	nr_cases=$((nr_cases + 1))
}

finish() {
	printf '%d cases, %d failures\n' "$nr_cases" "$nr_failed"
	[ "$nr_cases" -gt 0 ] && [ "$nr_failed" -eq 0 ]
	exit
}

# A guest that is small and quick: one round before its snapshot, one after it.
guest='--guest memory --mem 4M'
short='pages=2 rounds=2'
endless='pages=8 rounds=0 delay=5'
running='pages=8 rounds=10 delay=10'

# What stands in $file before each case, and is good.
make_old() {
	timeout 20 "$STASIS" run $guest --append "$short" --snapshot "$work/old" --at checkpoint=1 >"$work/out" 2>"$work/err" ||
		{ cat "$work/err"; exit 1; }
	put_old
}
put_old() {
	cp --sparse=always "$work/old" "$file" || exit 1
}

# save COMMAND...: takes a snapshot onto $file, by "COMMAND... stasis run", and lets the guest go on; leaves $status.
# $way: of a guest that stands still (whole), of one that runs (live), or what changed since $work/base (incremental).
# Without the sandbox: a system call that the injector turns away is one that the filter does not know.
way=whole
save() {
	case $way in
	whole) set -- "$@" "$STASIS" run $guest --append "$short" --at checkpoint=1 ;;
	live) set -- "$@" "$STASIS" run $guest --append "$running" --at after=30ms ;;
	incremental) set -- "$@" "$STASIS" restore "$work/base" --incremental --at exits=5 ;;
	esac
	timeout 20 "$@" --no-sandbox --snapshot "$file" --continue >"$work/out" 2>"$work/err" </dev/null
	status=$?
}

is_old() {
	cmp -s "$work/old" "$file"
}
is_good() {
	[ "$("$STASIS" verify "$file" 2>&1)" = "$file: good" ]
}

# The snapshot in $file is the old one or a new one, and whole.
expect_whole() {
	is_old || is_good || fail "neither the old nor a new snapshot is whole"
}
expect_nothing_else() {
	[ "$(ls -A "$folder")" = F ] || fail "left in the folder: $(ls -A "$folder" | tr '\n' ' ')"
}

# The guest ran to its end, and one sentence said what came of its snapshot.
expect_guest_went_on() {
	[ "$status" -eq 1 ] || fail "exit status $status, expected the guest's 1"
	[ "$(tail -n 1 "$work/out")" = 'memory: all as written' ] || fail "the guest did not come to its end"
	[ "$(wc -l <"$work/err")" -eq 1 ] || fail "not one line on standard error"
}
expect_no_snapshot() { # expect_no_snapshot WHY
	expect_guest_went_on
	grep -q "^stasis: no snapshot: .*$1.*; the guest goes on\$" "$work/err" || fail "standard error does not say: $1"
}

wait_for() { # wait_for COMMAND...: until it succeeds, for ten seconds at most
	tries=0
	while ! "$@"; do
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || return 1
		sleep 0.05
	done
}
