/* What the boot tests share: a small machine's memory, a request, and registers that are compared field by field. */
#ifndef STASIS_TESTS_BOOT_FIXTURE_H
#define STASIS_TESTS_BOOT_FIXTURE_H

#include "unit.h"

#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "guest/abi.h"
#include "vmm/boot.h"

#define RAM_SIZE (2u << 20)
#define FRESH    0xa5 /* every byte of the registers before the load: what a loader leaves alone keeps it */

struct fixture {
	struct memory memory;
	struct boot_request request;
	struct boot_registers fresh, registers;
	const struct boot_loader *loader;
	struct error err;
};

static inline void fixture_init(struct fixture *f, const void *image, size_t size)
{
	*f = (struct fixture){ .request = { .image = { .name = "dir/image", .contents = { image, size } },
					    .command_line = "",
					    .nr_vcpus = 3,
					    .irqchip = IRQCHIP_SPLIT,
					    .tsc_khz = 2500000,
					    .has_nx = true } };
	memset(&f->fresh, FRESH, sizeof(f->fresh));
	f->registers = f->fresh;
	ck_assert_int_eq(memory_add_ram(&f->memory, RAM_SIZE, NULL), 0);
}

/* The header of an x86-64 program whose nr_segments program headers stand at offset. */
static inline Elf64_Ehdr elf64_header(uint64_t entry, size_t offset, uint16_t nr_segments)
{
	return (Elf64_Ehdr){ .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_version = EV_CURRENT,
			     .e_entry = entry,
			     .e_phoff = offset,
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = nr_segments };
}

/* As the machine's maker does it: find, add what is needed, load. */
static inline int fixture_boot(struct fixture *f)
{
	struct memory_range range = { 0 };
	int status = boot_find(&f->request, &f->loader, &f->err);
	if (status == 0 && f->loader->needs != NULL) {
		status = f->loader->needs(&f->request, &range, &f->err);
		if (status == 0)
			status = memory_add(&f->memory, &range, &f->err);
	}
	return status == 0 ? f->loader->load(&f->request, &f->memory, &f->registers, &f->err) : status;
}

static inline void ck_boots(struct fixture *f, enum boot_kind kind)
{
	int status = fixture_boot(f);
	ck_assert_msg(status == 0, "not loaded: %s", f->err.text);
	ck_assert_int_eq(f->loader->kind, kind);
}

/* The image is refused with a sentence that holds what; neither RAM nor registers have changed.  Ends the fixture. */
static inline void ck_refused(struct fixture *f, enum error_code code, const char *what)
{
	int status = fixture_boot(f);
	ck_assert_msg(status == -(int)code, "\"%s\": status %d, expected %d (%s)", what, status, -(int)code,
		      status < 0 ? f->err.text : "loaded");
	ck_assert_msg(strstr(f->err.text, what) != NULL, "\"%s\": expected \"%s\" in it", f->err.text, what);
	ck_assert_msg(strstr(f->err.text, "dir/image: ") != NULL, "\"%s\": expected the file's name", f->err.text);
	ck_assert_mem_eq(&f->registers, &f->fresh, sizeof(f->fresh));
	ck_assert(bytes_are_zero(memory_at(&f->memory, 0, RAM_SIZE), RAM_SIZE));
	memory_done(&f->memory);
}

/* A value of the guest's memory. */
static inline uint64_t peek(const struct fixture *f, uint64_t gpa, size_t size)
{
	uint64_t value = 0;
	ck_assert(memory_read(&f->memory, gpa, &value, size));
	return value;
}

static inline const char *peek_string(const struct fixture *f, uint64_t gpa)
{
	return (const char *)memory_at(&f->memory, gpa, 1);
}

/* Registers by name. */
struct register_row {
	const char *name;
	size_t offset, size;
};
#define REGISTER(member)                                                                                               \
	{                                                                                                              \
#member, offsetof(struct boot_registers, member), sizeof(((struct boot_registers *)0)->member)         \
	}
#define SEGMENT(name)                                                                                                  \
	REGISTER(name.base), REGISTER(name.limit), REGISTER(name.selector), REGISTER(name.type),                       \
		REGISTER(name.present), REGISTER(name.dpl), REGISTER(name.db), REGISTER(name.s), REGISTER(name.l),     \
		REGISTER(name.g), REGISTER(name.avl), REGISTER(name.unusable)

