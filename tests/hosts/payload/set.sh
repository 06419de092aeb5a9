#!/bin/sh
# The host test set: the static binary ./stasis on the KVM of the host that this runs on, by its built-in guests.
# usage: set.sh [PATTERN]     only the checks whose names match (a pattern of case)
. "$(dirname "$0")/lib.sh"
only=${1:-*}
mem='--mem 16M'

# wanted NAME: is this check to be made?
# shellcheck disable=SC2254 # the pattern is one
wanted() { case $1 in $only) true ;; *) false ;; esac }

# roundtrip NAME OPTIONS...: both machines are the same and both guests content with what they found.
roundtrip() {
	name="roundtrip $1"
	shift
	wanted "$name" || return
	# shellcheck disable=SC2086 # $mem is two words
	run roundtrip $mem "$@"
	if [ "$status" != 0 ] || [ "$(tail -n 1 output)" != SAME ]; then
		fail "$name" "status $status, expected 0 and SAME"
	elif grep -q 'ended with status' output && [ "$(grep -c 'ended with status 1$' output)" != 2 ]; then
		fail "$name" "a guest found a fault"
	else
		pass "$name"
	fi
}

# how GUEST: its first checkpoint and how far it is followed.
how() {
	case $1 in
	hello) echo --at exits=3 --until exit ;;
	counter) echo --at checkpoint=3 --until 12 ;;
	*) echo --until exit ;;
	esac
}

# ---- What the host is ----

one_reg=$("$stasis" host 2>/dev/null | awk '$2 == "KVM_CAP_ONE_REG" { print $3 }')
if wanted host; then
	run host
	cp output "$out/host"
	grep -E '^(kernel|vendor|registers|one_reg rules):' output | sed 's/^/      /'
	expect host 0 '0 as v13, 0 different'
fi

# ---- Every guest with every controller, one vCPU and four ----

# A line a guest, "name vcpus_max", and a line a controller that it cannot use, "name controller: reason".
"$stasis" guests --json | tr '{' '\n' | awk -F '"' '
	$2 == "name" { name = $4; sub(/.*"vcpus_max":/, ""); sub(/[^0-9].*/, ""); print name " " $0; next }
	{ for (i = 2; i + 2 <= NF; i += 4) print name " " $i ": " $(i + 2) }' >rows
grep ' [0-9]*$' rows >names
while read -r guest vcpus_max <&3; do
	for irqchip in full split none; do
		why=$(sed -n "s/^$guest $irqchip: //p" rows)
		if [ -n "$why" ]; then
			wanted "roundtrip $guest $irqchip" && skip "roundtrip $guest $irqchip" "$why"
			continue
		fi
		for cpus in 1 4; do
			[ "$cpus" -le "$vcpus_max" ] || continue
			# shellcheck disable=SC2046 # words
			roundtrip "$guest $irqchip $cpus" --guest "$guest" --irqchip $irqchip --cpus $cpus $(how "$guest")
		done
	done
	# shellcheck disable=SC2046 # words
	roundtrip "$guest x86-64-v1" --guest "$guest" --cpu x86-64-v1 $(how "$guest")
done 3<names

# ---- Every checkpoint ----

checkpoints() {
	guest=$1 cpus=$2
	shift 2
	for at; do
		roundtrip "$guest checkpoint $at" --guest "$guest" --cpus "$cpus" --at "checkpoint=$at" --until exit
	done
}
checkpoints regs 1 1 2
checkpoints interrupt 1 1 2 3 4 5 6 7 8
checkpoints smp 4 1 2
checkpoints memory 1 1
checkpoints clock 4 1 2 3
# The guest tells by its first line whether this host's CPU has shadow stacks.
# shellcheck disable=SC2086 # $mem is two words
if "$stasis" run $mem --guest shadow </dev/null 2>&1 | grep -q 'no shadow stacks'; then
	for at in 1 2 3; do
		wanted "roundtrip shadow checkpoint $at" && skip "roundtrip shadow checkpoint $at" "no shadow stacks on this CPU"
	done
else
	checkpoints shadow 1 1 2 3
fi
checkpoints exception 1 1 2 3 4 5 6 7 8 9 10 11 12 13
roundtrip "counter after 200 ms" --guest counter --at after=200ms --until 12
roundtrip "memory 128M" --mem 128M --guest memory --until exit

# ---- Both ways to registers ----

roundtrip "regs by msrs" --guest regs --regs msrs --until exit
if [ "${one_reg:-0}" != 0 ]; then
	roundtrip "regs by one-reg" --guest regs --regs one-reg --until exit
elif wanted "one-reg refused"; then
	run roundtrip --guest regs --regs one-reg
	expect "one-reg refused" 69 'ONE_REG'
fi

# ---- Files: each command in a process of its own ----

if wanted files; then
	# shellcheck disable=SC2086 # $mem is two words
	{
		run run $mem --guest counter --snapshot counter.snap --at checkpoint=5
		expect "run: a snapshot to a file" 0
		run run $mem --guest regs --snapshot a.snap --at checkpoint=1
		run run $mem --guest regs --snapshot b.snap --at checkpoint=2
	}
	run verify a.snap
	expect "verify" 0
	run check a.snap
	expect "check" 0 'takes it$'
	run inspect a.snap
	expect "inspect" 0 'IA32_LSTAR .*0x20300002c0000082 = '
	run inspect a.snap IA32_LSTAR
	expect "inspect IA32_LSTAR" 0 'IA32_LSTAR .*0x20300002c0000082 = 0xffffffff81c0ffee'
	run compare a.snap a.snap
	expect "compare: the same file" 0
	run compare a.snap b.snap
	expect "compare: another moment" 1 '^vcpu0 regs r8: '
	run restore a.snap
	expect "restore: the guest goes on in a new process to its end" 1
	timeout 3 "$stasis" restore counter.snap >output 2>&1 </dev/null
	if [ "$(head -n 1 output | tr -d '\r')" = 6 ]; then
		pass "restore: the counter goes on from 6"
	else
		fail "restore: the counter goes on from 6" "another first line"
	fi
	run restore --regs msrs a.snap
	expect "restore by msrs" 1
	# shellcheck disable=SC2086 # $mem is two words
	"$stasis" run $mem --guest regs --regs msrs --snapshot - --at checkpoint=1 2>/dev/null </dev/null |
		"$stasis" restore - >output 2>&1
	status=$?
	expect "a snapshot by msrs through a pipe" 1
	dd if=a.snap of=short.snap bs=4096 count=3 2>/dev/null
	run verify short.snap
	expect "verify: half a file" 1
	run restore short.snap
	expect "restore: half a file" 65
fi

finish
