# stasis receive: where it waits, what it refuses, that nothing is left behind, and --clock.  Moves are cli/control_migrate's.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
socket=$work/in

expect 64 "$stasis" receive
expect 64 "$stasis" receive http://here
complains_once 'expected unix:PATH, tcp:HOST:PORT, exec:COMMAND, fd:N or -'
expect 64 "$stasis" receive tcp:192.0.2.1:4000
complains_once 'tcp:192.0.2.1:4000: not this host.*--insecure-tcp'
expect 64 "$stasis" receive fd:77
complains_once 'fd:77: '
expect 64 "$stasis" receive - --snapshot -
complains_once "standard output is the source's connection"
echo kept >"$socket"
expect 73 "$stasis" receive "unix:$socket"
complains_once 'something else than a socket'
check 'the file was changed' [ "$(cat "$socket")" = kept ]
rm "$socket"

# A source that is none, that says nothing, that stops in the middle of a word.
expect 65 "$stasis" receive 'exec:echo GET / HTTP/1.0 and more than a header has'
complains_once 'what came is no message of a migration'
prints_nothing
expect 74 "$stasis" receive exec:true
complains_once 'the connection to the other side is cut'
expect 74 "$stasis" receive 'exec:printf STAM'
complains_once 'the connection to the other side is cut'
input=$work/words
printf 'STAM\143\0\1\0this is version 99 of it.' >"$input"
expect 65 "$stasis" receive -
complains_once 'the other side speaks version 99 of the protocol, this program 3'
check 'no refusal was sent' grep -aq 'STAM.*the other side speaks version 99' "$out"
input=/dev/null
expect 74 "$stasis" receive - # /dev/null is at its end
complains_once 'the connection to the other side is cut'

# A socket that only its owner may connect to; one connection, and it is gone.
last='receive unix:SOCKET'
timeout 60 "$stasis" receive "unix:$socket" >"$out" 2>"$err" &
receiver=$!
await_socket "$socket"
check 'mode 0600' [ "$(stat -c %a "$socket")" = 600 ]
expect 73 "$stasis" receive "unix:$socket"
complains_once 'another process listens there'
kill "$receiver"
wait "$receiver"
check 'a killed receiver leaves its socket' [ -S "$socket" ]
last='receive unix:SOCKET, stale'
timeout 1 "$stasis" receive "unix:$socket" >"$out" 2>"$err"
check 'it was not replaced' [ $? -eq 124 ]
complains_nothing
rm "$socket"

# --clock: the state stays on its way for a while.  What the guest's clock knows of that, the snapshots before and behind the move
# tell, which have the host's time as well; the guest looks whether any clock goes back.
on_its_way_s=3
clock_field() { # clock_field FILE NAME: in ns
	echo $(($("$stasis" inspect "$1" clock | sed -n "s/^vm clock $2 = \(0x[0-9a-f]*\).*/\1/p")))
}
moves_by() { # moves_by POLICY: sets $lost_ms, which the clock does not know of
	rm -f "$work/before" "$work/behind"
	"$stasis" run --mem 8M --guest clock --cpus 4 --append start=20000 --control "$work/a" </dev/null >"$work/a.out" 2>&1 &
	source=$!
	await_socket "$work/a"
	"$stasis" receive --clock "$1" "unix:$socket" --control "$work/b" </dev/null >"$work/b.out" 2>"$work/b.err" &
	receiver=$!
	await_socket "$socket"
	expect 0 "$stasis" ctl "$work/a" snapshot "$work/before"
	expect 0 "$stasis" ctl "$work/a" migrate \
		"exec:exec python3 '$(dirname "$0")/migrate_relay.py' '$socket' 6 $on_its_way_s" # STATE
	wait "$source"
	await_socket "$work/b"
	expect 0 "$stasis" ctl "$work/b" snapshot "$work/behind"
	clock_ns=$(($(clock_field "$work/behind" clock) - $(clock_field "$work/before" clock)))
	time_ns=$(($(clock_field "$work/behind" realtime) - $(clock_field "$work/before" realtime)))
	lost_ms=$(((time_ns - clock_ns) / 1000000))
	wait "$receiver"
	ended=$?
	last="receive --clock $1"
	cp "$work/b.out" "$out"
	cp "$work/b.err" "$err"
	check "the guest ended with $ended" [ "$ended" -eq 1 ]
	prints_last '^clock: all as expected'
}
moves_by continue
check "its clock went on by $lost_ms ms less than time" [ "$lost_ms" -ge ${on_its_way_s}000 ]
complains_not 'moved on'
moves_by realtime
check "its clock went on by $lost_ms ms less than time" [ "${lost_ms#-}" -lt 1000 ]
complains '^translated: vm clock clock: 0x[0-9a-f]+ -> 0x[0-9a-f]+; moved on by the time since the snapshot$'
finish
