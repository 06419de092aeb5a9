#!/bin/sh
# Snapshots that cross from host to host.
# usage: crossing.sh freeze HOST    hands back HOST.CPU.GUEST.snap for each guest, and what the guest prints behind it
#        crossing.sh thaw HOST      takes those of other hosts from in/, and hands back "pairs": a line for each host
#                                   that they came from and each CPU: FROM TO CPU taken|refused KIND... / GUEST...
#
# With the CPU that the host has, only that it is refused by name where it is not taken.  With x86-64-v1 nothing may
# stand in the way but the vendor and the frequency of the TSC; once these are allowed, each guest has to go on as it did
# at home.
. "$(dirname "$0")/lib.sh"
action=$1 here=$2
baseline=x86-64-v1

# A guest a line, its checkpoint, and its options: what it uses is in every x86-64 CPU.
guests() {
	cat <<-G
		regs 1 --append baseline
		memory 1
		exception 7
		interrupt 3
		smp 1 --cpus 4
	G
}

# freeze_one CPU GUEST CHECKPOINT OPTIONS...
freeze_one() {
	cpu=$1 guest=$2 at=$3 file=$here.$1.$2
	shift 3
	run run --mem 8M --guest "$guest" --cpu "$cpu" "$@" --snapshot "$file.snap" --at "checkpoint=$at"
	expect "freeze $guest, CPU $cpu" 0
	"$stasis" restore "$file.snap" >"$out/$file.rest" 2>output </dev/null
	status=$?
	expect "$guest, CPU $cpu, goes on at home" 1
	hand_back "$file.snap"
}

freeze() {
	freeze_one host regs 1
	while read -r guest at options <&3; do
		# shellcheck disable=SC2086 # words
		freeze_one $baseline "$guest" "$at" $options
	done 3<<-G
		$(guests)
	G
}

# What the last check found to be in the way, in words that --allow knows; sorted, in one line.
kinds() {
	awk '/^refused: / { sub(/^refused: /, "") }
		/^(vm|vcpu[0-9]+) / {
			kind = $2
			sub(/[:;]$/, "", kind)
			if (kind == "cpuid" && $3 ~ /^vendor/) kind = "vendor"
			if (kind == "tsc" && $3 ~ /^khz/) kind = "tsc-khz"
			print kind
		}' output | LC_ALL=C sort -u | tr '\n' ' '
}

# go_on NAME OPTIONS...: the guest does behind the restore what it did at home.
go_on() {
	name=$1
	shift
	"$stasis" restore "$@" "$name.snap" >rest 2>output </dev/null
	if cmp -s rest "$in/$name.rest"; then
		pass "$name goes on with: ${*:-nothing allowed}"
	else
		cat rest >>output
		fail "$name goes on with: ${*:-nothing allowed}" "it prints other things than at home"
		false
	fi
}

# Neither check nor restore takes it, both by the same names, and the guest does not say a word.
refused() {
	name=$1
	first=$(kinds)
	"$stasis" restore "$name.snap" >rest 2>output </dev/null
	status=$?
	if [ -s rest ]; then
		fail "$name is refused" "the guest ran"
	elif [ "$(kinds)" != "$first" ]; then
		fail "$name is refused" "check names $first, restore $(kinds)"
	else
		expect "$name is refused" 1 'nothing was started'
	fi
}

# thaw NAME: one snapshot.  Leaves what was in the way in $in_the_way.
thaw() {
	name=$1
	received "$name.snap"
	run check "$name.snap"
	in_the_way=$(kinds)
	if [ "$status" = 0 ]; then
		go_on "$name"
		return
	fi
	case $name in *.regs) refused "$name" ;; esac # for the others, check has said it
	case $name in *.host.*) return 1 ;; esac
	allowed=
	for kind in $in_the_way; do
		case $kind in
		vendor | tsc-khz) allowed="$allowed --allow $kind" ;;
		*)
			run check "$name.snap"
			fail "$name crosses" "$kind is in the way"
			return 1
			;;
		esac
	done
	# shellcheck disable=SC2086 # words
	go_on "$name" $allowed
}

thaw_all() {
	for cpu in host $baseline; do
		for from in $(cd "$in" && ls | sed -n "s/\.$cpu\.regs\.snap\.gz\$//p"); do
			[ "$from" != "$here" ] || continue
			all= went_on=
			for file in "$in/$from.$cpu".*.gz; do
				name=$(basename "$file" .snap.gz)
				thaw "$name" && went_on="$went_on ${name##*.}"
				rm "$name.snap"
				all="$all $in_the_way"
			done
			all=$(echo "$all" | tr ' ' '\n' | grep . | LC_ALL=C sort -u | tr '\n' ' ')
			echo "$from $here $cpu $([ -n "$all" ] && echo refused || echo taken) $all/$went_on" >>"$out/pairs"
		done
	done
}

case $action in
freeze) freeze ;;
thaw) thaw_all ;;
esac
finish
