# The control socket and its client: every request, in machines that were started in every way, and what is refused.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
here=$(cd "$(dirname "$0")" && pwd)
socket=$work/s
console=$work/console
messages=$work/messages
pid=

start() { # start COMMAND...: a machine in the background; waits until its guest has printed something
	: >"$console"
	"$@" </dev/null >"$console" 2>"$messages" &
	pid=$!
	wait_for_lines 1
}
lines() {
	wc -l <"$console"
}
wait_for_lines() { # wait_for_lines NUMBER: that the guest has printed
	for _ in $(seq 600); do
		[ "$(lines)" -lt "$1" ] || return 0
		sleep 0.05
	done
	check "the guest has not printed $1 lines" false
}
goes_on() {
	wait_for_lines $(($(lines) + 2))
}
ctl() { # ctl STATUS REQUEST...
	ctl_status=$1
	shift
	expect "$ctl_status" "$stasis" ctl "$socket" "$@"
}
end() { # by request
	ctl 0 quit
	[ "$status" -eq 0 ] || kill "$pid"
	check 'the socket is there when quit returns' [ ! -e "$socket" ]
	complains_nothing
	wait "$pid"
	ended=$?
	check "the machine ended with status $ended" [ "$ended" -eq 0 ]
}
tells() { # tells TEXT: the machine, on its standard error
	check "the machine does not tell: $1" grep -Eq -e "$1" "$messages"
}

# Pausing and resuming, each of them twice.
umask 0
start "$stasis" run --mem 8M --guest counter --control "$socket"
umask 022
check 'another name is left' [ "$(ls "$work" | grep -c '^s')" -eq 1 ]
check 'others could connect' [ "$(stat -c '%a %F' "$socket")" = '600 socket' ]
ctl 0 status
prints '^machine: running$'
prints '^vcpus: 1$'
prints '^tracks_writes: false$'
prints_not '^(job|last)\.'
for _ in 1 2; do
	ctl 0 pause
	prints_exactly 'machine: paused\n'
done
before=$(lines)
sleep 0.5
check 'a paused guest prints' [ "$(lines)" -eq "$before" ]
ctl 0 stats
prints '^ram_bytes: 8388608$'
prints '^exits: [1-9]'
exits=$(sed -n 's/^exits: //p' "$out")
prints "^exits_by_kind.io: $exits\$" # a counter has no others
for kind in mmio hlt other; do
	prints "^exits_by_kind.$kind: 0\$"
done
prints '^resident_bytes: [1-9]'
prints '^pauses: [0-9]'
prints '^snapshots: 0$'

# A snapshot of a paused machine, which stays paused, then of one that runs on.  Names are the client's.
name="$(printf 'a "b\\\303\251\377\001').snap"
mkdir "$work/folder"
cd "$work/folder" || exit 1
ctl 0 snapshot "$name"
prints "^snapshot written to $work/folder/a \"b.*: [0-9.]+ MiB of 8.0 MiB of RAM, guest paused for [0-9.]+ ms$"
check 'the file is not there' [ -f "$name" ]
cd "$work" || exit 1
expect 0 "$stasis" verify "$work/folder/$name"
ctl 0 status
prints '^machine: paused$'
prints '^last.number: 1$'
prints '^last.ok: true$'
check 'a paused guest prints' [ "$(lines)" -eq "$before" ]
expect_lines 2 "$stasis" restore "$work/folder/$name"
# It may stand still in the middle of a line, which the restored guest then ends.
numbers=$({
	tail -n 1 "$console"
	cat "$out"
} | head -n 2 | paste -s -d ' ')
check "the restored guest does not go on where it was: $numbers" [ "$((${numbers% *} + 1))" = "${numbers#* }" ]
for _ in 1 2; do
	ctl 0 resume
	prints_exactly 'machine: running\n'
done
goes_on
ctl 0 snapshot "$work/b.snap"
expect 0 "$stasis" verify "$work/b.snap"
goes_on
tells "^stasis: snapshot written to $work/b.snap"
ctl 0 status 1 --json
check 'not the first job' grep -q '"last":{"number":1,"kind":"snapshot"' "$out"
ctl 0 status --json
check 'not the second job' grep -q '"last":{"number":2,"kind":"snapshot"' "$out"
ctl 0 stats
prints '^snapshots: 2$'

