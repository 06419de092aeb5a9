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

# A guest that waits behind checkpoint AT, among the calls of a shadow stack, goes to a process that gets OPTIONS, and ends there
# with $status.  The file output has what it printed at both, and what the client said.
move_shadow() { # AT WAY OPTIONS...
	how='--downtime 100s'
	[ "$2" = pre-copy ] || how='--post-copy --rounds 1 --bandwidth 512K --downtime 1ms'
	"$stasis" run --mem 8M --guest shadow --append "wait=$1" --control from >from.out 2>from.err </dev/null &
	source=$!
	shift 2
	"$stasis" receive unix:to "$@" >to.out 2>to.err </dev/null &
	target=$!
	await 60 grep -q '^shadow: waits' from.out
	await 60 [ -S to ]
	# shellcheck disable=SC2086 # words
	"$stasis" ctl from migrate unix:to --verify-memory $how >client.out 2>&1 || kill $source $target 2>/dev/null
	wait $target
	status=$?
	wait $source || status="$status, of the source $?"
	cat from.out to.out client.out | tr -d '\r' >output
}

# RETs at CPL 0, at CPL 3 and on an interrupt stack, of calls that were made at the source.
shadow() {
	for way in pre-copy post-copy; do
		for at in 1 2 3; do
			name="migrate: shadow behind checkpoint $at, by $way"
			if [ $way = post-copy ] && [ -n "$no_post_copy" ]; then
				skip "$name" "$no_post_copy"
				continue
			fi
			followed=
			[ $way = pre-copy ] || followed='; [1-9][0-9]* pages came after it'
			move_shadow $at $way
			expect "$name" 1 "^moved to unix:.*$followed" || continue
			if grep '^shadow: ' output | grep -v '^shadow: waits' | cmp -s - home; then
				pass "$name, prints what it does at home"
			else
				fail "$name, prints what it does at home" 'it is something else'
			fi
		done
	done
	move_shadow 1 pre-copy --without GUEST_SSP
	expect "migrate: shadow without GUEST_SSP: #PF" 3 '^moved to unix:' '^shadow: #PF, error code 0x41, CR2 0x0, '
	move_shadow 1 pre-copy --without IA32_S_CET
	expect "migrate: shadow without IA32_S_CET: #UD" 3 '^moved to unix:' '^unexpected trap 6, '
}

"$stasis" run --mem 8M --guest shadow 2>/dev/null </dev/null | tr -d '\r' >home
if grep -q '^shadow: no shadow stacks' home; then
	skip "migrate: shadow" "no shadow stacks on this CPU"
else
	shadow
fi

kill $busy
finish
