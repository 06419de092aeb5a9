# A process that runs a guest holds as little as it can: every thread has the filter and gains no privileges, and no file
# would be handed to another program.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/counter.snap
snapshot "$file" counter --at checkpoint=2
pid=
ls /proc/$$/fd >"$work/files"
inherited=$(tr '\n' ' ' <"$work/files") # what we were given, the program is given, too

start() { # start COMMAND...: and waits until it has printed something
	last=$*
	: >"$out"
	"$@" </dev/null >"$out" 2>"$err" &
	pid=$!
	for _ in $(seq 200); do
		[ ! -s "$out" ] || break
		sleep 0.05
	done
	check 'nothing was printed' [ -s "$out" ]
}
stop() {
	kill "$pid"
	wait "$pid" 2>/dev/null
}
all_threads() { # all_threads FIELD VALUE: of /proc/PID/status
	check "not every thread's $1 is $2" [ "$(sed -n "s/^$1:[^0-9]*//p" /proc/"$pid"/task/*/status | sort -u)" = "$2" ]
}
closed_on_exec() { # but for the three that it was given
	nr_files=0
	for info in /proc/"$pid"/fdinfo/*; do
		case " $inherited " in
		*" ${info##*/} "*) continue ;;
		esac
		nr_files=$((nr_files + 1))
		flags=$(sed -n 's/^flags:[^0-7]*//p' "$info")
		check "$(readlink "/proc/$pid/fd/${info##*/}") would stay open" [ $((0$flags & 02000000)) -ne 0 ]
	done
	check "$nr_files open files, expected those of KVM" [ "$nr_files" -ge 4 ]
}
grep -q '^Seccomp:' /proc/self/status || skip "/proc does not tell of filters here"
# Sanitizers and gcov make system calls of their own: such a build has no filter (tests/unit/sandbox_test.c skips, too).
! grep -aq '__[at]san_init\|__gcov_init' "$stasis" || skip "the sandbox is off in builds for sanitizers and gcov"

for command in "run --guest counter" "run --guest counter --snapshot $work/x" "restore $file" "restore --copy $file" \
	"roundtrip --guest counter --until 50s" "run --guest counter --control $work/socket"; do
	start "$stasis" $command
	all_threads Seccomp 2
	all_threads NoNewPrivs 1
	closed_on_exec
	stop
	start "$stasis" $command --no-sandbox
	all_threads Seccomp 0
	closed_on_exec
	stop
done
finish
