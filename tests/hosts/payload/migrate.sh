#!/bin/sh
# Machines that move between two processes of this host while another guest keeps it busy.
# usage: migrate.sh MOVES     so many, of the guest that verifies its memory, with 1 and with 4 vCPUs
. "$(dirname "$0")/lib.sh"
moves=$1

"$stasis" run --mem 8M --guest memory --append rounds=0 >/dev/null 2>&1 </dev/null &
busy=$!
no_post_copy=$("$stasis" host | sed -n 's/^post-copy: no: //p')
for cpus in 1 4; do
	for way in pre-copy post-copy; do
		name="migrate: memory-smp with $cpus vCPUs, to and fro by $way"
		if [ $way = post-copy ] && [ -n "$no_post_copy" ]; then
			skip "$name" "$no_post_copy"
			continue
		fi
		sh "$payload/pingpong.sh" "$moves" $cpus "$stasis" $way >output 2>&1
		status=$?
		expect "$name" 0 "^$moves moves of a guest with $cpus vCPUs, 0 failed checks\$"
	done
done

# await SECONDS COMMAND...: until it succeeds
await() {
	looks=$(($1 * 10))
	shift
	until "$@" || [ $looks = 0 ]; do
		looks=$((looks - 1))
		sleep 0.1
	done
}

# By a command, which the guest's console at the target passes by: the numbers go on.
"$stasis" run --mem 8M --guest counter --control here >here.out 2>here.err </dev/null &
await 60 [ -S here ]
run ctl here migrate "exec:exec '$stasis' receive - --control there 2>there.out" --verify-memory
if expect "migrate: counter, by a command" 0 '^moved to exec:'; then
	await 60 [ -S there ]
	sleep 1
	run ctl there quit
	cat here.out there.out | tr -d '\r' | grep -v '^stasis: ' >output
	if seq 0 $(($(wc -l <output) - 1)) | cmp -s - output; then
		pass "migrate: counter, no number is missing"
	else
		fail "migrate: counter, no number is missing" "they are others"
	fi
fi

kill $busy
finish
