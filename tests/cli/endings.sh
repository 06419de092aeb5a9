# How a guest can end: what is said then, and the exit status.
. "$(dirname "$0")/lib.sh"
need_kvm

ends() { # ends STATUS COMMAND-LINE OPTION...
	wanted_status=$1
	line=$2
	shift 2
	expect "$wanted_status" "$stasis" run "$images/end.elf" --append "$line" "$@"
	prints_nothing
}
ends 0 k
complains_once 'the guest asked for a reset; it ends here'
ends 0 r
complains_once 'the guest asked for a reset; it ends here'
ends 0 h --irqchip none
complains_once 'vCPU 0 halted, and without an interrupt controller nothing can wake it; it ends here'

# SVM resets the vCPU before anybody sees a triple fault (KVM's svm.c, shutdown_interception()).
ends 70 t
complains '^stasis: vCPU 0: triple fault'
if grep -q 'this KVM has reset the vCPU' "$err"; then
	complains '^real mode, CS:RIP f000:fff0, bytes there: '
else
	complains '^64-bit mode, CS:RIP 0008:1[0-9a-f]{5}, bytes there: 0f 0b '
	complains '^rax=[0-9a-f]+ rbx=0 '
	complains ' r15=1122334455667788$'
	complains '^rip=1[0-9a-f]{5} '
	complains ' cr3=2000 '
fi

# With a LAPIC, HLT waits for an interrupt: it is the user who ends it.
last='run, HLT, SIGTERM'
timeout 1 "$stasis" run "$images/end.elf" --append h >"$out" 2>"$err" </dev/null
check "exit status $?, expected timeout's 124" [ $? -eq 124 ]
complains_nothing

# A roundtrip tells ends apart from errors.
for line in k r x; do
	expect 0 "$stasis" roundtrip "$images/end.elf" --append "$line" --at after=0us --until exit
done
finish
