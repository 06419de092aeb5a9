/* A boot sector that prints what it reads from the UART, until a q. */
#include "image.h"

#define UART_LSR 5 /* line status (National Semiconductor PC16550D data sheet, 8.4); bit 0: a byte is there */

	.code16
	.globl	start
start:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$REAL_LOAD_GPA, %sp
	cld
	mov	$greeting, %si
	call	print
next:	mov	$(PORT_UART + UART_LSR), %dx
2:	pause
	in	%dx, %al
	test	$1, %al
	jz	2b
	mov	$PORT_UART, %dx
	in	%dx, %al
	out	%al, %dx
	cmp	$'q', %al
	jne	next
	exit
	define_print

greeting: .asciz "echo\n"
	.org	510
	.byte	0x55, 0xaa
