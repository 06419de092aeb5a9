/*
 * A 64-bit ELF image, the hostile guest: goes through all ports with accesses of pseudo-random width, direction and value, also
 * by string instructions.  Each of its passes takes every third port, and then those that answer again and again.  It leaves
 * out what would end it: the exit, checkpoint and reset ports.  Then it ends with status 0.
 */
#include "image.h"

#define PASSES 3
#define STEPS 4000 /* of a pass, at the ports that answer */
#define SEED 0x9e3779b97f4a7c15
#define BUFFER 0x90000 /* what string instructions take and give: free by guest/abi.h */
#define STRING_LENGTH 5
#define STRING_ODDS 15 /* one access in so many and one is by a string instruction */

/* Goes to 1f where DX, the port, is between first and last. */
.macro leave_out first last
	mov	%edx, %eax
	sub	$\first, %eax
	cmp	$\last - \first, %eax
	jbe	1f
.endm

	.code64
	.globl	start
start:	cld
	mov	$SEED, %rbx
	movl	$0, %r12d
pass:	mov	%r12d, %edx
all:	call	touch
	add	$PASSES, %edx
	cmp	$0x10000, %edx
	jb	all
	mov	$STEPS, %ebp
some:	call	next
	mov	%ebx, %eax
	and	$7, %eax
	lea	answering(%rip), %rsi
	movzwl	(%rsi,%rax,2), %edx
	mov	%ebx, %eax
	shr	$8, %eax
	and	$7, %eax
	add	%eax, %edx
	call	touch
	dec	%ebp
	jnz	some
	inc	%r12d
	lea	over(%rip), %rsi
	call	print
	cmp	$PASSES, %r12d
	jb	pass
	exit

/* xorshift64: the next number, in RBX. */
next:	mov	%rbx, %rax
	shl	$13, %rax
	xor	%rax, %rbx
	mov	%rbx, %rax
	shr	$7, %rax
	xor	%rax, %rbx
	mov	%rbx, %rax
	shl	$17, %rax
	xor	%rax, %rbx
	ret

/* One access of the port in DX, as bits of the next number say: 1:0 width, 2 direction, 7:4 string; 63:32 are the value. */
touch:	leave_out PORT_EXIT, PORT_CHECKPOINT
	leave_out PORT_KEYBOARD, PORT_KEYBOARD
	leave_out PORT_RESET, PORT_RESET
	call	next
	mov	$BUFFER, %edi
	mov	$BUFFER, %esi
	mov	$STRING_LENGTH, %ecx
	mov	%ebx, %eax
	shr	$4, %eax
	test	$STRING_ODDS, %al
	mov	%rbx, %rax
	jz	strings
	test	$4, %bl
	jnz	reads
	test	$1, %bl
	jnz	2f
	shr	$32, %rax
	out	%al, %dx
	ret
2:	test	$2, %bl
	jnz	2f
	shr	$32, %rax
	out	%ax, %dx
	ret
2:	shr	$32, %rax
	out	%eax, %dx
1:	ret

reads:	test	$1, %bl
	jnz	2f
	in	%dx, %al
	ret
2:	test	$2, %bl
	jnz	2f
	in	%dx, %ax
	ret
2:	in	%dx, %eax
	ret

strings:
	test	$4, %bl
	jnz	3f
	mov	%rax, (%rsi)
	test	$1, %bl
	jnz	2f
	rep outsb
	ret
2:	rep outsl
	ret
3:	test	$1, %bl
	jnz	2f
	rep insb
	ret
2:	rep insw
	ret
	define_print

answering: .short PORT_UART, PORT_UART, PORT_UART, PORT_DEBUG_BOCHS, PORT_DEBUG_SEABIOS, 0x20, 0x40, 0xa0
over:	.asciz	"\npass over\n"
