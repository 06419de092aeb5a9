/* Numbers and the entry that the real-mode guests share. */
#ifndef STASIS_GUEST_REAL_H
#define STASIS_GUEST_REAL_H

#include "guest/uart.h"

/* A BIOS promises CS:IP and DL only. */
.macro REAL_START
	.code16
	.section .text.start, "ax"
	.global start
start:
	cli
	cld
	xorw %ax, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	movw $REAL_LOAD_GPA, %sp
.endm

#endif
