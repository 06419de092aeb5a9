/*
 * For QEMU, whose microvm starts a BIOS: makes of the CPU and the memory what guest/abi.h promises a flat long-mode image,
 * copies the guest to where Stasis loads it, and enters it.  It goes from real mode to long mode at once (SDM volume 3,
 * 10.8.5).  What the guest finds as struct boot_info stands at BIOS_INFO, and is filled in there before the start.
 */
#include "guest/abi.h"
#include "guest/lib.h"

#define SEGMENT     0xf000 /* the last 64 KiB below 1 MiB, where the image is seen too */
#define BIOS_GPA    0xf0000
#define RESET       0xfff0 /* where a CPU starts (SDM volume 3, 10.1.4) */
#define BIOS_SIZE   0x10000
#define BIOS_INFO   0xf000 /* in the image */
#define INFO_SIZE   (40 + BOOT_INFO_COMMAND_LINE)
#define TABLE       0x23 /* present, writable, accessed */
#define LARGE_PAGE  0xe3 /* and dirty, 2 MiB */
#define DIRECTORIES 4    /* of a GiB each */
#define PDPT_GPA    (BOOT_PML4_GPA + 0x1000)
#define FIRST_GPA   (BOOT_PML4_GPA + 0x2000)

	.code16
	.globl start
start:	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	xorl %eax, %eax
	movw %ax, %es
	movw $BOOT_PML4_GPA, %di
	movw $((BOOT_TABLES_END - BOOT_PML4_GPA) / 4), %cx
	rep stosl
	movl $(PDPT_GPA + TABLE), %es:BOOT_PML4_GPA
	movl $(FIRST_GPA + TABLE), %eax
	movw $PDPT_GPA, %di
	movw $DIRECTORIES, %cx
1:	movl %eax, %es:(%di)
	addl $0x1000, %eax
	addw $8, %di
	loop 1b
	movl $LARGE_PAGE, %eax
	movw $FIRST_GPA, %di
	movw $(DIRECTORIES * 512), %cx
2:	movl %eax, %es:(%di)
	addl $0x200000, %eax
	addw $8, %di
	loop 2b
	movw $gdt, %si
	movw $BOOT_GDT_GPA, %di
	movw $(gdt_end - gdt), %cx
	rep movsb
	movw $BIOS_INFO, %si
	movw $BOOT_INFO_GPA, %di
	movw $INFO_SIZE, %cx
	rep movsb
	lgdtl gdt_pointer
	movl $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
	movl %eax, %cr4
	movl $BOOT_PML4_GPA, %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	movl $0x100, %eax /* LME */
	xorl %edx, %edx
	wrmsr
	movl $0x80000033, %eax /* PG, NE, ET, MP, PE */
	movl %eax, %cr0
	ljmpl $BOOT_CODE_SELECTOR, $(BIOS_GPA + long_mode)

	.code64
long_mode:
	movl $BOOT_DATA_SELECTOR, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $(BIOS_GPA + guest), %esi
	movl $LONG_LOAD_GPA, %edi
	movl $(guest_end - guest), %ecx
	rep movsb
	movl $BOOT_STACK_GPA, %esp
	movl $BOOT_INFO_GPA, %edi
	movl $LONG_LOAD_GPA, %eax
	jmp *%rax

	.balign 8
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long BOOT_GDT_GPA
guest:	.incbin GUEST
guest_end:
	.org BIOS_INFO
	.skip INFO_SIZE
	.org RESET
	.code16
	ljmp $SEGMENT, $start
	.org BIOS_SIZE

	.section .note.GNU-stack, "", @progbits
