/*
 * The long-mode guests' first instructions, their trap entries, and the instructions that may fault.
 */
#include "guest/abi.h"
#include "callee_saved.inc"
#include "lib.h"

	.section .text.start, "ax"
	.global start
start:
	cld
	movq %rdi, %rdx
	movl $bss_start, %edi
	movl $bss_end, %ecx
	subl %edi, %ecx
	shrl $3, %ecx
	xorl %eax, %eax
	rep stosq
	movq %rdx, %rdi
	call lib_start
	ud2

	.text
/*
 * One entry a vector, TRAP_ENTRY_SIZE bytes apart.  Every frame gets an error code, so that all look alike
 * (vectors that push one: SDM volume 3, table 6-1).
 */
	.balign TRAP_ENTRY_SIZE
	.global trap_entries
trap_entries:
	vector = 0
	.rept TRAP_VECTORS
	.balign TRAP_ENTRY_SIZE
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp trap_common
	vector = vector + 1
	.endr

/* Makes a struct trap of the registers; the CPU has aligned the stack so that it is aligned at the call, too. */
trap_common:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rbx
	pushq %rbp
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	call trap_dispatch
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rbp
	popq %rbx
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq

/* bool msr_read(uint32_t msr, uint64_t *ret_value): false where the CPU refuses. */
	.global msr_read, msr_read_at
msr_read:
	movl %edi, %ecx
msr_read_at:
	rdmsr
	shlq $32, %rdx
	orq %rdx, %rax
	movq %rax, (%rsi)
	movl $1, %eax
	ret

/* bool msr_write(uint32_t msr, uint64_t value): false where the CPU refuses. */
	.global msr_write, msr_write_at
msr_write:
	movl %edi, %ecx
	movl %esi, %eax
	movq %rsi, %rdx
	shrq $32, %rdx
msr_write_at:
	wrmsr
	movl $1, %eax
	ret

/* Where a refused RDMSR or WRMSR goes on. */
	.global msr_refused
msr_refused:
	xorl %eax, %eax
	ret

/*
 * uint64_t user_run(const void *code, void *area, uint64_t value): runs code at CPL 3 with RDI = area and
 * RDX:RAX = value until its UD2, from which trap_dispatch() comes back to user_return with RAX as the code left it.
 */
	.global user_run, user_return, user_stack
user_run:
	push_callee_saved
	movq %rsp, user_stack
	movq %rdi, %rcx
	movq %rsi, %rdi
	movl %edx, %eax
	shrq $32, %rdx
	pushq $USER_DATA_SELECTOR
	pushq %rsp
	pushq $2
	pushq $USER_CODE_SELECTOR
	pushq %rcx
	iretq
user_return:
	pop_callee_saved
	ret

	.bss
	.balign 8
user_stack:
	.skip 8

	.section .note.GNU-stack, "", @progbits
