# stasis receive: where it waits, what it refuses, and that nothing is left behind.  Moves are cli/control_migrate's.
. "$(dirname "$0")/lib.sh"
need_kvm
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
printf 'STAM\2\0\1\0this is version 2 of it..' >"$input"
expect 65 "$stasis" receive -
complains_once 'the other side speaks version 2 of the protocol, this program 1'
check 'no refusal was sent' grep -aq 'STAM.*the other side speaks version 2' "$out"
input=/dev/null
expect 74 "$stasis" receive - # /dev/null is at its end
complains_once 'the connection to the other side is cut'

# A socket that only its owner may connect to; one connection, and it is gone.
last='receive unix:SOCKET'
timeout 60 "$stasis" receive "unix:$socket" >"$out" 2>"$err" &
receiver=$!
for _ in $(seq 200); do
	[ ! -S "$socket" ] || break
	sleep 0.05
done
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
finish
