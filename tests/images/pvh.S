/* A PVH image: prints its command line, the number of memory map entries and the first module's contents. */
#include "image.h"

#define NOTE_PHYS32_ENTRY 18
#define START_MAGIC 0x336ec578

/* Offsets of struct hvm_start_info and struct hvm_modlist_entry. */
#define INFO_MAGIC 0
#define INFO_MODULE_COUNT 12
#define INFO_MODULES 16
#define INFO_COMMAND_LINE 24
#define INFO_MAP_ENTRIES 48
#define MODULE_GPA 0
#define MODULE_SIZE 8

	.section .note.Xen, "a", @note
	.long	4, 4, NOTE_PHYS32_ENTRY
	.asciz	"Xen"
	.long	start

	.text
	.code32
	.globl	start
start:	mov	$BOOT_STACK_GPA, %esp
	cld
	cmpl	$START_MAGIC, INFO_MAGIC(%ebx)
	jne	3f
	mov	$greeting, %esi
	call	print
	mov	INFO_COMMAND_LINE(%ebx), %esi
	call	print
	mov	$map, %esi
	call	print
	mov	INFO_MAP_ENTRIES(%ebx), %eax
	add	$'0', %al
	out	%al, $PORT_DEBUG_BOCHS
	cmpl	$0, INFO_MODULE_COUNT(%ebx)
	je	2f
	mov	$module, %esi
	call	print
	mov	INFO_MODULES(%ebx), %edx
	mov	MODULE_GPA(%edx), %esi
	mov	MODULE_SIZE(%edx), %ecx
	test	%ecx, %ecx
	jz	2f
1:	lodsb
	out	%al, $PORT_DEBUG_BOCHS
	dec	%ecx
	jnz	1b
2:	mov	$end, %esi
	call	print
3:	exit
	define_print

greeting: .asciz "PVH: "
map:	.asciz	"\nmap entries: "
module:	.asciz	"\nmodule: "
end:	.asciz	"\n"
