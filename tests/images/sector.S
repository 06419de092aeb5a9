/* A boot sector. */
#include "image.h"

	.code16
	.globl	start
start:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	mov	$REAL_LOAD_GPA, %sp
	cld
	mov	$wrong, %si
	cmp	$REAL_BOOT_DRIVE, %dl
	jne	1f
	mov	$right, %si
1:	call	print
	exit
	define_print

right:	.asciz	"boot sector\n"
wrong:	.asciz	"boot sector: DL is not 0x80\n"
	.org	510
	.byte	0x55, 0xaa
