/*
 * Where a further CPU starts: smp_start.c copies this to TRAMPOLINE_GPA.  It goes from real mode to long mode at once, without
 * 32-bit paging between (SDM volume 3, 10.8.5).
 */
#include "guest/abi.h"
#include "lib.h"
#include "smp.h"

	.text
	.code16
	.global trampoline, trampoline_end, trampoline_gdt, trampoline_cr0, trampoline_cr4, trampoline_efer
trampoline:
	cli
	movw %cs, %ax
	movw %ax, %ds
	lgdtl trampoline_gdt - trampoline
	movl trampoline_cr4 - trampoline, %eax
	movl %eax, %cr4
	movl $BOOT_PML4_GPA, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl trampoline_efer - trampoline, %eax
	xorl %edx, %edx
	wrmsr
	movl trampoline_cr0 - trampoline, %eax
	movl %eax, %cr0
	ljmpl $BOOT_CODE_SELECTOR, $cpu_start

/* What the first CPU has; smp_start.c fills it in, in the copy. */
	.balign 4
trampoline_cr0:
	.long 0
trampoline_cr4:
	.long 0
trampoline_efer:
	.long 0
trampoline_gdt:
	.skip 6
trampoline_end:

	.code64
cpu_start:
	movl $BOOT_DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl $(LAPIC_GPA + LAPIC_ID), %eax
	movl (%rax), %edi
	shrl $24, %edi
	leal 1(%rdi), %eax
	imull $STACK_SIZE, %eax
	leaq stacks(%rax), %rsp
	call cpu_main
	ud2

	.section .note.GNU-stack, "", @progbits
