/* A boot sector that prints the machine's generation id, asks for a snapshot, and prints it again. */
#include "image.h"

	.code16
	.globl	start
start:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$REAL_LOAD_GPA, %sp
	call	print_id
	out	%al, $PORT_CHECKPOINT
	call	print_id
	exit

print_id:
	mov	$PORT_GENERATION, %dx
1:	in	%dx, %al
	mov	%al, %ah
	shr	$4, %al
	call	print_digit
	mov	%ah, %al
	call	print_digit
	inc	%dx
	cmp	$(PORT_GENERATION + PORT_GENERATION_COUNT), %dx
	jne	1b
	mov	$'\n', %al
	out	%al, $PORT_DEBUG_BOCHS
	ret

print_digit:
	and	$15, %al
	add	$'0', %al
	cmp	$'9', %al
	jbe	1f
	add	$('a' - '0' - 10), %al
1:	out	%al, $PORT_DEBUG_BOCHS
	ret

	.org	510
	.byte	0x55, 0xaa
