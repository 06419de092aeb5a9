# check: would this host take it?
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/smp.snap
snapshot "$file" smp --cpus 4 --at checkpoint=1

expect 0 "$stasis" check "$file"
complains_nothing
prints_last "^$file: this host takes it\$"
prints_not '^refused'
for regs in one-reg msrs; do
	expect 0 "$stasis" check "$file" --regs "$regs"
done

# Each thing that would not survive, by name; the guest never runs.
edit "$file" "$work/bad" register 0x4b564dee 1 register 0x4b564def 2
expect 1 "$stasis" check "$work/bad"
prints '^refused: vcpu0 msr MSR_0x4b564dee '
prints '^refused: vcpu0 msr MSR_0x4b564def '
prints_last "^$work/bad: this host does not take it: 2 reasons\$"
expect 1 "$stasis" check "$work/bad" --allow MSR_0x4b564dee
prints '^allowed: vcpu0 msr MSR_0x4b564dee '
prints_last "^$work/bad: this host does not take it: 1 reason\$"

expect 66 "$stasis" check "$work/nothing"
complains_once "$work/nothing: No such file or directory"
expect 65 "$stasis" check "$images/elf64.elf"
prints_nothing
complains_once 'not a Stasis snapshot'
finish
