/*
 * A 64-bit ELF image that prints the alphabet without a break, a line of 27 bytes each time.  The command line's first
 * byte: e, it ends after FLOOD_LINES lines; s, the same by string instructions; else it never ends.
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
	jmp	count
string:	rep outsb
count:	dec	%ebp
	jnz	lines
	exit

line:	.ascii	"abcdefghijklmnopqrstuvwxyz\n"
