/*
 * counter: a boot sector that prints 0, 1, 2, ... for ever and asks for a snapshot after each number.
 * The number lives in EDI, 32 bits wide.
 */
#include "guest/abi.h"
#include "real.h"

/* TSC ticks between two numbers: 15 to 25 numbers a second at 2 to 3.4 GHz. */
#define PACE_TICKS (1 << 27)

	REAL_START
	xorl %edi, %edi
next:	movl %edi, %eax
	call put_decimal
	movb $'\n', %al
	call put_char
	movl %edi, %eax
	andb $CHECKPOINT_TAKEN_MASK, %al
	outb %al, $PORT_CHECKPOINT
	incl %edi

/* A restore may move the TSC: backwards makes the difference huge, so either way the wait ends early, never late. */
	rdtsc
	movl %eax, %esi
	movl %edx, %ebp
1:	pause
	rdtsc
	subl %esi, %eax
	sbbl %ebp, %edx
	jnz next
	cmpl $PACE_TICKS, %eax
	jb 1b
	jmp next

	.section .note.GNU-stack, "", @progbits
