/*
 * void gprs_hold(void): loads all general registers and RFLAGS from gprs_load, writes AL to the port DX, and stores
 * all of them to gprs_seen.  Between the two nothing but the OUT touches a register, RSP included, so whoever stops
 * the machine there finds the pattern.
 */
#include "callee_saved.inc"

	.text
	.global gprs_hold
gprs_hold:
	push_callee_saved
	pushfq
	movq %rsp, gprs_stack
	pushq gprs_load + 128
	popfq
	movq gprs_load, %rax
	movq gprs_load + 8, %rcx
	movq gprs_load + 16, %rdx
	movq gprs_load + 24, %rbx
	movq gprs_load + 32, %rsp
	movq gprs_load + 40, %rbp
	movq gprs_load + 48, %rsi
	movq gprs_load + 56, %rdi
	movq gprs_load + 64, %r8
	movq gprs_load + 72, %r9
	movq gprs_load + 80, %r10
	movq gprs_load + 88, %r11
	movq gprs_load + 96, %r12
	movq gprs_load + 104, %r13
	movq gprs_load + 112, %r14
	movq gprs_load + 120, %r15
	outb %al, %dx
	movq %rax, gprs_seen
	movq %rcx, gprs_seen + 8
	movq %rdx, gprs_seen + 16
	movq %rbx, gprs_seen + 24
	movq %rsp, gprs_seen + 32
	movq %rbp, gprs_seen + 40
	movq %rsi, gprs_seen + 48
	movq %rdi, gprs_seen + 56
	movq %r8, gprs_seen + 64
	movq %r9, gprs_seen + 72
	movq %r10, gprs_seen + 80
	movq %r11, gprs_seen + 88
	movq %r12, gprs_seen + 96
	movq %r13, gprs_seen + 104
	movq %r14, gprs_seen + 112
	movq %r15, gprs_seen + 120
	movq gprs_stack, %rsp
	pushfq
	popq gprs_seen + 128
	popfq
	pop_callee_saved
	ret

/* For user_run(): what moves the FPU's state between its registers and RDI, and reads XCR0 into RAX. */
	.global user_fxsave, user_fxrstor, user_xsave, user_xrstor, user_xgetbv
user_fxsave:
	fxsave (%rdi)
	ud2
user_fxrstor:
	fxrstor (%rdi)
	ud2
user_xsave:
	xsave (%rdi)
	ud2
user_xrstor:
	xrstor (%rdi)
	ud2
user_xgetbv:
	xorl %ecx, %ecx
	xgetbv
	shlq $32, %rdx
	orq %rdx, %rax
	ud2

	.bss
	.balign 8
gprs_stack:
	.skip 8

	.section .note.GNU-stack, "", @progbits
