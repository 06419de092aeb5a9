/*
 * A 64-bit ELF image that prints the alphabet without a break, a line of 27 bytes each time.  The command line's first
 * byte: e, it ends after FLOOD_LINES lines; s, it goes by string instructions; where it is not e it never ends.
 */
#include "image.h"

#define BOOT_INFO_LINE 40 /* offsetof(struct boot_info, command_line) */
#define FLOOD_LINES 10000
#define LINE_SIZE 27

	.code64
	.globl	start
start:	mov	BOOT_INFO_LINE(%rdi), %bl
	mov	$PORT_UART, %edx
	mov	$FLOOD_LINES, %ebp
	cld
lines:	lea	line(%rip), %rsi
	mov	$LINE_SIZE, %ecx
	cmp	$'s', %bl
	je	string
bytes:	lodsb
	out	%al, %dx
	loop	bytes
	cmp	$'e', %bl
	jne	lines
	dec	%ebp
	jnz	lines
	exit
string:	rep outsb
	jmp	lines

line:	.ascii	"abcdefghijklmnopqrstuvwxyz\n"
