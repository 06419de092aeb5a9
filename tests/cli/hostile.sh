# A guest that throws any value at every port in any width: it comes to its end, and the program does not grow.
. "$(dirname "$0")/lib.sh"
need_kvm
growth_max_kb=1024
looks_max=2000 # a twentieth of a second apart: more than a machine that is busy with other tests needs

# The most memory that the process ever had, in KiB; nothing where it has ended.
peak_kb() {
	sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null
}

passes() {
	grep -ac '^pass over' "$out"
}

walk() { # walk OPTION...: looks at the memory after the first of three passes, and until the end
	last="run ports.elf $*"
	: >"$out" # no pass yet, also before the program is there
	"$stasis" run --mem 4M "$@" "$images/ports.elf" </dev/null >"$out" 2>"$err" &
	pid=$!
	first=
	most=
	looks=0
	while now=$(peak_kb "$pid") && [ -n "$now" ] && [ "$looks" -lt "$looks_max" ]; do
		[ "$(passes)" -eq 0 ] || : "${first:=$now}"
		most=$now
		looks=$((looks + 1))
		sleep 0.05
	done
	[ "$looks" -lt "$looks_max" ] || kill "$pid"
	wait "$pid"
	status=$?
	check "exit status $status, expected 1" [ "$status" -eq 1 ]
	check "not all three passes are over" [ "$(passes)" -eq 3 ]
	complains_nothing
	check "peak memory grew from $first to $most KiB" [ "${first:-0}" -gt 0 ] &&
		check "peak memory grew from $first to $most KiB" [ "${most:-0}" -le $((first + growth_max_kb)) ]
}

walk --irqchip full
walk --irqchip split
walk --irqchip none
finish
