/* hello: a boot sector that prints a line and ends with 0. */
#include "guest/abi.h"
#include "real.h"

	REAL_START
	movw $line, %si
	call put_string
	xorl %eax, %eax
	jmp finish

line:	.asciz "Hello from real mode\n"

	.section .note.GNU-stack, "", @progbits
