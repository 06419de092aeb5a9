#!/bin/sh
# Time that passes between snapshot and restore, with the guest that watches its clocks.  It sets the clock of the host that it
# runs on an hour on: for emulated hosts only.
# usage: clock.sh
. "$(dirname "$0")/lib.sh"
hour_s=3600
machines='1.1 1.2 1.3 4.1 4.3' # vCPUs, and the checkpoint

# gap CLOCK: by how many us it went on over the checkpoint, as the guest says.
gap() { tr -d '\r' <output | sed -n "s/^checkpoint [0-9]: .*$1 \([0-9]*\) us.*/\1/p" | head -n 1; }

# went_on NAME CLOCK by|not: was it the hour, or was it not?
went_on() {
	us=$(gap "$2")
	is=$([ "${us:-0}" -ge $((hour_s * 1000000)) ] && echo by || echo not)
	if [ -z "$us" ]; then
		fail "$1: $2" "the guest does not tell"
	elif [ "$is" = "$3" ]; then
		pass "$1: $2"
	else
		fail "$1: $2" "it went on by $us us"
	fi
}

run run --mem 16M --guest clock --cpus 4 --append start=1000 --snapshot late --at checkpoint=1
expect "clock: a snapshot of a guest that ran for a second" 0
for machine in $machines; do
	run run --mem 16M --guest clock --cpus "${machine%.*}" --append gaps --snapshot "$machine" --at "checkpoint=${machine#*.}"
	expect "clock: a snapshot of ${machine%.*} at checkpoint ${machine#*.}" 0
done
# date leaves out what has passed of the second: without the one that is added, less than the hour could go by.
date -s "@$(($(date +%s) + hour_s + 1))" >/dev/null || exit 71
for machine in $machines; do
	for policy in continue realtime; do
		name="clock of ${machine%.*} at checkpoint ${machine#*.}, $policy"
		how=$([ $policy = realtime ] && echo by || echo not)
		run restore --clock $policy "$machine"
		expect "$name" 1 '^clock: all as expected$' || continue
		went_on "$name" TSC "$how"
		went_on "$name" "KVM's clock" "$how"
	done
done

# Four vCPUs that had one TSC offset have one again, and so KVM calls their TSC stable.  Not where it did not before: there each
# vCPU's goes its own way.
offsets() { "$stasis" inspect "$1" tsc | sed -n 's/.* offset = \([0-9a-fx]*\).*/\1/p' | sort -u | wc -l; }
stable() { "$stasis" inspect "$1" clock | grep -q 'flags = .*TSC_STABLE'; }
for policy in continue realtime; do
	name="clock of 4, $policy: one TSC offset"
	run restore --clock $policy --snapshot again --at checkpoint=2 4.1
	if ! stable 4.1; then
		skip "$name" "this host's TSC is not stable"
	elif expect "$name: a snapshot of the restored machine" 0; then
		if [ "$(offsets 4.1) $(offsets again)" = '1 1' ] && stable again; then
			pass "$name"
		else
			fail "$name" "$(offsets again) offsets, before $(offsets 4.1)"
		fi
	fi
done

# Left out, a clock is that of the new machine, and the guest finds it younger.
run restore --without clock late
expect "clock: without KVM's clock" 3 "^KVM's clock went back"
run restore --without tsc late
expect "clock: without the TSC" 3 '^TSC went back'
finish
