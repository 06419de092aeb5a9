#include <stdio.h>

#include "boot.h"
#include "guest/abi.h"

/* SDM volume 3: 2.5 (control registers), 2.2.1 (EFER), 3.4.3 (RFLAGS). */
#define RFLAGS_FIXED   0x2
#define CR0_PE         0x1
#define CR0_MP         0x2
#define CR0_ET         0x10
#define CR0_NE         0x20
#define CR0_PG         0x80000000
#define CR4_PAE        0x20
#define CR4_OSFXSR     0x200
#define CR4_OSXMMEXCPT 0x400
#define EFER_LME       0x100
#define EFER_LMA       0x400
#define EFER_NXE       0x800

/* Types of segments: SDM volume 3, tables 3-1 and 3-2. */
#define TYPE_DATA     3  /* read, write, accessed */
#define TYPE_CODE     11 /* execute, read, accessed */
#define TYPE_TSS_BUSY 11 /* of the 32-bit and 64-bit TSS */

/* Entries of page tables: SDM volume 3, tables 4-15 to 4-19. */
#define PAGE_PRESENT       0x1
#define PAGE_WRITABLE      0x2
#define PAGE_ACCESSED      0x20
#define PAGE_DIRTY         0x40
#define PAGE_LARGE         0x80
#define PAGE_TABLE_ENTRIES 512
#define LARGE_PAGE         (2ull << 20)
#define MAPPED_GIB         4
#define MAPPED_LARGE_PAGES (MAPPED_GIB * PAGE_TABLE_ENTRIES)

#define IVT_LIMIT 0x3ff
#define TSS_LIMIT 0x67

_Static_assert(BOOT_INFO_GPA + sizeof(struct boot_info) <= BOOT_GDT_GPA, "boot_info runs into the GDT");
_Static_assert(BOOT_PML4_GPA + (2 + MAPPED_GIB) * MEMORY_PAGE == BOOT_TABLES_END, "page tables have another size");

/* The descriptors of flat segments (SDM volume 3, 3.4.5), equal to the registers that the vCPU starts with. */
static const uint64_t gdt[] = {
	[BOOT_CODE_SELECTOR / 8] = 0x00af9b000000ffff,
	[BOOT_DATA_SELECTOR / 8] = 0x00cf93000000ffff,
	[BOOT_CODE32_SELECTOR / 8] = 0x00cf9b000000ffff,
};

/* A flat segment of 4 GiB. */
static struct kvm_segment flat(uint16_t selector, uint8_t type)
{
	return (struct kvm_segment){
		.selector = selector, .limit = UINT32_MAX, .type = type, .present = 1, .s = 1, .db = 1, .g = 1
	};
}

/* The same data segment goes into all five registers. */
static void set_segments(struct kvm_sregs *sregs, struct kvm_segment code, struct kvm_segment data)
{
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
}

static void clear(struct boot_registers *registers, uint64_t rip)
{
	struct kvm_sregs *sregs = &registers->sregs;
	registers->regs = (struct kvm_regs){ .rip = rip, .rflags = RFLAGS_FIXED };
	sregs->cr0 = CR0_ET;
	sregs->cr2 = sregs->cr3 = sregs->cr4 = sregs->efer = 0;
	sregs->gdt = sregs->idt = (struct kvm_dtable){ 0 };
}

void boot_set_real_mode(struct boot_registers *registers, uint16_t cs, uint16_t ip)
{
	struct kvm_segment code = {
		.base = (uint64_t)cs << 4, .selector = cs, .limit = 0xffff, .type = TYPE_CODE, .present = 1, .s = 1
	};
	struct kvm_segment data = { .limit = 0xffff, .type = TYPE_DATA, .present = 1, .s = 1 };
	clear(registers, ip);
	set_segments(&registers->sregs, code, data);
	registers->sregs.idt.limit = IVT_LIMIT;
}

void boot_set_protected_mode(struct boot_registers *registers, uint32_t entry)
{
	clear(registers, entry);
	set_segments(&registers->sregs, flat(BOOT_CODE32_SELECTOR, TYPE_CODE), flat(BOOT_DATA_SELECTOR, TYPE_DATA));
	registers->sregs.cr0 |= CR0_PE;
	registers->sregs.tr = (struct kvm_segment){ .limit = TSS_LIMIT, .type = TYPE_TSS_BUSY, .present = 1 };
}

/* Maps the first 4 GiB one to one. */
static void write_page_tables(uint64_t *pml4)
{
	const uint64_t table = PAGE_PRESENT | PAGE_WRITABLE | PAGE_ACCESSED, page = table | PAGE_DIRTY | PAGE_LARGE;
	uint64_t *pdpt = pml4 + PAGE_TABLE_ENTRIES, *directories = pdpt + PAGE_TABLE_ENTRIES;
	pml4[0] = (BOOT_PML4_GPA + MEMORY_PAGE) | table;
	for (uint64_t i = 0; i < MAPPED_GIB; i++)
		pdpt[i] = (BOOT_PML4_GPA + (2 + i) * MEMORY_PAGE) | table;
	for (uint64_t i = 0; i < MAPPED_LARGE_PAGES; i++)
		directories[i] = i * LARGE_PAGE | page;
}

int boot_set_long_mode(const struct boot_request *request, const struct memory *memory, uint64_t entry,
		       struct boot_registers *registers, struct error *err)
{
	uint64_t tables[(2 + MAPPED_GIB) * PAGE_TABLE_ENTRIES] = { 0 };
	struct boot_info info = { .magic = BOOT_INFO_MAGIC,
				  .ram_low = memory_ram_low(memory),
				  .ram_high = memory_ram_high(memory),
				  .nr_vcpus = request->nr_vcpus,
				  .irqchip = request->irqchip,
				  .tsc_khz = request->tsc_khz };
	snprintf(info.command_line, sizeof(info.command_line), "%s", request->command_line);
	write_page_tables(tables);
	if (memory_at(memory, 0, BOOT_STACK_GPA) == NULL)
		return error_set(err, ERROR_DATA, "%s: RAM ends below 0x%x: expected room for page tables and a stack",
				 request->image.name, BOOT_STACK_GPA);
	memory_write(memory, BOOT_INFO_GPA, &info, sizeof(info));
	memory_write(memory, BOOT_GDT_GPA, gdt, sizeof(gdt));
	memory_write(memory, BOOT_PML4_GPA, tables, sizeof(tables));

	struct kvm_sregs *sregs = &registers->sregs;
	struct kvm_segment code = flat(BOOT_CODE_SELECTOR, TYPE_CODE);
	code.l = 1;
	code.db = 0;
	clear(registers, entry);
	registers->regs.rdi = BOOT_INFO_GPA;
	registers->regs.rsp = BOOT_STACK_GPA;
	set_segments(sregs, code, flat(BOOT_DATA_SELECTOR, TYPE_DATA));
	sregs->gdt = (struct kvm_dtable){ .base = BOOT_GDT_GPA, .limit = sizeof(gdt) - 1 };
	sregs->cr0 |= CR0_PG | CR0_NE | CR0_MP | CR0_PE;
	sregs->cr3 = BOOT_PML4_GPA;
	sregs->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	sregs->efer = EFER_LME | EFER_LMA | (request->has_nx ? EFER_NXE : 0);
	return 0;
}
