/*
 * What shadow.c does with shadow stacks on.  Where they are switched on or off there is no call and no return: each RET
 * must find on the shadow stack what its CALL has put there.
 */
#include "callee_saved.inc"
#include "lib.h"
#include "shadow.h"

	.text

.macro S_CET value
	movl $MSR_S_CET, %ecx
	movl $\value, %eax
	xorl %edx, %edx
	wrmsr
.endm

/*
 * uint64_t nest(uint64_t port, uint64_t number): calls itself NEST_LEVELS deep, from another place each time, so that no
 * return address is like its neighbour; writes number to the port there, and waits where it is wait_number; gives a bit
 * for each level that came back.
 */
	.global nest
nest:
	level = 0
	.rept NEST_LEVELS
	call 1f
	orl $1 << level, %eax
	ret
1:
	level = level + 1
	.endr
	movl %edi, %edx
	movl %esi, %eax
	outb %al, %dx
	cmpq %rsi, wait_number
	jne 2f
	call wait_for_move
2:
	xorl %eax, %eax
	ret

/*
 * uint64_t nest_supervisor(uint64_t port, uint64_t number): nest() on the shadow stack whose token is in IA32_PL0_SSP.
 * At the end SSP is back at the token, which is set free.  The caller looks whether it is: Bochs 3.0 has the carry flag of
 * CLRSSBSY the wrong way round.
 */
	.global nest_supervisor
nest_supervisor:
	S_CET CET_SH_STK_EN
	setssbsy
	call nest
	movq %rax, %r8
	rdsspq %rax
	clrssbsy (%rax)
	S_CET 0
	movq %r8, %rax
	ret

/*
 * void user_enter(uint64_t port, uint64_t number, void *stack): calls user_code() at CPL 3 and makes two exceptions there: at
 * user_middle, behind which it goes on, and at user_end, from which user_leave() comes back to the caller.  IRETQ to
 * CPL 3 sets the token free that SSP is at; IOPL is 3 there.
 */
	.global user_enter, user_middle, user_end
user_enter:
	push_callee_saved
	movq %rsp, caller_stack
	movq %rdx, %r8
	S_CET CET_SH_STK_EN
	setssbsy
	pushq $USER_DATA_SELECTOR
	pushq %r8
	pushq $0x3002
	pushq $USER_CODE_SELECTOR
	pushq $user_first
	iretq
user_first:
	call user_code
user_middle:
	ud2
user_end:
	ud2

/* void user_leave(void *token): back to user_enter()'s caller, the token on IA32_PL0_SSP's shadow stack set free. */
	.global user_leave
user_leave:
	clrssbsy (%rdi)
	S_CET 0
	movq caller_stack, %rsp
	pop_callee_saved
	ret

	.bss
	.balign 8
caller_stack:
	.skip 8

	.section .note.GNU-stack, "", @progbits
