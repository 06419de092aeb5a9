# Snapshots that this host cannot take: refused by name before the guest says a word, unless the user allows it.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/counter.snap
bad=$work/bad.snap
snapshot "$file" counter --at checkpoint=2

refused() { # refused NAME-TO-ALLOW REGEX: the snapshot in $bad
	expect 1 "$stasis" restore "$bad"
	prints_nothing
	complains "^refused: $2"
	complains '^stasis: .*nothing was started$'
	expect 1 "$stasis" check "$bad"
	prints "^refused: $2"
	prints_last 'this host does not take it: [1-9]'
	complains_nothing
	expect_lines 2 "$stasis" restore "$bad" --allow "$1"
	prints_exactly '3\n4\n'
	complains "^allowed: $2"
	expect 0 "$stasis" check "$bad" --allow "$1"
	prints "^allowed: $2"
	prints_last 'this host takes it$'
}

# A CPU feature that KVM does not have here.
is_refused=false
for feature in SHSTK HLE AMX_TILE KEY_LOCKER UINTR; do
	edit "$file" "$bad" feature "$feature" on
	"$stasis" check "$bad" >"$out" && continue
	is_refused=true
	refused "$feature" "vcpu0 cpuid $feature"
	break
done
check 'no feature was refused' "$is_refused"
expect 1 "$stasis" check "$bad"
check 'one feature is told more than once' [ "$(grep -c "^refused: vcpu0 cpuid $feature;" "$out")" -eq 1 ]
# A word that is no name is a mistake, not an allowance.
expect 64 "$stasis" check "$bad" --allow ia32_lstra
complains_once '--allow ia32_lstra: expected the name of a register, a component, a field, a CPU feature, vendor or tsc-khz'
# Allowing another thing lets nothing through.
expect 1 "$stasis" restore "$bad" --allow IA32_LSTAR --allow vendor
prints_nothing

edit "$file" "$bad" field tsc.khz 1234567
"$stasis" check "$bad" >"$out" || refused tsc-khz 'vcpu0 tsc khz'

# A register that no CPU has.
edit "$file" "$bad" register 0x4b564dee 0x1234
refused MSR_0x4b564dee 'vcpu0 msr MSR_0x4b564dee \(0x4b564dee\): 0x1234, this host: no such register'
edit "$file" "$bad" register 0x2030000300000007 0x10
refused SYNTHETIC_0x00000007 'vcpu0 synthetic SYNTHETIC_0x00000007 .*: 0x10, this host: no such register'
refused registers 'vcpu0 synthetic SYNTHETIC_0x00000007 '

# All that is wrong is told at once.
edit "$file" "$bad" register 0x4b564dee 0x1234 register 0x4b564def 0x1
expect 1 "$stasis" restore "$bad"
complains 'MSR_0x4b564dee'
complains 'MSR_0x4b564def'
complains '^stasis: 2 differences '

# A value that this register cannot have.
edit "$file" "$bad" register IA32_LSTAR 0x8000000000000000
expect 1 "$stasis" restore "$bad"
prints_nothing
complains 'vcpu0 msr IA32_LSTAR \(0xc0000082\): 0x8000000000000000'

# Where a whole component is refused, that is said once, and not field by field what did not arrive.
edit "$file" "$bad" field xsave.xstate_bv 3 field xsave.mxcsr 0xffffffff field xsave.fcw 0x37e
expect 1 "$stasis" restore "$bad"
complains '^refused: vcpu0 xsave; '
complains '^stasis: 1 difference '
finish
