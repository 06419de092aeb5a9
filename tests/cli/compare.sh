# compare: one line a difference, by name.
. "$(dirname "$0")/lib.sh"
need_kvm
a=$work/a.snap
b=$work/b.snap
snapshot "$a" hello --at exits=9
cp "$a" "$b"

expect 0 "$stasis" compare "$a" "$b"
prints_exactly "$a and $b: the same\n"
expect 0 "$stasis" compare "$a" "$a"

differ() { # differ LINES KIND NAME VALUE...: after these edits, a and b differ in these lines and no other
	lines=$1
	shift
	edit "$a" "$b" "$@"
	nr=$(printf "$lines" | wc -l)
	expect 1 "$stasis" compare "$a" "$b"
	prints_exactly "$lines$a and $b: $nr difference$([ "$nr" -eq 1 ] || echo s)\n"
	complains_nothing
}
differ 'vcpu0 msr IA32_LSTAR (0xc0000082): 0x0 != 0xffff800000001000\n' register IA32_LSTAR 0xffff800000001000
differ 'vcpu0 regs rbp: 0x0 != 0x1234\n' field regs.rbp 0x1234
differ 'vcpu0 sregs cr4: 0x0 != 0x20; +PAE\n' field sregs.cr4 0x20
differ 'vcpu0 sregs efer: 0x0 != 0x501; +SCE +LME +LMA\n' field sregs.efer 0x501
differ 'vcpu0 sregs cs.base: 0x0 != 0x10\n' field sregs.cs.base 0x10
differ 'vcpu0 debugregs db[3]: 0x0 != 0x7\n' field 'debugregs.db[3]' 7
differ 'vm uart scr: 0x0 != 0x55\n' field uart.scr 0x55
differ 'vcpu0 msr MSR_0x4b564dee (0x4b564dee): absent != present\n' register 0x4b564dee 1
differ 'vcpu0 synthetic GUEST_SSP (0x2030000300000000): absent != present\n' register GUEST_SSP 1
differ 'vcpu0 msr IA32_STAR (0xc0000081): 0x0 != 0x2\nvcpu0 regs rbp: 0x0 != 0x1\n' field regs.rbp 1 register IA32_STAR 2
# RAM: pages that follow each other are one line; where the first byte differs, and of the first line the bytes there.
zeros='00 00 00 00 00 00 00 00 00 00 00 00 00 00 00'
differ 'ram 0x1000-0x1fff: 1 page; first at 0x1234: 00 != 55; from 0x1230: 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 != 00 00 00 00 55 00 00 00 00 00 00 00 00 00 00 00\n' ram 0x1234 0x55
differ "ram 0x1000-0x2fff: 2 pages; first at 0x1fff: 00 != 01; from 0x1ff0: $zeros 00 != $zeros 01\n" ram 0x1fff 1 ram 0x2000 2
first="ram 0x300000-0x300fff: 1 page; first at 0x300000: 00 != 01; from 0x300000: 00 $zeros != 01 $zeros"
last_page='ram 0x7ff000-0x7fffff: 1 page; first at 0x7fffff: 00 != ff'
differ "$first\\n$last_page\\n" ram 0x300000 1 ram 0x7fffff 255

# Volatile fields come last, marked, with the reason, and make no difference.
edit "$a" "$b" field tsc.tsc 0x1000
expect 0 "$stasis" compare "$a" "$b"
prints '^volatile: vcpu0 tsc tsc: 0x[0-9a-f]+ != 0x1000; [a-z ]+'
prints_last ': the same$'
edit "$a" "$b" field tsc.tsc 0x1000 field regs.rbp 1 ram 0x1234 1
expect 1 "$stasis" compare "$a" "$b"
first_kinds=$(cut -d ' ' -f 1 "$out" | tr '\n' ' ')
check "the order of lines is $first_kinds" [ "$first_kinds" = "vcpu0 ram volatile: $a " ]

# Another machine.
snapshot "$b" hello --at exits=9 --irqchip split --mem 4M
expect 1 "$stasis" compare "$a" "$b"
prints '^vm machine irqchip: 0x2 != 0x1$'
prints '^vm machine ranges\[0\]\.size: 0x800000 != 0x400000$'
prints '^vm ioapic: present != absent$'

expect 66 "$stasis" compare "$a" "$work/nothing"
prints_nothing
complains_once "$work/nothing: No such file or directory"
expect 65 "$stasis" compare "$images/elf64.elf" "$a"
complains_once "$images/elf64.elf: not a Stasis snapshot"
finish
