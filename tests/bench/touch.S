/*
 * A guest with a working set: fills PAGES pages that are apart, then reads one and writes the next, up to the last,
 * again and again.  A checkpoint is in front of each round, and a dot behind it.
 */
#include "guest/abi.h"

#define STRIDE 0x3000
#define FIRST  0x1000000

	.globl start
start:	movl $FIRST, %edi
	movl $PAGES, %ecx
1:	movq %rdi, (%rdi)
	addq $STRIDE, %rdi
	decl %ecx
	jnz 1b
2:	movb $1, %al
	outb %al, $PORT_CHECKPOINT
	movl $FIRST, %edi
	movl $(PAGES / 2), %ecx
3:	movq (%rdi), %rax
	addq $STRIDE, %rdi
	incq (%rdi)
	addq $STRIDE, %rdi
	decl %ecx
	jnz 3b
	movb $'.', %al
	movw $PORT_UART, %dx
	outb %al, %dx
	jmp 2b

	.section .note.GNU-stack, "", @progbits
