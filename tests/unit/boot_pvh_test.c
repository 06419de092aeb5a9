#include "boot_fixture.h"

#define LOAD_GPA   0x100000
#define OTHER_TYPE 6 /* XEN_ELFNOTE_XEN_VERSION, say */

/* An ELF64 file with two notes; the second one is the entry. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr header;
		char owner[8], contents[4];
	} other;
	struct {
		Elf64_Nhdr header;
		char owner[4];
		uint32_t entry, zero;
	} entry;
	uint8_t code[64];
};

static struct image make_image(void)
{
	struct image image = {
		.header = elf64_header(0xffffffff81000000, offsetof(struct image, load), 2),
		.load = { .p_type = PT_LOAD,
			  .p_offset = offsetof(struct image, code),
			  .p_paddr = LOAD_GPA,
			  .p_filesz = sizeof(image.code),
			  .p_memsz = 0x2800 },
		.note = { .p_type = PT_NOTE,
			  .p_offset = offsetof(struct image, other),
			  .p_filesz = sizeof(image.other) + sizeof(image.entry) },
		.other = { .header = { .n_namesz = 6, .n_descsz = 3, .n_type = 18 }, .owner = "Other" },
		.entry = { .header = { .n_namesz = 4, .n_descsz = 8, .n_type = 18 },
			   .owner = "Xen",
			   .entry = LOAD_GPA + 8 },
	};
	memset(image.code, 0xc0, sizeof(image.code));
	return image;
}

START_TEST(a_pvh_image_is_loaded_and_told_of_the_machine)
{
	struct fixture f;
	struct image image = make_image();
	fixture_init(&f, &image, sizeof(image));
	f.request.command_line = "console=ttyS0";
	ck_boots(&f, BOOT_PVH);
	struct boot_registers expected = expect_protected_mode(&f, LOAD_GPA + 8);
	ck_registers(&f.registers, &expected);
	ck_assert_mem_eq(memory_at(&f.memory, LOAD_GPA, sizeof(image.code)), image.code, sizeof(image.code));

	/* Offsets of struct hvm_start_info. */
	uint64_t info = f.registers.regs.rbx;
	ck_assert_uint_eq(peek(&f, info, 4), 0x336ec578);
	ck_assert_uint_eq(peek(&f, info + 4, 4), 1);
	ck_assert_uint_eq(peek(&f, info + 8, 4), 0);
	ck_assert_uint_eq(peek(&f, info + 12, 4), 0);
	ck_assert_uint_eq(peek(&f, info + 16, 8), 0);
	ck_assert_str_eq(peek_string(&f, peek(&f, info + 24, 8)), "console=ttyS0");
	ck_assert_uint_eq(peek(&f, info + 32, 8), 0);
	ck_assert_uint_eq(peek(&f, info + 48, 4), EXPECTED_MAP_ENTRIES);
	ck_assert_uint_eq(peek(&f, info + 52, 4), 0);
	uint64_t entry = peek(&f, info + 40, 8);
	ck_assert_uint_eq(entry % 8, 0);
	for (size_t i = 0; i < EXPECTED_MAP_ENTRIES; i++, entry += 24) {
		ck_assert_uint_eq(peek(&f, entry, 8), expected_map[i].gpa);
		ck_assert_uint_eq(peek(&f, entry + 8, 8), expected_map[i].size);
		ck_assert_uint_eq(peek(&f, entry + 16, 8), expected_map[i].type);
	}
	memory_done(&f.memory);
}
END_TEST

START_TEST(modules_are_listed)
{
	struct fixture f;
	struct image image = make_image();
	static uint8_t module[5000];
	memset(module, 0x33, sizeof(module));
	fixture_init(&f, &image, sizeof(image));
	f.request.nr_modules = BOOT_MODULES_MAX;
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		f.request.modules[i] = (struct boot_file){ "dir/initrd", { module, sizeof(module) - i } };
	ck_boots(&f, BOOT_PVH);
	uint64_t list = peek(&f, BOOT_INFO_GPA + 16, 8);
	ck_assert_uint_eq(peek(&f, BOOT_INFO_GPA + 12, 4), BOOT_MODULES_MAX);
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++, list += 32) {
		uint64_t gpa = LOAD_GPA + 0x3000 + i * 0x2000, size = sizeof(module) - i;
		ck_assert_uint_eq(peek(&f, list, 8), gpa);
		ck_assert_uint_eq(peek(&f, list + 8, 8), size);
		ck_assert_str_eq(peek_string(&f, peek(&f, list + 16, 8)), "initrd");
		ck_assert_uint_eq(peek(&f, list + 24, 8), 0);
		ck_assert_mem_eq(memory_at(&f.memory, gpa, size), module, size);
		ck_assert_uint_eq(peek(&f, gpa + size, 1), 0);
	}
	memory_done(&f.memory);
}
END_TEST

