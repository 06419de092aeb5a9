/* A 64-bit ELF image: prints its command line. */
#include "image.h"

#define BOOT_INFO_LINE 40 /* offsetof(struct boot_info, command_line) */

	.code64
	.globl	start
start:	cld
	lea	greeting(%rip), %rsi
	call	print
	lea	BOOT_INFO_LINE(%rdi), %rsi
	call	print
	lea	end(%rip), %rsi
	call	print
	exit
	define_print

greeting: .asciz "ELF64: "
end:	.asciz	"\n"
