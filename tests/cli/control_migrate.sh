# ctl migrate: machines that move, over every kind of connection and under load; what comes of it when it comes to nothing;
# and when nobody knows what came of it.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
socket=$work/s
start_counter() { # its process is $pid
	"$stasis" run --mem 8M --guest counter --control "$socket" </dev/null >"$work/console" 2>"$work/messages" &
	pid=$!
	await_socket "$socket"
}
start_counter
# The guest counts on: no number is missing, and none comes twice.  Its last line may be cut by its end.
counted() { # counted FILE...: its console, one part behind the other
	for counted in "$@"; do
		cat "$work/$counted"
	done | sed '/^stasis: /d' >"$work/counted" # a console on standard error has messages, too
	nr_lines=$(wc -l <"$work/counted")
	head -n "$nr_lines" "$work/counted" >"$out"
	seq 0 $((nr_lines - 1)) >"$work/wanted"
	check "not counted on by $*" cmp -s "$work/wanted" "$out"
}

refused() { # refused STATUS TEXT ARGUMENT...
	refused_status=$1 refused_text=$2
	shift 2
	expect "$refused_status" "$stasis" ctl "$socket" migrate "$@"
	prints_nothing
	complains_once "$refused_text"
}
refused 64 'migrate: expected a URI: unix:PATH, tcp:HOST:PORT'
refused 64 'mailto:x' mailto:x
refused 74 "unix:$work/nobody" "unix:$work/nobody"
refused 64 'allow it with --insecure-tcp' tcp:192.0.2.1:1
refused 64 '--downtime 5: expected a time' unix:x --downtime 5
refused 64 '--bandwidth x: expected a number of bytes a second' unix:x --bandwidth x
refused 64 '--rounds 0: expected a number of rounds' unix:x --rounds 0
# The command ends at once: the migration fails, and the guest goes on.
refused 74 'migration to exec:true: ' exec:true
expect 0 "$stasis" ctl "$socket" status
prints '^machine: running$'
expect 0 "$stasis" ctl "$socket" quit
wait "$pid"

start_counter
expect 0 python3 "$(dirname "$0")/control_migrate.py" "$socket"
[ "$status" -eq 0 ] || kill "$pid"
wait "$pid"
counted console

# ---- Moves ----

# gone FILE: that it is not there any more
gone() {
	for _ in $(seq 400); do
		[ -e "$1" ] || return 0
		sleep 0.05
	done
	check "$1 is still there" false
}
runs() { # runs NAME GUEST-OPTION...: a machine that is controlled at $work/NAME
	runs_name=$1
	shift
	"$stasis" run "$@" --control "$work/$runs_name" </dev/null >"$work/$runs_name.out" 2>"$work/$runs_name.err" &
	source=$!
	await_socket "$work/$runs_name"
}
receives() { # receives NAME URI: one that takes a machine there
	"$stasis" receive "$2" --control "$work/$1" </dev/null >"$work/$1.out" 2>"$work/$1.err" &
	await_socket "$work/$1"
	case $2 in
	unix:*) await_socket "${2#unix:}" ;;
	esac
}
ctl() { # ctl STATUS NAME REQUEST...
	ctl_status=$1 ctl_name=$2
	shift 2
	expect "$ctl_status" "$stasis" ctl "$work/$ctl_name" "$@"
}
moved() { # moved FROM TO: the last request moved it
	prints "^moved to .*: [0-9.]+ MiB for [0-9.]+ MiB of RAM in [0-9]+ rounds, guest paused for [0-9.]+ ms$"
	gone "$work/$1"
	check 'the source does not tell' grep -q '^stasis: moved to' "$work/$1.err"
	ctl 0 "$2" status
	prints '^machine: running$'
}
# By a Unix socket, by TCP, by a command, by two pipes, by a descriptor: one after the other.
runs a --mem 16M --guest counter
receives b "unix:$work/there"
ctl 0 a migrate "unix:$work/there"
prints '^round 1: [0-9]+ pages, [0-9]+ of zeros, [0-9]+ unchanged, in [0-9.]+ ms: [0-9.]+ MiB/s; the guest wrote [0-9]+ meanwhile: [0-9.]+ MiB/s$'
moved a b
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
receives c "tcp:127.0.0.1:$port"
for _ in $(seq 100); do # nothing but the connection itself tells that it listens
	expect 0 true
	"$stasis" ctl "$work/b" migrate "tcp:localhost:$port" --verify-memory --bandwidth 100M --downtime 1s >"$out" 2>"$err"
	[ $? -eq 74 ] && grep -q refused "$err" || break
	sleep 0.05
done
moved b c
ctl 0 c migrate "exec:exec '$stasis' receive - --control '$work/d' 2>'$work/d.out'"
moved c d
mkfifo "$work/to" "$work/back"
"$stasis" receive - --control "$work/e" <"$work/to" >"$work/back" 2>"$work/e.out" &
last='ctl migrate - with two pipes'
"$stasis" ctl "$work/d" migrate - >"$work/to" <"$work/back" 2>"$err"
check "status $?" [ $? -eq 0 ]
ctl 0 e status
prints '^machine: running$'
ctl 0 e quit
wait
counted a.out b.out c.out d.out e.out

