#!/bin/sh
# usage: scripts/pingpong.sh [MOVES [CPUS [STASIS [WAY]]]]    (1000 moves, 4 vCPUs, build/stasis, pre-copy; or post-copy)
#
# Moves a guest to and fro between processes, by Unix sockets and ctl, with all RAM read once more at both ends each time.  The
# guest is memory-smp: its vCPUs write and verify memory without a pause, in rounds that all of them end before one begins
# the next; the first one prints a line each.  After each move
#  - the source has ended well, and says that the machine has moved,
#  - the guest has done a whole round at the target,
#  - the lines go on where the source's ended: none is missing, none comes twice.
# By post-copy the guest goes over after one round, and what it wrote meanwhile follows it.
# A guest that finds a word otherwise than it wrote it says so and ends, which is no line and no move.
#
# The first check that fails ends it with status 1; what there is to look into is then kept, and the last line names its folder.
# Otherwise nothing stays.
set -eu
cd "$(dirname "$0")/.."

moves=${1:-1000} cpus=${2:-4} stasis=${3:-build/stasis} way=${4:-pre-copy}
case "$moves $cpus,$way" in
*[!0-9\ ]*,* | 0* | *' 0'* | *' ,'*) way= ;;
# Whatever the link takes: a slow one makes no move fail.
*,pre-copy) how='--downtime 100s' ;;
# The round takes so long that the guest writes meanwhile.
*,post-copy) how='--post-copy --rounds 1 --bandwidth 4M --downtime 1ms' ;;
*) way= ;;
esac
[ -n "$way" ] || {
	sed -n '2s/^# *//p' "$0" >&2
	exit 64
}
[ -x "$stasis" ] || {
	echo "pingpong: $stasis: no program; make builds it" >&2
	exit 66
}
[ -r /dev/kvm ] && [ -w /dev/kvm ] || {
	echo "SKIPPED: /dev/kvm is missing or may not be opened"
	exit 77
}

tick=0.02       # s between two looks
looks=6000      # before something that has to come is missed
folder=$(mktemp -d "${TMPDIR:-/tmp}/stasis-pingpong.XXXXXX")
nr=0            # moves made; its process is $has, its files are control.$nr, out.$nr and err.$nr
has='' next=''  # processes: that has the machine, that is to have it
rounds=0        # lines of rounds so far

# end PROCESS...: that may have ended already
end() {
	for process; do
		kill "$process" 2>/dev/null || :
		wait "$process" 2>/dev/null || :
	done
}

# shellcheck disable=SC2086 # none, one or two processes
clear_up() {
	end $has $next
	rm -rf "$folder"
}
trap clear_up EXIT
trap 'exit 130' HUP INT TERM

# fail WHAT: keeps the machine, wherever it is, and what was said.
# shellcheck disable=SC2086
fail() {
	trap - EXIT
	for control in "$folder"/control.*; do
		number=${control##*.}
		timeout 60 "$stasis" ctl "$control" status >"$folder/status.$number" 2>&1 || :
		timeout 60 "$stasis" ctl "$control" snapshot "$folder/machine.$number" >"$folder/snapshot.$number" 2>&1 || :
	done
	end $has $next
	for file in client "err.$nr" "err.$((nr + 1))" "out.$nr" "out.$((nr + 1))"; do
		[ ! -s "$folder/$file" ] || tail -n 5 "$folder/$file" | awk -v file="$file" '{ print file ": " $0 }' # ends a last line, too
	done
	echo "FAILED: move $((nr + 1)) of $moves, $cpus vCPUs: $1"
	echo "kept: $folder (console: what was printed before; out.N, err.N: by the last processes; machine.N: a snapshot)"
	exit 1
}

# await PROCESS WHAT COMMAND...: until the command succeeds, which takes the process.
await() {
	process=$1 what=$2
	shift 2
	for _ in $(seq "$looks"); do
		! "$@" || return 0
		kill -0 "$process" 2>/dev/null || fail "$what, and its process has ended"
		sleep "$tick"
	done
	fail "$what"
}

# start NUMBER ARGUMENT...: the process of this number
start() {
	number=$1
	shift
	: >"$folder/out.$number"
	"$stasis" "$@" --control "$folder/control.$number" </dev/null >"$folder/out.$number" 2>"$folder/err.$number" &
	next=$!
}

# The first line ends the round that the guest came with; the second one is of a round here.
has_round() {
	[ "$(wc -l <"$folder/out.$nr")" -ge 2 ]
}

# Takes the lines of the process $nr, which has ended, to those before: round 0, 1, 2, ...
take_lines() {
	cat "$folder/out.$nr" >>"$folder/rest"
	lines=$(wc -l <"$folder/rest")
	head -n "$lines" "$folder/rest" >"$folder/whole"
	tail -n +$((lines + 1)) "$folder/rest" >"$folder/rest.new" # a line that the target ends
	awk -v next_round="$rounds" '
		/^memory: / && next_round == 0 { next }
		$0 != "round " next_round { print "expected round " next_round ", found " $0; bad = 1; exit }
		{ next_round++ }
		END { if (!bad) print next_round }' "$folder/whole" >"$folder/next_round"
	read -r found <"$folder/next_round"
	case $found in
	*[!0-9]*) fail "the console: $found" ;;
	esac
	rounds=$found
	cat "$folder/whole" >>"$folder/console"
	mv "$folder/rest.new" "$folder/rest"
	rm "$folder/out.$nr" "$folder/err.$nr"
}