START_TEST(the_note_has_4_or_8_bytes)
{
	struct fixture f;
	struct image image = make_image();
	image.entry.header.n_descsz = 4;
	image.entry.zero = 0xffffffff;
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_PVH);
	ck_assert_uint_eq(f.registers.regs.rip, LOAD_GPA + 8);
	memory_done(&f.memory);
}
END_TEST

START_TEST(each_bad_field_is_refused_by_name)
{
	/* clang-format off */
	static const struct bad_row rows[] = {
		BAD(struct image, entry.header.n_descsz, 2, "note PHYS32_ENTRY: 2 bytes: expected 4 or 8"),
		BAD(struct image, entry.entry, LOAD_GPA + 64, "note PHYS32_ENTRY is 0x100040"),
		BAD(struct image, entry.entry, LOAD_GPA - 1, "note PHYS32_ENTRY is 0xfffff"),
		BAD(struct image, entry.zero, 1, "note PHYS32_ENTRY is 0x100100008: expected an address below 4 GiB"),
		BAD(struct image, load.p_paddr, RAM_SIZE - 0x27ff, "expected inside RAM"),
	};
	/* clang-format on */
	struct image image = make_image();
	ck_all_refused(&image, sizeof(image), rows, sizeof(rows) / sizeof(rows[0]));

	struct fixture f;
	image.load.p_paddr = 0x500;
	image.entry.entry = 0x500;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "the boot information at 0x500");
}
END_TEST

/* Without a whole note of that owner and type it is an ELF64 image, here one with a wrong entry. */
START_TEST(a_note_that_is_not_whole_is_none)
{
	/* clang-format off */
	static const struct bad_row rows[] = {
		BAD(struct image, entry.header.n_type, OTHER_TYPE, "e_entry is 0xffffffff81000000"),
		BAD(struct image, entry.owner[0], 'x', "e_entry is"),
		BAD(struct image, entry.header.n_namesz, 3, "e_entry is"),
		BAD(struct image, entry.header.n_namesz, 0xffffffff, "e_entry is"),
		BAD(struct image, entry.header.n_descsz, 9, "e_entry is"),
		BAD(struct image, entry.header.n_descsz, 0xffffffff, "e_entry is"),
		BAD(struct image, other.header.n_descsz, 0xfffffffc, "e_entry is"),
		BAD(struct image, other.header.n_namesz, 0xffffffff, "e_entry is"),
		BAD(struct image, note.p_filesz, sizeof(((struct image *)0)->other) + 11, "e_entry is"),
		BAD(struct image, note.p_filesz, 0, "e_entry is"),
		BAD(struct image, note.p_type, PT_NULL, "e_entry is"),
		BAD(struct image, note.p_offset, sizeof(struct image), "program header 1: p_offset"),
	};
	/* clang-format on */
	struct image image = make_image();
	ck_all_refused(&image, sizeof(image), rows, sizeof(rows) / sizeof(rows[0]));

	struct fixture f;
	image.note.p_type = PT_NULL;
	fixture_init(&f, &image, sizeof(image));
	f.request.kind = BOOT_PVH;
	ck_refused(&f, ERROR_DATA, "expected a note of type 18 (PHYS32_ENTRY) by \"Xen\"");
}
END_TEST

START_TEST(notes_are_looked_at_up_to_a_limit)
{
	static struct {
		Elf64_Ehdr header;
		Elf64_Phdr load, note;
		Elf64_Nhdr empty[256];
		Elf64_Nhdr entry;
		char owner[4];
		uint32_t gpa;
	} image;
	struct image base = make_image();
	struct fixture f;
	image.header = base.header;
	image.load = base.load;
	image.load.p_offset = 0;
	image.note = base.note;
	image.note.p_offset = offsetof(__typeof__(image), empty);
	image.note.p_filesz = sizeof(image) - image.note.p_offset;
	image.entry = (Elf64_Nhdr){ .n_namesz = 4, .n_descsz = 4, .n_type = 18 };
	memcpy(image.owner, "Xen", 4);
	image.gpa = LOAD_GPA;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "e_entry is");
	image.note.p_offset += sizeof(Elf64_Nhdr);
	image.note.p_filesz -= sizeof(Elf64_Nhdr);
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_PVH);
	memory_done(&f.memory);
}
END_TEST

UNIT_MAIN("boot_pvh", a_pvh_image_is_loaded_and_told_of_the_machine, modules_are_listed, the_note_has_4_or_8_bytes,
	  each_bad_field_is_refused_by_name, a_note_that_is_not_whole_is_none, notes_are_looked_at_up_to_a_limit)
