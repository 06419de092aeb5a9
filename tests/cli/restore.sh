# restore: what is left out on purpose, which way registers travel, what cannot be read.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/regs.snap
snapshot "$file" regs --at checkpoint=1

expect 1 "$stasis" restore "$file"
complains_nothing
prints '^round 19: all as written$'
cp "$out" "$work/whole"

# Left out: said, by name; and the guest, which verifies its registers, misses it.
expect 3 "$stasis" restore "$file" --without IA32_LSTAR
complains '^allowed: vcpu0 msr IA32_LSTAR \(0xc0000082\): 0x[0-9a-f]+; left out, as asked$'
prints 'IA32_LSTAR|LSTAR|0xc0000082'
expect 3 "$stasis" restore "$file" --without 0xc0000082
complains '^allowed: vcpu0 msr IA32_LSTAR \(0xc0000082\): 0x[0-9a-f]+; left out, as asked$'
expect 3 "$stasis" restore "$file" --without ia32_star --without IA32_FMASK
complains 'IA32_STAR \(0xc0000081\).*; left out, as asked$'
complains 'IA32_FMASK \(0xc0000084\).*; left out, as asked$'
complains_not 'LSTAR'
expect 3 "$stasis" restore "$file" --without debugregs
complains '^allowed: vcpu0 debugregs; left out, as asked$'
expect 3 "$stasis" restore "$file" --without xsave
complains '^allowed: vcpu0 xsave; left out, as asked$'
# Whatever is left out, the rest is there.
expect 1 "$stasis" restore "$file" --without uart
complains '^allowed: vm uart; left out, as asked$'
check 'the guest prints something else' cmp -s "$out" "$work/whole"

# When which step was done is told at the end, and changes nothing else.
expect 1 "$stasis" restore "$file" --trace-time
check 'the guest prints something else' cmp -s "$out" "$work/whole"
for step in 'open KVM' 'put sregs' 'read sregs' 'compare' 'enter sandbox' 'first byte'; do
	complains "^ +[0-9]+\\.[0-9] +[0-9]+\\.[0-9]  $step\$"
done

# Registers by either way: the same file, and each takes the other's.
for regs in one-reg msrs; do
	snapshot "$work/$regs" regs --at checkpoint=1 --regs "$regs"
done
"$stasis" compare "$work/one-reg" "$work/msrs" | grep -Ev '^(volatile: |ram |.*: [0-9]+ difference)' >"$out"
last='compare of the two'
check 'their state differs' [ ! -s "$out" ]
for regs in one-reg msrs; do
	snapshot "$work/$regs" hello --at exits=9 --regs "$regs"
done
expect 0 "$stasis" compare "$work/one-reg" "$work/msrs"
for regs in one-reg msrs; do
	snapshot "$work/$regs" regs --at checkpoint=1 --regs "$regs"
done
for regs in one-reg msrs; do
	for from in one-reg msrs; do
		expect 1 "$stasis" restore "$work/$from" --regs "$regs"
		check 'the guest prints something else' cmp -s "$out" "$work/whole"
		complains_nothing
	done
	expect 0 "$stasis" roundtrip --guest regs --regs "$regs"
	prints_last '^SAME$'
done

expect 66 "$stasis" restore "$work/nothing"
complains_once "$work/nothing: No such file or directory"
expect 65 "$stasis" restore "$images/elf64.elf"
prints_nothing
complains_once "$images/elf64.elf: not a Stasis snapshot"
expect 65 "$stasis" restore /dev/null
complains_once '/dev/null: truncated'
head -c 70000 "$file" >"$work/short"
expect 65 "$stasis" restore "$work/short"
prints_nothing
complains_once "$work/short: truncated: 70000 bytes, expected [0-9]+"
finish
