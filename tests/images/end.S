/*
 * A 64-bit ELF image that ends in the way that its command line's first byte names:
 * x and a byte: by the exit port, with that byte; t: triple fault; b: a breakpoint; h: HLT; k and r: a reset by port
 * 0x64 and 0xcf9; w: by the exit port with the low byte of what a port without a device reads as.
 */
#include "image.h"

#define BOOT_INFO_LINE 40 /* offsetof(struct boot_info, command_line) */
#define PORT_NOBODY 0x999

/* Goes to the label where the first byte is the letter. */
.macro when letter label
	cmp	$\letter, %al
	je	\label
.endm

	.code64
	.globl	start
start:	mov	BOOT_INFO_LINE(%rdi), %al
	mov	$0x1122334455667788, %r15
	when	'x', exits
	when	't', faults
	when	'b', breaks
	when	'h', halts
	when	'k', resets_by_keyboard
	when	'r', resets
	when	'w', reads
faults:	ud2 /* the IDT is empty: a double and then a triple fault */
breaks:	int3
halts:	cli
	hlt
resets_by_keyboard:
	mov	$KEYBOARD_RESET, %al
	out	%al, $PORT_KEYBOARD
resets:	mov	$PORT_RESET, %edx
	mov	$RESET_CPU, %al
	out	%al, %dx
exits:	movzbl	BOOT_INFO_LINE + 1(%rdi), %eax
	out	%eax, $PORT_EXIT
reads:	mov	$PORT_NOBODY, %edx
	in	%dx, %al
	movzbl	%al, %eax
	out	%eax, $PORT_EXIT
