# inspect: everything that is in a snapshot, by name.
. "$(dirname "$0")/lib.sh"
need_kvm
file=$work/regs.snap
snapshot "$file" regs --at checkpoint=1

expect 0 "$stasis" inspect "$file"
complains_nothing
prints '^id: [0-9a-f]{32}$'
prints "^created: $(date -u +%Y-%m)-[0-9]{2}T[0-9:]{8}Z\$"
prints '^writer: stasis [0-9.]+$'
prints "^kernel: Linux $(uname -r)\$"
prints '^cpu_vendor: [A-Za-z]{12}$'
prints '^vm machine nr_vcpus = 0x1$'
prints '^vcpu0 regs r15 = 0x[0-9a-f]+$'
# A register: ONE_REG id, name, value, decoded bits.
prints '^vcpu0 msr IA32_LSTAR \(0xc0000082\) 0x20300002c0000082 = 0x[0-9a-f]+$'
prints '^vcpu0 sregs efer = 0x[0-9a-f]+  \[.*LME LMA.*\]$'
prints '^vcpu0 sregs cr0 = 0x80[0-9a-f]+  \[PE .*PG.*\]$'
prints '^vcpu0 tsc tsc = 0x[0-9a-f]+  \(.*\)$'
for component in cpuid mp_state xcrs xsave debugregs lapic events; do
	prints "^vcpu0 $component "
done
for component in pic-master pic-slave ioapic uart ports clock pit; do
	prints "^vm $component "
done
cp "$out" "$work/all"

# Only a component, a kind of register, a register, a field.
expect 0 "$stasis" inspect "$file" uart
check 'lines of others' [ "$(grep -cv '^vm uart ' "$out")" -eq 0 ]
prints '^vm uart lcr = '
expect 0 "$stasis" inspect "$file" registers
check 'lines of others' [ "$(grep -cvE '^vcpu0 (msr|synthetic) ' "$out")" -eq 0 ]
for name in IA32_LSTAR ia32_lstar 'IA32_LSTAR (0xc0000082)' 0xc0000082 MSR_0xc0000082 0x20300002c0000082; do
	expect 0 "$stasis" inspect "$file" "$name"
	check 'not one line' [ "$(wc -l <"$out")" -eq 1 ]
	prints '^vcpu0 msr IA32_LSTAR '
done
expect 0 "$stasis" inspect "$file" cs.base
prints_exactly 'vcpu0 sregs cs.base = 0x0\n'
expect 64 "$stasis" inspect "$file" nobody
prints_nothing
complains_once "nobody: nothing in the snapshot is called that; without a name all of it is printed"

snapshot "$file" smp --cpus 4 --at checkpoint=1
expect 0 "$stasis" inspect "$file" mp_state
for vcpu in 0 1 2 3; do
	prints "^vcpu$vcpu mp_state mp_state = 0x"
done

expect 66 "$stasis" inspect "$work/nothing"
complains_once "$work/nothing: No such file or directory"
expect 65 "$stasis" inspect "$images/sector.bin"
complains_once "$images/sector.bin: "
finish
