# A connection that is cut at the hand-over: who runs the guest then, and what its user can do.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
relay="exec:exec python3 $(dirname "$0")/migrate_relay.py $work/in"

start() { # a source and a receiver
	"$stasis" run --mem 8M --guest counter --control "$work/a" </dev/null >"$work/out.a" 2>"$work/err.a" &
	source=$!
	await_socket "$work/a"
	receive
}
receive() {
	"$stasis" receive --control "$work/b" "unix:$work/in" </dev/null >"$work/out.b" 2>"$work/err.b" &
	target=$!
	await_socket "$work/in"
}

# PREPARED does not arrive: the source has said nothing, and goes on; the target must not.
start
expect 74 "$stasis" ctl "$work/a" migrate "$relay 11 before"
complains_once 'the connection to the other side'
ended "$target" 74
check 'the target ran' [ ! -s "$work/out.b" ]
check 'the target does not say why' grep -q 'the connection to the other side is cut' "$work/err.b"
machine_is "$work/a" running

# COMMIT does not arrive: the source cannot know, and stands still; the target does not run.
receive
expect 74 "$stasis" ctl "$work/a" migrate "$relay 7 before"
complains_once 'in doubt: the target was told to run the guest, and did not answer'
ended "$target" 74
check 'the target ran' [ ! -s "$work/out.b" ]
machine_is "$work/a" in-doubt
expect 0 "$stasis" ctl "$work/a" resume
machine_is "$work/a" running

# COMMITTED does not arrive: the target runs, and the source stands still and can be ended.
receive
expect 74 "$stasis" ctl "$work/a" migrate "$relay 12 before"
complains_once 'in doubt'
machine_is "$work/a" in-doubt
await_socket "$work/b"
machine_is "$work/b" running
expect 0 "$stasis" ctl "$work/a" quit
ended "$source" 0
sleep 0.3
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0
cat "$work/out.a" "$work/out.b" >"$work/all"
check "$(tr '\n' ' ' <"$work/all")" [ "$(tr '\n' ' ' <"$work/all")" = "$(seq -s ' ' 0 $(($(wc -l <"$work/all") - 1))) " ]

# In doubt, a second migration moves it all the same.
start
expect 74 "$stasis" ctl "$work/a" migrate "$relay 7 before"
complains_once 'in doubt'
ended "$target" 74
receive
expect 0 "$stasis" ctl "$work/a" migrate "unix:$work/in"
prints '^moved to '
ended "$source" 0
machine_is "$work/b" running
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0
finish