# A paused one runs at its target; one that is tracked is too, and what it has written is not lost.
runs a --mem 16M --guest counter --incremental
ctl 0 a snapshot "$work/base" --incremental
ctl 0 a pause
receives b "unix:$work/there"
ctl 0 a migrate "unix:$work/there" --json
prints '"last":\{"number":2,"kind":"migration","target":"unix:.*"ok":true,"text":"moved to .*"remarks":"'
ctl 0 b status
prints '^machine: running$'
ctl 0 b quit
wait
counted a.out b.out

# More is written than may go over: it fails, with a line for each round, and the guest goes on.  Whatever else runs here, the
# guest writes a page in the time that a round takes, and not even one goes over within the goal.
runs a --mem 32M --guest memory --append 'pages=200 rounds=0'
receives b "unix:$work/there"
for _ in $(seq 600); do # until all is written once
	! grep -q '^round 0$' "$work/a.out" || break
	sleep 0.05
done
ctl 75 a migrate "unix:$work/there" --bandwidth 1M --downtime 1us --rounds 2
prints '^round 1: '
prints '^round 2: '
complains 'it does not converge: after round 2 '
ctl 0 a status
prints '^machine: running$'
ctl 0 a quit
wait

# The connection is the machine's alone: the client that opened it has only its own to the machine while it waits, so that the
# target sees the end of the source at once.
sockets_of() { # sockets_of PROCESS
	find "/proc/$1/fd" -lname 'socket:*' | wc -l
}
alone() { # alone URI
	last="ctl migrate $1"
	"$stasis" ctl "$work/a" migrate "$1" --bandwidth 64K >"$out" 2>"$err" &
	client=$!
	for _ in $(seq 400); do
		! "$stasis" ctl "$work/a" status | grep -q '^job.phase: rounds$' || break
		sleep 0.05
	done
	for _ in $(seq 400); do
		[ "$(sockets_of "$client")" -ne 1 ] || break
		sleep 0.05
	done
	check "the client has $(sockets_of "$client") sockets" [ "$(sockets_of "$client")" -eq 1 ]
}
runs a --mem 32M --guest memory --append 'pages=2000 rounds=0 delay=1'
alone "exec:exec '$stasis' receive - --control '$work/b' 2>'$work/b.err'"
ctl 0 a cancel
wait "$client"
gone "$work/b"
receives b "unix:$work/there"
receiver=$!
alone "unix:$work/there"
kill -STOP "$client"
kill -KILL "$source"
wait "$receiver"
check "the receiver ended with $?" grep -q 'the connection to the other side is cut' "$work/b.err"
kill -CONT "$client"
wait

# Nobody knows: the answer to the hand-over is lost.  The machine stands still, until somebody decides.
doubted() { # doubted NAME: in such a way
	receives b "unix:$work/there"
	python3 "$(dirname "$0")/control_doubt.py" "$work/between" "$work/there" &
	await_socket "$work/between"
	ctl 74 "$1" migrate "unix:$work/between"
	complains_once 'in doubt: the target was told to run the guest, and did not answer'
	ctl 0 "$1" status
	prints '^machine: in-doubt$'
	before=$(wc -l <"$work/$1.out")
	sleep 0.4
	check 'it runs all the same' [ "$(wc -l <"$work/$1.out")" -eq "$before" ]
	gone "$work/b"
	check 'it runs there, too' [ ! -s "$work/b.out" ]
}
runs a --mem 16M --guest counter
doubted a
ctl 0 a resume
prints '^machine: running$'
doubted a
receives b "unix:$work/there"
ctl 0 a migrate "unix:$work/there"
moved a b
ctl 0 b quit
wait
counted a.out b.out

# Whoever quits while the target decides waits for that: no machine ends that may be the only one.
runs a --mem 16M --guest counter
receives b "unix:$work/there"
python3 "$(dirname "$0")/control_doubt.py" "$work/between" "$work/there" "$work/now" &
await_socket "$work/between"
"$stasis" ctl "$work/a" migrate "unix:$work/between" >"$work/migrated" 2>&1 &
for _ in $(seq 200); do
	! "$stasis" ctl "$work/a" status | grep -q '^job.phase: committed$' || break
	sleep 0.02
done
ctl 0 a status
prints '^job.phase: committed$'
ctl 75 a cancel
complains_once 'the target of the migration to unix:.* decides already'
ctl 75 a resume
complains_once 'lets the machine stand still'
"$stasis" ctl "$work/a" quit &
sleep 0.2
check 'it did not wait' [ -e "$work/a" ]
: >"$work/now"
gone "$work/a"
check 'it has not moved' grep -q '^stasis: moved to' "$work/a.err"
ctl 0 b status
prints '^machine: running$'
ctl 0 b quit
wait
counted a.out b.out
finish
