# What this host offers, and the guests.
. "$(dirname "$0")/lib.sh"
need_kvm

expect 0 "$stasis" host
complains_nothing
prints "^kernel: Linux $(uname -r | cut -c1-90)\$"
prints '^vendor: [A-Za-z]+$'
prints '^post-copy: (yes|no: .*)$'
for name in ONE_REG IRQCHIP XSAVE2 TSC_DEADLINE_TIMER; do
	prints "^capability KVM_CAP_$name +[0-9]+ +[a-zA-Z]"
done
prints '^registers: [0-9]+ MSRs listed by KVM; [0-9]+ in a snapshot: [0-9]+ MSRs, [0-9]+ synthetic$'
# One line a rule, and the sum of all.
prints '^one_reg (reserved-bits|msr-get|list-address) +(as documented|as v13|different|does not apply|no ONE_REG): '
n='[0-9]+'
prints_last "^one_reg rules: $n as documented, $n as v13, $n different, $n does not apply, $n no ONE_REG\$"
sum=$(tail -n 1 "$out" | sed 's/v13//' | tr -c '0-9' '\n' | awk '{ sum += $1 } END { print sum }')
check "the sum of the rules is not their number" [ "$((sum + 1))" -eq "$(grep -c '^one_reg ' "$out")" ]

expect 0 "$stasis" guests
complains_nothing
for guest in hello counter; do
	prints "^$guest +real +[a-z]"
done
for guest in regs interrupt smp memory exception shadow clock; do
	prints "^$guest +long +[a-zA-Z]"
done
prints '^ +not with --irqchip none: it needs local APICs$'

# What a guest cannot use is said before anything runs.
expect 64 "$stasis" run --guest smp --irqchip none
complains_once '--guest smp: not with this --irqchip: it needs local APICs'
expect 64 "$stasis" run --guest regs --cpus 2
complains_once '--guest regs --cpus 2: it takes 1 to 1'
finish
