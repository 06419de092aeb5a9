#!/bin/sh
# Shadow stacks across snapshots, and what happens without GUEST_SSP, by the guest "shadow".  Where the host has them, it
# hands back shadow-0.snap and shadow-1.snap; where it has not: what it says to those two of one that has.
. "$(dirname "$0")/lib.sh"
guest='--mem 8M --guest shadow'
ssp='synthetic GUEST_SSP \(0x2030000300000000\)'

take() { # FILE CHECKPOINT OPTIONS...
	file=$1 at=$2
	shift 2
	# shellcheck disable=SC2086 # words
	run run $guest "$@" --snapshot "$file" --at "checkpoint=$at"
}

# ---- On a host with shadow stacks ----

roundtrips() {
	for at in 0 1 2 3; do
		# shellcheck disable=SC2086 # words
		run roundtrip $guest --at "checkpoint=$at" --keep "$at.snap" --until exit
		if [ "$(grep -c 'ended with status 1$' output)" != 2 ]; then
			fail "roundtrip $at" "the guests did not both end with status 1"
		else
			expect "roundtrip $at" 0 '^SAME$'
		fi
	done
	run inspect 0.snap GUEST_SSP
	expect "GUEST_SSP is saved before CR4.CET" 0 "$ssp .* = 0x0"
	for at in 1 2 3; do
		run inspect "$at.snap" GUEST_SSP
		expect "GUEST_SSP is saved at checkpoint $at" 0 "$ssp .* = 0x9[0-9a-f]{4}\$"
	done
	run inspect 1.snap
	expect "the other registers of CET are saved" 0 'IA32_U_CET .* = 0x1 ' 'IA32_S_CET .* = 0x1 ' \
		'IA32_PL0_SSP .* = 0x90ff8' 'IA32_PL3_SSP .* = 0x92000' '\(0x6a8\) .* = 0x10' 'IA32_XSS .* = 0x1800 '
}

restores() {
	for at in 1 2 3; do
		run restore "$at.snap"
		expect "restore $at" 1 '^shadow: all tokens free again$'
	done
}

# SSP is 0 in a new vCPU.  There is no shadow stack; an error code of 0x40 and the page being there (1) are what #PF tells,
# and 4 where it happened at CPL 3.
without_ssp() {
	for at in 1 2 3; do
		code=0x41
		[ "$at" = 2 ] && code=0x45
		run restore --without GUEST_SSP "$at.snap"
		expect "without GUEST_SSP $at: #PF" 3 "GUEST_SSP" "^shadow: #PF, error code $code, CR2 0x0, "
	done
	take page.snap 1 --append page-at-0
	run restore page.snap
	expect "a shadow stack at 0 that is not used" 1 '^shadow: all tokens free again$'
	run restore --without GUEST_SSP page.snap
	expect "without GUEST_SSP, its entry is wrong: #CP" 3 '^shadow: #CP, error code 0x1, '
	# #PF's handler is on another shadow stack: the difference stays.
	run restore --without GUEST_SSP --snapshot after.snap --at exits=1 1.snap
	run compare 1.snap after.snap
	expect "compare names GUEST_SSP" 1 "^vcpu0 $ssp: 0x90fa0 != 0x92f[0-9a-f]{2}\$"
	run compare 1.snap 2.snap
	expect "compare names GUEST_SSP at two checkpoints" 1 "^vcpu0 $ssp: 0x90fa0 != 0x91fa0\$"
	# shellcheck disable=SC2086 # words
	run roundtrip $guest --without GUEST_SSP --at checkpoint=1 --until exit
	expect "roundtrip without GUEST_SSP" 1 '^guest end: ended with status 1 != ended with status 3' '^DIFFERENT: '
}

without_one_reg() {
	# shellcheck disable=SC2086 # words
	run run $guest --regs msrs --snapshot msrs.snap --at checkpoint=1
	expect "a snapshot by MSRs would lose GUEST_SSP" 64 'GUEST_SSP holds 0x90fa0, which only ONE_REG can carry'
	run restore --regs msrs 1.snap
	expect "a restore by MSRs would lose GUEST_SSP" 1 "^refused: vcpu0 $ssp: 0x90fa0"
}

baseline() {
	# shellcheck disable=SC2086 # words
	run roundtrip $guest --cpu x86-64-v1 --keep v1.snap --until exit
	expect "without SHSTK in CPUID" 0 '^SAME$'
	run inspect v1.snap
	if grep -q GUEST_SSP output; then
		fail "without SHSTK in CPUID there is no GUEST_SSP" "it is in the snapshot"
	else
		pass "without SHSTK in CPUID there is no GUEST_SSP"
	fi
}

# ---- On a host without ----

# shadow-1.snap was taken with shadow stacks in use, shadow-0.snap before CR4.CET was set.
refusals() {
	for command in check restore; do
		run $command "shadow-1.snap"
		expect "$command: every reason at once" 1 '^refused: vcpu0 cpuid SHSTK' "CR4's .*CET, and no --allow" \
			'^refused: vcpu0 msr IA32_S_CET ' '^refused: vcpu0 msr IA32_PL0_SSP ' "^refused: vcpu0 $ssp: 0x90fa0"
		[ "$vendor" = GenuineIntel ] || expect "$command: the vendor, too" 1 '^refused: vcpu0 cpuid vendor: GenuineIntel'
	done
	allowed='--allow vendor --allow cpuid --allow tsc-khz --allow xsave --allow registers'
	# shellcheck disable=SC2086 # words
	run restore $allowed --allow sregs --allow cr4 --allow CR4.CET "shadow-1.snap"
	expect "CR4.CET cannot be allowed" 1 "^refused: vcpu0 sregs cr4: .*CR4's .*CET, and no --allow lets it through"
	# shellcheck disable=SC2086 # words
	run check $allowed "shadow-0.snap"
	expect "before CR4.CET the rest can be allowed" 0 '^allowed: vcpu0 cpuid SHSTK' "^allowed: vcpu0 $ssp: 0x0" \
		'this host takes it$'
	# shellcheck disable=SC2086 # words
	run restore $allowed --snapshot here.snap --at exits=1 "shadow-0.snap"
	run compare "shadow-0.snap" here.snap
	expect "compare tells what was allowed" 1 "^vcpu0 $ssp: present != absent"
}

# shellcheck disable=SC2086 # words
run run $guest
vendor=$(sed -n 's/^vendor_id[^:]*: //p' /proc/cpuinfo | head -n 1)
if ! grep -q '^shadow: no shadow stacks on this CPU' output; then
	expect run 1 '^shadow: all tokens free again$'
	roundtrips
	restores
	without_ssp
	without_one_reg
	baseline
	mv 0.snap shadow-0.snap
	mv 1.snap shadow-1.snap
	hand_back shadow-0.snap
	hand_back shadow-1.snap
elif received shadow-0.snap && received shadow-1.snap; then
	expect run 1
	refusals
else
	skip "shadow stacks" "this host has none, and shadow-0.snap and shadow-1.snap are not there"
fi
finish
