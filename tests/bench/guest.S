/*
 * The guest of the restore measurements, for Stasis and for QEMU: prints a dot, again and again, until it was restored,
 * which Stasis says at the checkpoint port.  Where nothing answers there (QEMU), it goes on for ever.
 */
#include "guest/abi.h"
#include "guest/real.h"

#define NOTHING_THERE 0xff

	REAL_START
	xorl %eax, %eax
	outb %al, $PORT_CHECKPOINT
1:	movb $'.', %al
	movw $PORT_UART, %dx
	outb %al, %dx
	inb $PORT_CHECKPOINT, %al
	cmpb $NOTHING_THERE, %al
	je 1b
	testb $CHECKPOINT_RESTORED, %al
	jz 1b
	xorl %eax, %eax
	movw $PORT_EXIT, %dx
	outl %eax, %dx
2:	hlt
	jmp 2b

	.section .note.GNU-stack, "", @progbits
