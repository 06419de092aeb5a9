# ctl migrate --post-copy: a machine whose pages follow it, with a connection that is cut meanwhile, and another one.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
"$stasis" host >"$out"
grep -q '^post-copy: yes$' "$out" || skip "$(grep '^post-copy: ' "$out")"
relay="exec:exec python3 $(dirname "$0")/migrate_relay.py $work/in"
slowly='--post-copy --rounds 1 --downtime 1ms --bandwidth 2M'

start() { # start GUEST ARGUMENT...: a source that has printed something, and a receiver
	"$stasis" run --mem 32M --control "$work/a" --guest "$@" </dev/null >"$work/out.a" 2>"$work/err.a" &
	source=$!
	await_socket "$work/a"
	for _ in $(seq 400); do
		[ ! -s "$work/out.a" ] || break
		sleep 0.05
	done
	receive
}
receive() { # receive ARGUMENT...
	rm -f "$work/in" # of a receiver that was killed: it would be taken for this one's
	"$stasis" receive --control "$work/b" "unix:$work/in" "$@" </dev/null >"$work/out.b" 2>"$work/err.b" &
	target=$!
	await_socket "$work/in"
}
not_now() { # not_now REQUEST...: at the target
	expect 75 "$stasis" ctl "$work/b" "$@"
	complains_once 'pages of the machine.s memory are still at the source of its migration, and the connection is lost'
}

# A receiver that takes snapshots by itself would have to wait for all pages: it says so at once, and the guest goes on.
start memory-smp --cpus 4 --append 'rounds=0 pages=800'
kill "$target"
wait "$target"
receive --at checkpoint --snapshot "$work/x"
expect 1 "$stasis" ctl "$work/a" migrate "unix:$work/in" $slowly
complains 'the target refuses: post-copy: this receiver was started with --at or --rewind-every'
ended "$target" 64
machine_is "$work/a" running

# Cut while pages follow.
receive
expect 74 "$stasis" ctl "$work/a" migrate "$relay 4 before 24" $slowly
complains 'cut off: the guest runs at the target, which has not all of its memory yet'
machine_is "$work/a" handed-over
for _ in $(seq 100); do
	"$stasis" ctl "$work/b" status >"$out" 2>&1
	! grep -q '^arriving.connected: false' "$out" || break
	sleep 0.1
done
machine_is "$work/b" running
prints '^arriving.left_pages: [1-9]'
prints '^arriving.connected: false$'
expect 75 "$stasis" ctl "$work/a" resume
complains_once 'resume: the machine runs at the target of its migration'
not_now pause
not_now snapshot "$work/x"
not_now rewind --set
check 'a snapshot is there' [ ! -e "$work/x" ]
# What is not that machine's source is sent away; so is what is no receiver of it.
"$stasis" ctl "$work/b" receive "unix:$work/again" >"$work/ignored" 2>&1 &
client=$!
await_socket "$work/again"
printf 'this is no message, and longer than the header of one is' | timeout 20 python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read())
while s.recv(4096):
    pass' "$work/again"
ended "$client" 0
machine_is "$work/b" running
prints '^arriving.connected: false$'
"$stasis" receive "unix:$work/other" </dev/null >"$work/ignored" 2>&1 &
other=$!
await_socket "$work/other"
expect 1 "$stasis" ctl "$work/a" migrate "unix:$work/other"
complains 'the target refuses: '
wait "$other"
machine_is "$work/a" handed-over
# As it was at the hand-over, it can be kept.
expect 0 "$stasis" ctl "$work/a" snapshot "$work/kept"
expect 0 "$stasis" verify "$work/kept"
machine_is "$work/a" handed-over

# Another connection, cut as well, and another one.
"$stasis" ctl "$work/b" receive "unix:$work/in" >"$work/ignored" 2>&1 &
client=$!
await_socket "$work/in"
expect 74 "$stasis" ctl "$work/a" migrate "$relay 4 before 3" --bandwidth 1M
complains 'cut off: '
ended "$client" 0
machine_is "$work/a" handed-over
"$stasis" ctl "$work/b" receive "unix:$work/in" >"$work/ignored" 2>&1 &
client=$!
await_socket "$work/in"
expect 0 "$stasis" ctl "$work/a" migrate "unix:$work/in"
prints '^moved to .* pages came after it'
ended "$client" 0
ended "$source" 0
for _ in $(seq 100); do
	! grep -q 'all memory has arrived' "$work/err.b" || break
	sleep 0.1
done
check "$(cat "$work/err.b")" grep -q 'all memory has arrived: [0-9]* pages after the guest' "$work/err.b"
expect 0 "$stasis" ctl "$work/b" snapshot "$work/x"
lines=$(wc -l <"$work/out.b")
for _ in $(seq 300); do # it verifies its memory in each round
	[ "$(wc -l <"$work/out.b")" -le "$((lines + 1))" ] || break
	sleep 0.1
done
check 'it does not go on' [ "$(wc -l <"$work/out.b")" -gt "$((lines + 1))" ]
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0

# COMMITTED does not arrive: the source is in doubt, and learns by another connection that the guest runs there.
start memory --append 'rounds=0 pages=800'
expect 74 "$stasis" ctl "$work/a" migrate "$relay 12 before" $slowly
complains 'in doubt'
machine_is "$work/a" in-doubt
await_socket "$work/b"
"$stasis" ctl "$work/b" receive "unix:$work/again" >"$work/ignored" 2>&1 &
client=$!
await_socket "$work/again"
expect 0 "$stasis" ctl "$work/a" migrate "unix:$work/again"
ended "$client" 0
ended "$source" 0
machine_is "$work/b" running
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0

# Quit where pages are missing: a vCPU may wait for one.  Its source is not needed any more.
start memory --append 'rounds=0 pages=800'
"$stasis" ctl "$work/a" migrate "unix:$work/in" $slowly >"$work/moved" 2>&1 &
client=$!
for _ in $(seq 400); do
	"$stasis" ctl "$work/b" status >"$out" 2>&1
	! grep -q '^arriving' "$out" || break
	sleep 0.02
done
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0
ended "$client" 0
ended "$source" 0

start memory --append 'rounds=0 pages=800'
expect 74 "$stasis" ctl "$work/a" migrate "$relay 4 before 24" $slowly
sleep 0.5
expect 0 "$stasis" ctl "$work/b" quit
ended "$target" 0
expect 0 "$stasis" ctl "$work/a" quit
ended "$source" 0

# To and fro: no page of the guest is lost on the way.
mkdir "$work/pingpong"
export TMPDIR="$work/pingpong"
for cpus in 1 4; do
	expect 0 timeout 300 sh "$(dirname "$0")/../../scripts/pingpong.sh" 3 "$cpus" "$stasis" post-copy
	prints "^3 moves of a guest with $cpus vCPUs, 0 failed checks\$"
	prints '^[1-9][0-9]* pages came after it$'
done
finish
