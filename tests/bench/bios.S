/* For QEMU, whose microvm starts a BIOS: copies the guest of the measurements to where Stasis loads it, and enters it. */
#include "guest/abi.h"

#define SEGMENT   0xf000 /* the last 64 KiB below 1 MiB, where the image is seen too */
#define RESET     0xfff0 /* where a CPU starts (SDM volume 3, 10.1.4) */
#define BIOS_SIZE 0x10000

	.code16
	.globl start
start:	movw %cs, %ax
	movw %ax, %ds
	xorw %ax, %ax
	movw %ax, %es
	movw $guest, %si
	movw $REAL_LOAD_GPA, %di
	movw $(guest_end - guest), %cx
	cld
	rep movsb
	ljmp $0, $REAL_LOAD_GPA
guest:	.incbin GUEST
guest_end:
	.org RESET
	ljmp $SEGMENT, $start
	.org BIOS_SIZE

	.section .note.GNU-stack, "", @progbits
