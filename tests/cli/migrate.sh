# Moves between processes: by each kind of connection, of guests that verify themselves, to and fro.
. "$(dirname "$0")/lib.sh"
need_kvm
pingpong=$(dirname "$0")/../../scripts/pingpong.sh
nr=0 # of the process that has the machine: its control socket is $work/control.NR

# Starts a source of that guest; what the processes print is in $work/out.NR and $work/err.NR.
source_of() {
	nr=0
	"$stasis" run --mem 8M --control "$work/control.0" "$@" </dev/null >"$work/out.0" 2>"$work/err.0" &
	has=$!
	await_socket "$work/control.0"
}

receiver() { # receiver URI OPTION...: the next process
	"$stasis" receive --control "$work/control.$((nr + 1))" "$@" </dev/null >"$work/out.$((nr + 1))" \
		2>"$work/err.$((nr + 1))" &
	next=$!
}

# The machine goes to the receiver, and its process ends well.
moves_to() { # moves_to URI OPTION...
	expect 0 timeout 60 "$stasis" ctl "$work/control.$nr" migrate "$@"
	prints '^moved to .*: .* MiB for 8.0 MiB of RAM in [0-9]+ rounds, guest paused for [0-9.]+ ms$'
	wait "$has"
	ended=$?
	check "the source ended with $ended" [ "$ended" -eq 0 ]
	has=$next
	nr=$((nr + 1))
}

quit() {
	expect 0 "$stasis" ctl "$work/control.$nr" quit
	wait "$has"
}

# All that was printed is 0, 1, 2, ... without a gap.
counted() {
	cat $(seq -f "$work/out.%g" 0 "$nr") >"$work/all"
	check "$(tr '\n' ' ' <"$work/all")" [ "$(tr '\n' ' ' <"$work/all")" = "$(seq -s ' ' 0 $(($(wc -l <"$work/all") - 1))) " ]
}

source_of --guest counter
receiver "unix:$work/in"
await_socket "$work/in"
moves_to "unix:$work/in"
check 'the socket is still there' [ ! -e "$work/in" ]
last='ctl migrate exec:stasis receive -'
expect 0 "$stasis" ctl "$work/control.1" migrate \
	"exec:exec $stasis receive - --control $work/control.2 2>$work/out.2" --verify-memory
wait "$has"
nr=2
await_socket "$work/control.2"
sleep 0.3
expect 0 "$stasis" ctl "$work/control.2" quit
counted

# A port that is free.
source_of --guest counter --irqchip split
port=$((20000 + $$ % 20000))
receiver "tcp:localhost:$port"
for _ in $(seq 400); do # its socket in state 0A, which listens (proc(5), net/tcp)
	! grep -q "^ *[0-9]*: 0100007F:$(printf %04X "$port") 00000000:0000 0A" /proc/net/tcp || break
	sleep 0.05
done
moves_to "tcp:127.0.0.1:$port"
sleep 0.3
quit
counted

# A guest that comes to its end at the target, which ends with its status; together they print what it prints at home.  Its
# delays are what it takes longest for, however fast the host is: time to move it.
takes_time='pages=8 rounds=60 delay=30'
expect 1 "$stasis" run --mem 8M --guest memory --append "$takes_time"
cp "$out" "$work/home"
source_of --guest memory --append "$takes_time"
receiver "unix:$work/in"
await_socket "$work/in"
moves_to "unix:$work/in"
wait "$has"
ended=$?
check "the guest ended with $ended" [ "$ended" -eq 1 ]
cat "$work/out.0" "$work/out.1" >"$work/all"
check 'it printed something else than at home' cmp -s "$work/home" "$work/all"

# One that was restored, whose memory is mapped from the file, and whose writes are known besides for the next snapshot.
snapshot "$work/snap" memory --append "$takes_time" --at checkpoint
nr=0
"$stasis" restore --control "$work/control.0" --incremental "$work/snap" </dev/null >"$work/out.0" 2>"$work/err.0" &
has=$!
await_socket "$work/control.0"
receiver "unix:$work/in"
await_socket "$work/in"
moves_to "unix:$work/in" --verify-memory
wait "$has"
ended=$?
check "the restored guest ended with $ended" [ "$ended" -eq 1 ]
check 'it did not end as at home' [ "$(tail -n 1 "$work/out.1")" = "$(tail -n 1 "$work/home")" ]

# The receiver goes away in the middle: the guest goes on here.
source_of --guest memory --append 'rounds=0 pages=1000 delay=1'
receiver "unix:$work/in"
await_socket "$work/in"
for _ in $(seq 600); do # there are pages to be sent, for half a minute
	! grep -q '^round 0$' "$work/out.0" || break
	sleep 0.05
done
"$stasis" ctl "$work/control.0" migrate "unix:$work/in" --bandwidth 128K >"$out" 2>"$err" &
client=$!
sleep 0.5
kill "$next"
wait "$next"
last='ctl migrate, and the receiver is killed'
wait "$client"
check 'it did not fail' [ $? -ne 0 ]
complains_once 'migration to unix:.*the connection to the other side'
expect 0 "$stasis" ctl "$work/control.0" status
prints '^machine: running$'
# And it can still move.
receiver "unix:$work/in"
await_socket "$work/in"
moves_to "unix:$work/in" --verify-memory
quit

# To and fro; whatever it started or wrote is gone.
mkdir "$work/pingpong"
export TMPDIR="$work/pingpong"
for cpus in 1 4; do
	expect 0 timeout 300 sh "$pingpong" 5 "$cpus" "$stasis"
	prints "^5 moves of a guest with $cpus vCPUs, 0 failed checks\$"
	prints '^all RAM read once more at both ends 5 times; [0-9]+ rounds '
	prints '^the guest stood still for [0-9.]+ ms \(median\), [0-9.]+ ms \(largest\)$'
	check 'something was kept' [ -z "$(ls "$work/pingpong")" ]
done

# It stops at the first thing that is wrong, and keeps the machine.
wrong() { # wrong COMMAND MOVE TEXT: where this is what runs in the receiver's place
	cat >"$work/stasis" <<-W
		#!/bin/sh
		case "\$*" in
		receive*control.2*) $1 ;;
		esac
		exec $stasis "\$@"
	W
	chmod +x "$work/stasis"
	expect 1 timeout 300 sh "$pingpong" 5 1 "$work/stasis"
	prints "^FAILED: move $2 of 5, 1 vCPUs: $3"
	kept=$(sed -n 's/^kept: \([^ ]*\) .*/\1/p' "$out")
	check 'no machine was kept' [ -n "$(find "$kept" -name 'machine.*')" ]
}
wrong 'exit 0' 2 'the receiver does not listen, and its process has ended'
wrong 'echo round 7777' 3 'the console: expected round [0-9]+, found .*7777'
finish
