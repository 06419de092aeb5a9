#include "boot_fixture.h"

#define CODE_GPA 0x100000
#define DATA_GPA 0x180000
#define BSS_SIZE 0x3000
#define MANY     33 /* one program header more than are looked at */

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[4];
	uint8_t code[32], data[16];
};

static struct image make_image(void)
{
	struct image image = {
		.header = elf64_header(CODE_GPA + 4, offsetof(struct image, segments), 4),
		.segments = { { .p_type = PT_LOAD,
				.p_offset = offsetof(struct image, code),
				.p_vaddr = 0xffffffff80000000,
				.p_paddr = CODE_GPA,
				.p_filesz = sizeof(image.code),
				.p_memsz = sizeof(image.code) },
			      { .p_type = PT_GNU_STACK, .p_paddr = UINT64_MAX, .p_memsz = UINT64_MAX },
			      { .p_type = PT_LOAD,
				.p_offset = offsetof(struct image, data),
				.p_paddr = DATA_GPA,
				.p_filesz = sizeof(image.data),
				.p_memsz = BSS_SIZE },
			      { .p_type = PT_LOAD, .p_paddr = UINT64_MAX } },
	};
	memset(image.code, 0xc0, sizeof(image.code));
	memset(image.data, 0xda, sizeof(image.data));
	return image;
}

START_TEST(segments_go_to_their_physical_addresses)
{
	struct fixture f;
	struct image image = make_image();
	fixture_init(&f, &image, sizeof(image));
	f.request.command_line = "a line";
	/* The bss is cleared even where RAM is not fresh. */
	memset(memory_at(&f.memory, DATA_GPA, BSS_SIZE + 1), 0xee, BSS_SIZE + 1);
	ck_boots(&f, BOOT_ELF64);
	struct boot_registers expected = expect_long_mode(&f, CODE_GPA + 4);
	ck_registers(&f.registers, &expected);
	ck_assert_mem_eq(memory_at(&f.memory, CODE_GPA, sizeof(image.code)), image.code, sizeof(image.code));
	ck_assert_mem_eq(memory_at(&f.memory, DATA_GPA, sizeof(image.data)), image.data, sizeof(image.data));
	ck_assert(bytes_are_zero(memory_at(&f.memory, DATA_GPA + 16, BSS_SIZE - 16), BSS_SIZE - 16));
	ck_assert_uint_eq(peek(&f, DATA_GPA + BSS_SIZE, 1), 0xee);
	ck_assert_str_eq(peek_string(&f, BOOT_INFO_GPA + offsetof(struct boot_info, command_line)), "a line");
	memory_done(&f.memory);
}
END_TEST

START_TEST(segments_may_touch_but_not_overlap)
{
	struct fixture f;
	struct image image = make_image();
	image.segments[2].p_paddr = CODE_GPA + sizeof(image.code);
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_ELF64);
	memory_done(&f.memory);
	image.segments[2].p_paddr--;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(
		&f, ERROR_DATA,
		"program header 2 (p_paddr, p_memsz) at 0x10001f of 0x3000 bytes: expected apart from program header 0");
}
END_TEST

START_TEST(each_bad_header_is_refused_by_name)
{
	/* clang-format off */
	static const struct bad_row rows[] = {
		BAD(struct image, header.e_ident[EI_CLASS], 3, "e_ident[EI_CLASS] is 3: expected 1 or 2"),
		BAD(struct image, header.e_ident[EI_DATA], ELFDATA2MSB, "e_ident[EI_DATA] is 2: expected 1 (little-endian)"),
		BAD(struct image, header.e_ident[EI_VERSION], 0, "e_ident[EI_VERSION] is 0: expected 1"),
		BAD(struct image, header.e_type, ET_DYN, "e_type is 3: expected 2 (ET_EXEC; link it with -no-pie)"),
		BAD(struct image, header.e_machine, EM_AARCH64, "e_machine is 183: expected 62 (EM_X86_64)"),
		BAD(struct image, header.e_version, 2, "e_version is 2: expected 1"),
		BAD(struct image, header.e_phentsize, 55, "e_phentsize is 55: expected 56"),
		BAD(struct image, header.e_phnum, 0, "e_phnum is 0: expected 1 to 32"),
		BAD(struct image, header.e_phnum, MANY, "e_phnum is 33: expected 1 to 32"),
		BAD(struct image, header.e_phnum, PN_XNUM, "e_phnum is 65535"),
		BAD(struct image, header.e_phnum, 6, "expected 6 program headers inside the file"),
		BAD(struct image, header.e_phoff, UINT64_MAX - 3, "e_phoff is 0xfffffffffffffffc"),
		BAD(struct image, header.e_entry, CODE_GPA - 1, "e_entry is 0xfffff: expected a physical address inside"),
		BAD(struct image, header.e_entry, CODE_GPA + 32, "e_entry is 0x100020"),
		BAD(struct image, header.e_entry, DATA_GPA + 16, "e_entry is 0x180010"),
		BAD(struct image, header.e_entry, 0xffffffff80000004, "expected an address below 4 GiB"),
		BAD(struct image, header.e_entry, BOOT_GDT_GPA, "e_entry is 0x1000"),
		BAD(struct image, segments[0].p_type, PT_INTERP, "program header 0 is PT_INTERP"),
		BAD(struct image, segments[0].p_offset, sizeof(struct image) - 31, "program header 0: p_offset"),
		BAD(struct image, segments[0].p_offset, UINT64_MAX - 8, "program header 0: p_offset 0xfffffffffffffff7"),
		BAD(struct image, segments[2].p_filesz, UINT64_MAX, "program header 2: p_offset"),
		BAD(struct image, segments[2].p_memsz, 15, "program header 2: p_filesz is 0x10: expected at most p_memsz, 0xf"),
		BAD(struct image, segments[2].p_paddr, RAM_SIZE - BSS_SIZE + 1, "expected inside RAM, which is 0 to 0x200000"),
		BAD(struct image, segments[2].p_paddr, UINT64_MAX, "at 0xffffffffffffffff of 0x3000 bytes"),
		BAD(struct image, segments[2].p_memsz, UINT64_MAX, "expected inside RAM"),
		BAD(struct image, segments[2].p_paddr, BOOT_TABLES_END - 1, "the boot information and page tables"),
		BAD(struct image, segments[2].p_paddr, 0, "the boot information and page tables"),
	};
	/* clang-format on */
	struct image image = make_image();
	ck_all_refused(&image, sizeof(image), rows, sizeof(rows) / sizeof(rows[0]));
}
END_TEST