# What is refused, by the client and by the machine, and leaves the guest alone.
refused() { # refused STATUS TEXT REQUEST...
	refused_status=$1 refused_text=$2
	shift 2
	ctl "$refused_status" "$@"
	prints_nothing
	complains_once "$refused_text"
}
refused 64 'dance: no such request; help lists them' dance
refused 64 'pause: 1 arguments, expected none' pause now
refused 64 'status 3: expected the number of a job, 1 to 2' status 3
refused 64 'status x: expected the number of a job' status x
refused 64 'snapshot: expected a file, and perhaps --incremental' snapshot
refused 64 'the guest writes is not known; start the machine with --incremental' snapshot x --incremental
refused 64 'rewind: expected nothing, --set or --drop' rewind back
refused 73 "$work/no/such" snapshot "$work/no/such"
refused 75 'cancel: nothing is under way' cancel
refused 75 'rewind: no point is set; rewind --set makes one' rewind
refused 75 'rewind --drop: no point is set' rewind --drop
ctl 73 snapshot "$work/no/such" --json
complains_nothing
prints '^\{"ok":false,"error":\{"code":"create","text":"'
ctl 64 dance --json
prints_exactly '{"ok":false,"error":{"code":"usage","text":"dance: no such request; help lists them"}}\n'
expect 64 "$stasis" ctl "$socket"
complains_once 'ctl: 1 arguments, expected SOCKET REQUEST'
expect 64 "$stasis" ctl "$socket" snapshot a b
complains_once 'ctl: 4 arguments, expected SOCKET REQUEST'
ctl 0 help
prints ' snapshot$'
goes_on

# A second machine at the same socket is refused, and so is what is no socket.  Nothing happens to either.
expect 73 "$stasis" run --mem 8M --guest hello --control "$socket"
complains_once "--control $socket: another process listens there already"
ctl 0 status
echo text >"$work/file"
expect 73 "$stasis" run --mem 8M --guest hello --control "$work/file"
complains_once "--control $work/file: something else than a socket stands there"
check 'a socket is left' [ "$(ls "$work" | grep -c '^\(s\|file\)')" -eq 2 ]
check 'the file is changed' [ "$(cat "$work/file")" = text ]
expect 73 "$stasis" run --mem 8M --guest hello --control "$work/no/such"
complains_once "--control $work/no/such"
expect 64 "$stasis" run --mem 8M --guest hello --control "$(printf '%0200d' 0)"
complains_once 'a socket.s name of .* bytes, expected 1 to 96'
end

# Nobody listens: the client says so.  A socket that a killed machine left is replaced.
ctl 66 status
complains_once "$socket: No such file"
start "$stasis" run --mem 8M --guest counter --control "$socket"
kill -9 "$pid"
wait "$pid" 2>/dev/null
check 'a killed machine leaves no socket' [ -S "$socket" ]
ctl 66 status
complains_once 'nobody listens there'
start "$stasis" run --mem 8M --guest counter --control "$socket"
ctl 0 status
kill -9 "$pid"
wait "$pid" 2>/dev/null
rm "$socket"

# What stands at the socket's place when the machine ends, and is not it, stays.
"$stasis" run --mem 8M --guest memory --append 'pages=20 rounds=60 delay=5' --control "$socket" </dev/null >"$console" 2>"$messages" &
pid=$!
await_socket "$socket"
ctl 0 status
rm "$socket"
echo text >"$socket"
wait "$pid"
check "another's file is gone" [ "$(cat "$socket")" = text ]
rm "$socket"

# The guest's own end takes the socket with it.
expect 1 "$stasis" run --mem 8M --guest hello --control "$socket"
check 'the socket is still there' [ ! -e "$socket" ]