# The machine goes to a new process.
move() {
	start $((nr + 1)) receive "unix:$folder/in"
	await "$next" 'the receiver does not listen' [ -S "$folder/in" ]
	# shellcheck disable=SC2086 # words
	timeout 300 "$stasis" ctl "$folder/control.$nr" migrate "unix:$folder/in" --verify-memory $how \
		>"$folder/client" 2>&1 || fail "ctl migrate ended with status $?"
	wait "$has" || fail "the source ended with status $?"
	grep -q '^stasis: moved to unix:' "$folder/err.$nr" || fail 'the source does not say that the machine has moved'
	sed -n 's/^moved to .*guest paused for \([0-9.]*\) ms.*/\1/p' "$folder/client" >>"$folder/pauses"
	sed -n 's/^moved to .*; \([0-9]*\) pages came after it.*/\1/p' "$folder/client" >>"$folder/followed"
	take_lines
	nr=$((nr + 1)) has=$next next=
	await "$has" 'the guest does no round at the target' has_round
}

# One line on a terminal, else one for each tenth.
progress() {
	if [ -t 1 ]; then
		printf '\r\033[K%d of %d moves, %d rounds verified' "$nr" "$moves" "$rounds"
	elif [ $((nr * 10 / moves)) -gt $(((nr - 1) * 10 / moves)) ]; then
		echo "$nr of $moves moves, $rounds rounds verified"
	fi
}

summary() {
	[ ! -t 1 ] || printf '\r\033[K'
	followed=$(awk '{ pages += $1 } END { print pages + 0 }' "$folder/followed")
	[ "$way" = pre-copy ] || [ "$followed" -gt 0 ] || fail 'no page came after the guest'
	sort -n "$folder/pauses" | awk -v moves="$moves" -v cpus="$cpus" -v rounds="$rounds" -v way="$way" -v followed="$followed" '
		{ pause[NR] = $1 }
		END {
			printf "%d moves of a guest with %d vCPUs, 0 failed checks\n", moves, cpus
			printf "all RAM read once more at both ends %d times; %d rounds of the guest, each found its memory as written\n", moves, rounds
			if (way == "post-copy")
				printf "%d pages came after it\n", followed
			printf "the guest stood still for %s ms (median), %s ms (largest)\n", pause[int((NR + 1) / 2)], pause[NR]
		}'
}

start 0 run --guest memory-smp --mem 8M --cpus "$cpus" --append 'rounds=0 together'
has=$next next=
await "$has" 'the guest does no round' has_round
while [ "$nr" -lt "$moves" ]; do
	move
	progress
done
timeout 60 "$stasis" ctl "$folder/control.$nr" quit >"$folder/client" 2>&1 || fail "ctl quit ended with status $?"
wait "$has" || fail "the last process ended with status $?"
has=
take_lines
summary
