# ctl migrate: what comes of it when it comes to nothing, and what the client refuses by itself.
. "$(dirname "$0")/lib.sh"
need_kvm
need python3
socket=$work/s
"$stasis" run --mem 8M --guest counter --control "$socket" </dev/null >"$work/console" 2>"$work/messages" &
pid=$!
for _ in $(seq 200); do
	[ ! -S "$socket" ] || break
	sleep 0.05
done
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

"$stasis" run --mem 8M --guest counter --control "$socket" </dev/null >"$work/console" 2>"$work/messages" &
pid=$!
for _ in $(seq 200); do
	[ ! -S "$socket" ] || break
	sleep 0.05
done
expect 0 python3 "$(dirname "$0")/control_migrate.py" "$socket"
[ "$status" -eq 0 ] || kill "$pid"
wait "$pid"
numbers=$(tr '\n' ' ' <"$work/console")
check "the guest was disturbed: $numbers" [ "$numbers" = "$(seq -s ' ' 0 $(($(wc -l <"$work/console") - 1))) " ]
finish
