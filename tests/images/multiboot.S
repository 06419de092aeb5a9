/* A Multiboot image: prints its command line, the number of memory map entries and the first module's contents. */
#include "image.h"

#define HEADER_MAGIC 0x1badb002
#define HEADER_FLAGS 0x3 /* aligned modules, memory */
#define ENTRY_MAGIC 0x2badb002

/* Offsets of the boot information and of a module's entry, and the size of a map entry. */
#define INFO_COMMAND_LINE 16
#define INFO_MODULE_COUNT 20
#define INFO_MODULES 24
#define INFO_MAP_SIZE 44
#define MODULE_START 0
#define MODULE_END 4
#define MAP_ENTRY_SIZE 24

	.section .header, "a"
	.long	HEADER_MAGIC, HEADER_FLAGS, -(HEADER_MAGIC + HEADER_FLAGS)

	.text
	.code32
	.globl	start
start:	mov	$BOOT_STACK_GPA, %esp
	cld
	cmp	$ENTRY_MAGIC, %eax
	jne	3f
	mov	$greeting, %esi
	call	print
	mov	INFO_COMMAND_LINE(%ebx), %esi
	call	print
	mov	$map, %esi
	call	print
	xor	%edx, %edx
	mov	INFO_MAP_SIZE(%ebx), %eax
	mov	$MAP_ENTRY_SIZE, %ecx
	div	%ecx
	add	$'0', %al
	out	%al, $PORT_DEBUG_BOCHS
	cmpl	$0, INFO_MODULE_COUNT(%ebx)
	je	2f
	mov	$module, %esi
	call	print
	mov	INFO_MODULES(%ebx), %edx
	mov	MODULE_START(%edx), %esi
	mov	MODULE_END(%edx), %ecx
	sub	%esi, %ecx
	jz	2f
1:	lodsb
	out	%al, $PORT_DEBUG_BOCHS
	dec	%ecx
	jnz	1b
2:	mov	$end, %esi
	call	print
3:	exit
	define_print

greeting: .asciz "Multiboot: "
map:	.asciz	"\nmap entries: "
module:	.asciz	"\nmodule: "
end:	.asciz	"\n"
