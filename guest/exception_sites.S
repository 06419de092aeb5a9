/*
 * Where exception.c has its exceptions.  Each NAME writes its number to a port, and the very next instruction, at
 * NAME_at, is where the trap comes; the handler goes on at NAME_after.
 *	void NAME(uint64_t port, uint64_t number)
 */
	.text

.macro SITE name
	.global \name, \name\()_at, \name\()_after
	.balign 16
\name:
.endm

/* The write to the port, with the number in AL. */
.macro WRITE
	movl %edi, %edx
	movl %esi, %eax
	outb %al, %dx
.endm

	SITE undefined
	WRITE
undefined_at:
	ud2
undefined_after:
	ret

/* RDX is the dividend's upper half: below the divisor it would fit. */
	SITE divide
	xorl %ecx, %ecx
	WRITE
divide_at:
	divl %ecx
divide_after:
	ret

/* 5 GiB: above what abi.h maps. */
	SITE page_read
	movabsq $0x140000000, %rcx
	WRITE
page_read_at:
	movb (%rcx), %cl
page_read_after:
	ret

	SITE page_write
	movabsq $0x140000008, %rcx
	WRITE
page_write_at:
	movb %al, (%rcx)
page_write_after:
	ret

/* A selector behind the GDT's end: the error code is the selector. */
	SITE protection
	movl $0x80, %ecx
	WRITE
protection_at:
	movl %ecx, %es
protection_after:
	ret

/* TF is set by POPF and traps behind the instruction after it, the write. */
	SITE step
	movl %edi, %edx
	movl %esi, %eax
	pushfq
	orl $0x100, (%rsp)
	popfq
	outb %al, %dx
step_at:
	nop
	nop
step_after:
	ret

/* STI holds an interrupt that is requested back until the instruction after it, the write, is done. */
	SITE shadow
	movl %edi, %edx
	movl %esi, %eax
	sti
	outb %al, %dx
shadow_at:
	nop
	cli
shadow_after:
	ret

	.section .note.GNU-stack, "", @progbits
