/* What the test images share; it assembles for 16, 32 and 64 bits. */
#ifndef STASIS_TESTS_IMAGE_H
#define STASIS_TESTS_IMAGE_H

#include "guest/abi.h"

/* Defines print: writes the string at (R|E)SI, up to its 0, to the debug console; uses AL. */
.macro define_print
print:	lodsb
	test	%al, %al
	jz	1f
	out	%al, $PORT_DEBUG_BOCHS
	jmp	print
1:	ret
.endm

/* Ends the machine with the guest's status 0, which is exit status 1. */
.macro exit
	xor	%eax, %eax
	out	%eax, $PORT_EXIT
1:	hlt
	jmp	1b
.endm

#endif
