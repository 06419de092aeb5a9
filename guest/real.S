/*
 * What the real-mode guests share.  They run with all segments 0 and their stack below the image.
 */
#include "guest/abi.h"
#include "real.h"

	.code16
	.text

/* Prints the character in AL.  Waits for the UART, but not for ever. */
	.global put_char
put_char:
	pushal
	movb %al, %bl
	movl $UART_POLLS_MAX, %ecx
1:	movw $(PORT_UART + UART_LSR), %dx
	inb %dx, %al
	testb $UART_LSR_THRE, %al
	jnz 2f
	decl %ecx
	jnz 1b
2:	movb %bl, %al
	movw $PORT_UART, %dx
	outb %al, %dx
	popal
	ret

/* Prints the string at SI, which ends with a 0. */
	.global put_string
put_string:
	lodsb
	testb %al, %al
	jz 1f
	call put_char
	jmp put_string
1:	ret

/* Prints EAX in decimal: the digits come last one first, so they wait on the stack. */
	.global put_decimal
put_decimal:
	pushal
	movl $10, %ebx
	xorw %cx, %cx
1:	xorl %edx, %edx
	divl %ebx
	pushw %dx
	incw %cx
	testl %eax, %eax
	jnz 1b
2:	popw %ax
	addb $'0', %al
	call put_char
	decw %cx
	jnz 2b
	popal
	ret

/* Ends with the value in EAX. */
	.global finish
finish:
	movw $PORT_EXIT, %dx
	outl %eax, %dx
1:	hlt
	jmp 1b

	.section .note.GNU-stack, "", @progbits
