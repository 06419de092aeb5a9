# --clock: what the guest's clocks do about the time between snapshot and restore, as a guest sees it that watches them.
. "$(dirname "$0")/lib.sh"
need_kvm
hour_s=3600

took() { # took CLOCK OPERATOR US: the clock went on by so much over the checkpoint, as the guest says
	us=$(tr -d '\r' <"$out" | sed -n "s/^checkpoint [0-9]: .*$1 \([0-9]*\) us.*/\1/p" | head -n 1)
	check "$1 went on by ${us:-nothing} us, expected $2 $3" [ "${us:-x}" "$2" "$3" ]
}

# Some KVMs drop writes of the TSC, and say so in the report.
tsc_took() {
	grep -q 'drops writes of the TSC' "$err" || took TSC "$@"
}

# dated FILE OUT SECONDS: the same snapshot, taken so many seconds from now.
dated() {
	edit "$1" "$2" field clock.realtime "$(($(date +%s) + $3))000000000"
}

good='^clock: all as expected'
for cpus in 1 4; do
	for at in 1 2 3; do
		snapshot "$work/$cpus.$at" clock --cpus "$cpus" --append gaps --at "checkpoint=$at"
	done
done
snapshot "$work/late" clock --cpus 4 --append 'gaps start=2000' --at checkpoint=1
sleep 3 # of which the clocks are to know

for cpus in 1 4; do
	expect 1 "$stasis" restore "$work/$cpus.1"
	complains_nothing
	prints "$good"
	took "KVM's clock" -lt 3000000
	took 'time of day' -ge 3000000 # for it is asked for anew
	expect 1 "$stasis" restore --clock realtime "$work/$cpus.1"
	prints "$good"
	complains '^translated: vm clock clock: 0x[0-9a-f]+ -> 0x[0-9a-f]+; moved on by the time since the snapshot$'
	took "KVM's clock" -ge 3000000
	tsc_took -ge 3000000

	# At each checkpoint another timer is set to ring in 100 s; the guest says whether it did as it must.
	for at in 1 2 3; do
		dated "$work/$cpus.$at" "$work/old" -$hour_s
		expect 1 "$stasis" restore --clock realtime "$work/old"
		prints "$good"
		took "KVM's clock" -ge ${hour_s}000000
		took "KVM's clock" -lt $((2 * hour_s))000000
		tsc_took -ge ${hour_s}000000
		expect 1 "$stasis" restore --clock continue "$work/old"
		complains_nothing
		prints "$good"
		took "KVM's clock" -lt ${hour_s}000000
	done

	# A moment that is still to come: no time is taken to have passed, and that is told.
	dated "$work/$cpus.1" "$work/early" $hour_s
	expect 1 "$stasis" restore --clock realtime "$work/early"
	prints "$good"
	complains '^translated: vm clock realtime: 0x[0-9a-f]+ -> 0x[0-9a-f]+; the snapshot is of a later time than this host'
	took "KVM's clock" -lt ${hour_s}000000
done

# Without its clock, the guest finds that of the new machine, which is younger.
expect 3 "$stasis" restore --without clock "$work/late"
complains '^allowed: vm clock; left out, as asked$'
prints "^KVM's clock went back: "

# What was moved is told, and without the option nothing is.
dated "$work/1.1" "$work/old" -$hour_s
expect 0 "$stasis" check --clock realtime "$work/old"
prints '^translated: vcpu0 lapic TMCCT: 0x[0-9a-f]+ -> 0x1; it has run down since the snapshot, and fires$'
prints '^translated: vcpu0 tsc tsc: '
expect 0 "$stasis" check "$work/old"
prints_not 'TMCCT|vm clock'

# Snapshots of 0.1.0 have the time at which they were written.
edit "$work/1.1" "$work/old" field clock.realtime 0
expect 1 "$stasis" restore --clock realtime "$work/old"
prints "$good"
took "KVM's clock" -ge 3000000
took "KVM's clock" -lt ${hour_s}000000

# A file may say anything.
for realtime in 1 0x7fffffffffffffff 0xffffffffffffffff; do
	edit "$work/1.1" "$work/old" field clock.realtime $realtime field clock.clock 0xfffffffffffffff0
	expect 0 "$stasis" check --clock realtime "$work/old"
done

for policy in continue realtime; do
	expect 0 "$stasis" roundtrip --mem 8M --guest clock --cpus 4 --clock $policy --until exit
	prints_last '^SAME$'
done
finish
