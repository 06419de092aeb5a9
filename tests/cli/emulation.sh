# An instruction that this KVM cannot emulate: what a KVM without hardware to help it makes of int3 in 64-bit code.
. "$(dirname "$0")/lib.sh"
need_kvm
expect 70 "$stasis" run "$images/end.elf" --append b
grep -q 'triple fault' "$err" && skip "this KVM runs int3; without an IDT it is a triple fault"
prints_nothing
complains '^stasis: vCPU 0: this KVM cannot emulate the instruction at RIP$'
complains '^64-bit mode, CS:RIP 0008:1[0-9a-f]{5}, bytes there: cc fa f4 '
complains '^rax=62 rbx=0 rcx=0 '
complains '^r8=0 .* r15=1122334455667788$'
complains '^rip=1[0-9a-f]{5} rflags=[0-9a-f]+ cr0=80000033 cr2=0 cr3=2000 cr4=620 efer=(500|d00) ss=10$'
finish