START_TEST(a_truncated_header_is_refused)
{
	struct image image = make_image();
	for (size_t size = SELFMAG; size < sizeof(Elf64_Ehdr); size++) {
		struct fixture f;
		fixture_init(&f, &image, size);
		ck_refused(&f, ERROR_DATA,
			   size < EI_NIDENT ? "does not begin with an ELF header" : "the file ends inside");
	}
}
END_TEST

START_TEST(elf32_needs_another_way_in)
{
	struct fixture f;
	struct {
		Elf32_Ehdr header;
		Elf32_Phdr segment;
	} image = {
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = EV_CURRENT,
			    .e_phoff = sizeof(Elf32_Ehdr),
			    .e_phentsize = sizeof(Elf32_Phdr),
			    .e_phnum = 1 },
	};
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "e_ident[EI_CLASS] is 1: expected 2 (64 bits)");
	fixture_init(&f, &image, sizeof(Elf32_Ehdr) - 1);
	ck_refused(&f, ERROR_DATA, "the file ends inside it, after 51 bytes");
}
END_TEST

START_TEST(one_megabyte_of_ram_is_enough_for_the_tables)
{
	struct fixture f;
	struct image image = make_image();
	image.segments[0].p_paddr = 0x8000;
	image.segments[2].p_paddr = 0x9000;
	image.header.e_entry = 0x8000;
	fixture_init(&f, &image, sizeof(image));
	memory_done(&f.memory);
	ck_assert_int_eq(memory_add_ram(&f.memory, MEMORY_RAM_MIN, NULL), 0);
	ck_boots(&f, BOOT_ELF64);
	memory_done(&f.memory);
	/* No RAM at all: not a machine that can be made, and yet no crash. */
	ck_assert_int_eq(boot_set_long_mode(&f.request, &f.memory, 0, &f.registers, &f.err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(f.err.text, "RAM ends below 0x80000"));
}
END_TEST

START_TEST(ram_above_4_gib_is_used_and_told)
{
	struct fixture f;
	struct image image = make_image();
	image.segments[2].p_paddr = 0x140000000 - BSS_SIZE;
	fixture_init(&f, &image, sizeof(image));
	memory_done(&f.memory);
	ck_assert_int_eq(memory_add_ram(&f.memory, 4ull << 30, NULL), 0);
	ck_boots(&f, BOOT_ELF64);
	ck_assert_uint_eq(peek(&f, BOOT_INFO_GPA + offsetof(struct boot_info, ram_low), 8), 0xc0000000);
	ck_assert_uint_eq(peek(&f, BOOT_INFO_GPA + offsetof(struct boot_info, ram_high), 8), 0x40000000);
	ck_assert_uint_eq(peek(&f, 0x140000000 - BSS_SIZE, 1), 0xda);
	image.segments[2].p_paddr++;
	ck_assert_int_eq(fixture_boot(&f), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(f.err.text, "0 to 0xc0000000 and 0x100000000 to 0x140000000 (--mem"));
	memory_done(&f.memory);
}
END_TEST

UNIT_MAIN("boot_elf", segments_go_to_their_physical_addresses, segments_may_touch_but_not_overlap,
	  each_bad_header_is_refused_by_name, a_truncated_header_is_refused, elf32_needs_another_way_in,
	  one_megabyte_of_ram_is_enough_for_the_tables, ram_above_4_gib_is_used_and_told)