# Incremental snapshots, between them a whole one, and a restored machine.
start "$stasis" run --mem 16M --guest memory --append 'pages=50 rounds=1000 delay=2' --incremental --control "$socket"
ctl 0 status
prints '^tracks_writes: true$'
ctl 0 snapshot "$work/1" --incremental
lacks incremental "$out" || check 'the first is incremental' false
ctl 0 snapshot "$work/2" --incremental
prints 'MiB of RAM, incremental, guest paused'
ctl 0 stats
prints '^written_pages: [0-9]+$'
# What it has is what docs/CONTROL.md has.
sed 's/[.:].*//' "$out" | sort -u >"$work/members"
sed -n '/^### stats/,/^## /s/^| \(`[^|]*`\) |.*/\1/p' "$here/../../docs/CONTROL.md" | tr -d '` ' | tr ',' '\n' | sort >"$work/documented"
check "$(diff "$work/documented" "$work/members")" cmp -s "$work/documented" "$work/members"
ctl 0 snapshot "$work/3"
check 'a whole one is incremental' lacks incremental "$out"
ctl 0 snapshot "$work/4" --incremental
prints 'MiB of RAM, incremental, guest paused'
refused 64 'cannot replace one that it builds on' snapshot "$work/3" --incremental
refused 64 'rewind --set: this machine was started with --incremental' rewind --set
end
for file in 1 2 3 4; do
	expect 0 "$stasis" verify "$work/$file"
done
for parent in 1 3; do
	expect 0 "$stasis" inspect "$work/$((parent + 1))"
	prints "^parent_file: $parent$"
done
expect 0 "$stasis" inspect "$work/3"
prints_not '^parent_file: [^ ]'
start "$stasis" restore "$work/4" --incremental --control "$socket"
ctl 0 snapshot "$work/5" --incremental
prints 'incremental'
end
expect 0 "$stasis" verify "$work/5"

# Back to a point, as often as wanted; a point and snapshots exclude each other.
start "$stasis" run --mem 8M --guest counter --control "$socket"
ctl 0 pause
ctl 0 rewind --set
prints_nothing
# The point may be in the middle of a line, whose rest is then what the guest goes on with.
cp "$console" "$work/printed"
point=$(lines)
ctl 0 status
prints '^has_point: true$'
for times in 1 2 3; do
	ctl 0 resume
	goes_on
	ctl 0 pause
	: >"$console"
	ctl 0 rewind
	prints "^rewinds: $times$"
	prints '^pages: [1-9]'
	ctl 0 resume
	wait_for_lines 1
	tr -d '\000' <"$console" | cat "$work/printed" - | head -n $((point + 1)) >"$work/numbers"
	check "not back at $point: $(tail -n 1 "$work/numbers")" [ "$(cat "$work/numbers")" = "$(seq 0 "$point")" ]
done
refused 75 'a point to rewind to is set, .*; rewind --drop forgets it' snapshot "$work/6"
ctl 0 rewind --drop
ctl 0 snapshot "$work/6"
end
start "$stasis" run --mem 8M --guest counter --rewind-every 1000 --control "$socket"
refused 75 'a point to rewind to is set' snapshot "$work/7"
refused 64 '--rewind-every sets the point of this machine' rewind --set
refused 64 '--rewind-every sets the point of this machine' rewind --drop
ctl 0 rewind
end
expect 64 "$stasis" run --guest hello --incremental
complains_once '--incremental goes with --snapshot FILE, or with --control SOCKET'

# Requests that come in one packet are carried out before a job under way has its turn.
start "$stasis" run --mem 64M --guest counter --control "$socket"
expect 0 python3 "$here/control_jobs.py" "$socket" "$work/jobs"
[ "$status" -eq 0 ] || kill "$pid"
wait "$pid"
tells "no snapshot: $work/jobs.a: given up, as a client asked for; the guest goes on\$"
tells "no snapshot: $work/jobs.b: the guest ended before it was done\$"
check 'a snapshot that was given up left a file' [ ! -e "$work/jobs.a" ]
check 'a snapshot of a machine that ended left a file' [ ! -e "$work/jobs.b" ]

# The client's side of a long job and of a machine that fails it.
expect 0 python3 "$here/control_server.py" "$stasis" "$tools/pty_run" "$work/fake"
finish