static inline void ck_registers(const struct boot_registers *got, const struct boot_registers *expected)
{
	/* clang-format off */
	static const struct register_row rows[] = {
		REGISTER(regs.rax), REGISTER(regs.rbx), REGISTER(regs.rcx), REGISTER(regs.rdx),
		REGISTER(regs.rsi), REGISTER(regs.rdi), REGISTER(regs.rsp), REGISTER(regs.rbp),
		REGISTER(regs.r8), REGISTER(regs.r9), REGISTER(regs.r10), REGISTER(regs.r11),
		REGISTER(regs.r12), REGISTER(regs.r13), REGISTER(regs.r14), REGISTER(regs.r15),
		REGISTER(regs.rip), REGISTER(regs.rflags),
		SEGMENT(sregs.cs), SEGMENT(sregs.ds), SEGMENT(sregs.es), SEGMENT(sregs.fs), SEGMENT(sregs.gs),
		SEGMENT(sregs.ss), SEGMENT(sregs.tr), SEGMENT(sregs.ldt),
		REGISTER(sregs.gdt.base), REGISTER(sregs.gdt.limit), REGISTER(sregs.idt.base), REGISTER(sregs.idt.limit),
		REGISTER(sregs.cr0), REGISTER(sregs.cr2), REGISTER(sregs.cr3), REGISTER(sregs.cr4), REGISTER(sregs.cr8),
		REGISTER(sregs.efer), REGISTER(sregs.apic_base),
		REGISTER(sregs.interrupt_bitmap[0]), REGISTER(sregs.interrupt_bitmap[1]),
		REGISTER(sregs.interrupt_bitmap[2]), REGISTER(sregs.interrupt_bitmap[3]),
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t a = 0, b = 0;
		memcpy(&a, (const uint8_t *)got + rows[i].offset, rows[i].size);
		memcpy(&b, (const uint8_t *)expected + rows[i].offset, rows[i].size);
		ck_assert_msg(a == b, "%s is 0x%llx, expected 0x%llx", rows[i].name, (unsigned long long)a,
			      (unsigned long long)b);
	}
}

/* What all modes have in common, with the code segment and the one that all data segments are equal to. */
static inline struct boot_registers expect_mode(const struct fixture *f, struct kvm_segment code,
						struct kvm_segment data)
{
	struct boot_registers r = f->fresh;
	r.regs = (struct kvm_regs){ .rflags = 2 };
	code.present = code.s = data.present = data.s = 1;
	code.type = 0xb;
	data.type = 0x3;
	r.sregs.cs = code;
	r.sregs.ds = r.sregs.es = r.sregs.fs = r.sregs.gs = r.sregs.ss = data;
	r.sregs.gdt = r.sregs.idt = (struct kvm_dtable){ 0 };
	r.sregs.cr0 = 0x10;
	r.sregs.cr2 = r.sregs.cr3 = r.sregs.cr4 = r.sregs.efer = 0;
	return r;
}

static inline struct boot_registers expect_real_mode(const struct fixture *f, uint16_t cs, uint16_t ip)
{
	struct boot_registers r =
		expect_mode(f, (struct kvm_segment){ .selector = cs, .base = cs * 16u, .limit = 0xffff },
			    (struct kvm_segment){ .limit = 0xffff });
	r.regs.rip = ip;
	r.sregs.idt.limit = 0x3ff;
	return r;
}

static inline struct boot_registers expect_protected_mode(const struct fixture *f, uint32_t entry)
{
	struct boot_registers r =
		expect_mode(f, (struct kvm_segment){ .selector = 0x18, .limit = 0xffffffff, .db = 1, .g = 1 },
			    (struct kvm_segment){ .selector = 0x10, .limit = 0xffffffff, .db = 1, .g = 1 });
	r.regs.rip = entry;
	r.regs.rbx = 0x500;
	r.sregs.cr0 = 0x11;
	r.sregs.tr = (struct kvm_segment){ .limit = 0x67, .type = 0xb, .present = 1 };
	return r;
}

static inline struct boot_registers expect_long_mode(const struct fixture *f, uint64_t entry)
{
	struct boot_registers r =
		expect_mode(f, (struct kvm_segment){ .selector = 8, .limit = 0xffffffff, .l = 1, .g = 1 },
			    (struct kvm_segment){ .selector = 0x10, .limit = 0xffffffff, .db = 1, .g = 1 });
	r.regs.rip = entry;
	r.regs.rdi = 0x500;
	r.regs.rsp = 0x80000;
	r.sregs.gdt = (struct kvm_dtable){ .base = 0x1000, .limit = 0x1f };
	r.sregs.cr0 = 0x80000033;
	r.sregs.cr3 = 0x2000;
	r.sregs.cr4 = 0x620;
	r.sregs.efer = 0xd00;
	return r;
}

/* The memory map of RAM_SIZE bytes, as both Multiboot and PVH give it. */
static const struct expected_map {
	uint64_t gpa, size;
	uint32_t type;
} expected_map[] = {
	{ 0, 0xa0000, 1 },
	{ 0xa0000, 0x60000, 2 },
	{ 0x100000, RAM_SIZE - 0x100000, 1 },
	{ 0xfec00000, 0x1400000, 2 },
};
#define EXPECTED_MAP_ENTRIES (sizeof(expected_map) / sizeof(expected_map[0]))

/* A change to an image that makes it a bad one: size bytes of value at offset; what the refusal says. */
struct bad_row {
	size_t offset, size;
	uint64_t value;
	const char *what;
};
#define BAD(type, member, value, what)                                                                                 \
	{                                                                                                              \
		offsetof(type, member), sizeof(((type *)0)->member), value, what                                       \
	}

/* Boots each changed copy of a good image. */
static inline void ck_all_refused(const void *good, size_t size, const struct bad_row *rows, size_t nr_rows)
{
	for (size_t i = 0; i < nr_rows; i++) {
		struct fixture f;
		uint8_t *image = malloc(size);
		ck_assert_ptr_nonnull(image);
		memcpy(image, good, size);
		memcpy(image + rows[i].offset, &rows[i].value, rows[i].size);
		fixture_init(&f, image, size);
		ck_refused(&f, ERROR_DATA, rows[i].what);
		free(image);
	}
}

#endif
