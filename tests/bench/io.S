/* 200,000 writes to a port: what a run loop costs beyond KVM's share. */
#include "guest/abi.h"
#include "guest/real.h"

#define WRITES       200000
#define UART_SCRATCH 7

	REAL_START
	movl $WRITES, %ecx
	movw $(PORT_UART + UART_SCRATCH), %dx
1:	outb %al, %dx
	decl %ecx
	jnz 1b
	movb $'.', %al
	movw $PORT_UART, %dx
	outb %al, %dx
	xorl %eax, %eax
	movw $PORT_EXIT, %dx
	outl %eax, %dx
2:	hlt
	jmp 2b

	.section .note.GNU-stack, "", @progbits
