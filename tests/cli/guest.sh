# A built-in guest's round trips: with every interrupt controller and number of vCPUs that it can use, at each of its
# checkpoints (guest/README.md).
. "$(dirname "$0")/lib.sh"
need_kvm
guest=$1

# "vcpus_max": 16 of the guest in the list, or what stands at another name of it.
listed() {
	"$stasis" guests --json | tr -d '\n' | sed 's/{ *"name"/\n&/g' | grep "\"name\": *\"$guest\"" |
		sed -n "s/.*\"$1\": *\"*\([^,\"}]*\).*/\1/p"
}

trip() { # trip HOW-BOTH-ENDED OPTION...
	ended=$1
	shift
	expect 0 "$stasis" roundtrip --mem 8M --guest "$guest" "$@"
	both_went_on
}
both_went_on() {
	prints_last '^SAME$'
	prints "^the first machine went on: [1-9][0-9]* bytes printed, $ended\$"
	prints "^the second machine went on: [1-9][0-9]* bytes printed, $ended\$"
	complains_nothing
}

good='ended with status 1'
irqchips='full split none'
machines() { # machines HOW-BOTH-ENDED OPTION...: on all machines that can run the guest, of $irqchips
	for irqchip in $irqchips; do
		[ -z "$(listed "$irqchip")" ] || continue
		for cpus in 1 4; do
			[ "$cpus" -le "$(listed vcpus_max)" ] || continue
			trip "$@" --irqchip "$irqchip" --cpus "$cpus"
		done
	done
}

checkpoints() { # checkpoints FROM TO
	at=$1
	while [ "$at" -le "$2" ]; do
		machines "$good" --at "checkpoint=$at" --until exit
		at=$((at + 1))
	done
}

case $guest in
hello) machines "$good" --at exits=15 ;;
counter)
	machines 'still running' --until 12
	for time in 300ms 3s 20s; do # of which a busy host may give the guest nothing
		expect 0 "$stasis" roundtrip --mem 8M --guest "$guest" --at checkpoint=7 --until $time
		grep -q ' went on: 0 bytes printed' "$out" || break
	done
	both_went_on
	trip 'still running' --at after=50ms --until 12
	;;
regs) checkpoints 1 2 ;;
interrupt)
	checkpoints 1 6
	irqchips=full
	checkpoints 7 8
	;;
smp)
	checkpoints 1 2
	trip "$good" --cpus 16 --until exit
	;;
memory)
	machines "$good" --append 'pages=16 rounds=4' --at checkpoint=1 --until exit
	trip 'still running' --append 'pages=4 rounds=0' --at after=20ms --until 40
	;;
memory-smp)
	machines "$good" --append 'pages=16 rounds=4' --at checkpoint=1 --until exit
	;;
clock)
	irqchips='full split'
	checkpoints 1 3
	;;
exception)
	checkpoints 1 11
	irqchips='full split'
	checkpoints 12 13
	;;
esac
finish
