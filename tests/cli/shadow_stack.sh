# A snapshot of a vCPU that has a synthetic register, GUEST_SSP, on a host whose KVM has none.
. "$(dirname "$0")/lib.sh"
need_kvm
"$stasis" host >"$out"
grep -q '^registers: .* 0 synthetic$' "$out" || skip "this host has synthetic registers"
file=$work/counter.snap
snapshot "$file" counter --at checkpoint=2
edit "$file" "$work/ssp" register 0x2030000300000000 0x1000

expect 0 "$stasis" inspect "$work/ssp" GUEST_SSP
prints_exactly 'vcpu0 synthetic GUEST_SSP (0x2030000300000000) 0x2030000300000000 = 0x1000\n'
expect 1 "$stasis" restore "$work/ssp"
prints_nothing
complains '^refused: vcpu0 synthetic GUEST_SSP \(0x2030000300000000\): 0x1000, this host: no such register'
expect 1 "$stasis" check "$work/ssp"
prints '^refused: vcpu0 synthetic GUEST_SSP '
expect 1 "$stasis" restore "$work/ssp" --regs msrs
prints_nothing
complains 'GUEST_SSP'
expect_lines 2 "$stasis" restore "$work/ssp" --allow GUEST_SSP
prints_exactly '3\n4\n'
complains '^allowed: vcpu0 synthetic GUEST_SSP '
# Zero is what it has after a reset, but that a vCPU has it is not nothing.
edit "$file" "$work/zero" register 0x2030000300000000 0
expect 1 "$stasis" restore "$work/zero"
prints_nothing
complains '^refused: vcpu0 synthetic GUEST_SSP '
# What KVM refuses in KVM_SET_SREGS2 is named, and nothing that is allowed lets it through.
for allow in sregs cr4 CR4.CET; do
	edit "$file" "$work/cet" field sregs.cr4 0x800000 field sregs.cr0 0x60010010
	expect 1 "$stasis" restore "$work/cet" --allow $allow
	prints_nothing
	complains "^refused: vcpu0 sregs cr4: 0x800000, this host: 0x0; KVM refuses CR4's CET, and no --allow lets it through"
done
finish
