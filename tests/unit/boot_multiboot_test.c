#include "boot_fixture.h"

#define MAGIC     0x1badb002u
#define FLAGS     0x3u
#define ADDRESSES 0x10000u
#define LOAD_GPA  0x100000
#define BSS_END   (LOAD_GPA + 0x4000)

/* A file whose header says where it goes; the header stands 8 bytes behind the file's start. */
struct kludge {
	uint8_t before[8];
	uint32_t magic, flags, checksum;
	uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
	uint8_t code[64];
};

static struct kludge make_kludge(void)
{
	struct kludge image = {
		.magic = MAGIC,
		.flags = FLAGS | ADDRESSES,
		.checksum = 0u - MAGIC - (FLAGS | ADDRESSES),
		.header_addr = LOAD_GPA + offsetof(struct kludge, magic),
		.load_addr = LOAD_GPA,
		.load_end_addr = LOAD_GPA + sizeof(image),
		.bss_end_addr = BSS_END,
		.entry_addr = LOAD_GPA + offsetof(struct kludge, code),
	};
	memset(image.before, 0xbe, sizeof(image.before));
	memset(image.code, 0xc0, sizeof(image.code));
	return image;
}

struct elf32 {
	Elf32_Ehdr header;
	Elf32_Phdr segment;
	uint32_t magic, flags, checksum;
	uint8_t code[64];
};

static struct elf32 make_elf32(void)
{
	struct elf32 image = {
		.header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			    .e_type = ET_EXEC,
			    .e_machine = EM_386,
			    .e_version = EV_CURRENT,
			    .e_entry = LOAD_GPA + 16,
			    .e_phoff = offsetof(struct elf32, segment),
			    .e_phentsize = sizeof(Elf32_Phdr),
			    .e_phnum = 1 },
		.segment = { .p_type = PT_LOAD,
			     .p_offset = offsetof(struct elf32, code),
			     .p_vaddr = 0xc0000000,
			     .p_paddr = LOAD_GPA,
			     .p_filesz = sizeof(image.code),
			     .p_memsz = 0x2000 },
		.magic = MAGIC,
		.flags = FLAGS,
		.checksum = 0u - MAGIC - FLAGS,
	};
	memset(image.code, 0xc0, sizeof(image.code));
	return image;
}

static void ck_started(const struct fixture *f, uint32_t entry)
{
	struct boot_registers expected = expect_protected_mode(f, entry);
	expected.regs.rax = 0x2badb002;
	ck_registers(&f->registers, &expected);
}

START_TEST(an_elf32_image_is_loaded_and_told_of_the_machine)
{
	struct fixture f;
	struct elf32 image = make_elf32();
	fixture_init(&f, &image, sizeof(image));
	f.request.command_line = "smp 2";
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_started(&f, LOAD_GPA + 16);
	ck_assert_mem_eq(memory_at(&f.memory, LOAD_GPA, sizeof(image.code)), image.code, sizeof(image.code));

	/* Offsets of the specification, 3.3. */
	uint64_t info = f.registers.regs.rbx;
	ck_assert_uint_eq(peek(&f, info, 4), 0x24d);
	ck_assert_uint_eq(peek(&f, info + 4, 4), 640);
	ck_assert_uint_eq(peek(&f, info + 8, 4), RAM_SIZE / 1024 - 1024);
	ck_assert_str_eq(peek_string(&f, peek(&f, info + 16, 4)), "image smp 2");
	ck_assert_uint_eq(peek(&f, info + 20, 4), 0);
	ck_assert_str_eq(peek_string(&f, peek(&f, info + 64, 4)), "Stasis " STASIS_VERSION);
	ck_assert_uint_eq(peek(&f, info + 44, 4), EXPECTED_MAP_ENTRIES * 24);
	uint64_t entry = peek(&f, info + 48, 4);
	for (size_t i = 0; i < EXPECTED_MAP_ENTRIES; i++, entry += 24) {
		ck_assert_uint_eq(peek(&f, entry, 4), 20);
		ck_assert_uint_eq(peek(&f, entry + 4, 8), expected_map[i].gpa);
		ck_assert_uint_eq(peek(&f, entry + 12, 8), expected_map[i].size);
		ck_assert_uint_eq(peek(&f, entry + 20, 4), expected_map[i].type);
	}
	memory_done(&f.memory);
}
END_TEST

START_TEST(without_arguments_the_command_line_is_the_images_name)
{
	struct fixture f;
	struct elf32 image = make_elf32();
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_assert_str_eq(peek_string(&f, peek(&f, BOOT_INFO_GPA + 16, 4)), "image");
	memory_done(&f.memory);
}
END_TEST

START_TEST(modules_stand_page_aligned_above_the_image)
{
	struct fixture f;
	struct elf32 image = make_elf32();
	static uint8_t first[5000], second[16];
	memset(first, 0x11, sizeof(first));
	memset(second, 0x22, sizeof(second));
	fixture_init(&f, &image, sizeof(image));
	f.request.nr_modules = 3;
	f.request.modules[0] = (struct boot_file){ "dir/first", { first, sizeof(first) } };
	f.request.modules[1] = (struct boot_file){ "empty", { NULL, 0 } };
	f.request.modules[2] = (struct boot_file){ "second", { second, sizeof(second) } };
	ck_boots(&f, BOOT_MULTIBOOT);
	uint64_t list = peek(&f, BOOT_INFO_GPA + 24, 4);
	ck_assert_uint_eq(peek(&f, BOOT_INFO_GPA + 20, 4), 3);
	static const struct {
		uint32_t start, size;
		const char *name;
	} rows[] = { { LOAD_GPA + 0x2000, 5000, "first" },
		     { LOAD_GPA + 0x4000, 0, "empty" },
		     { LOAD_GPA + 0x4000, 16, "second" } };
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(peek(&f, list + i * 16, 4), rows[i].start);
		ck_assert_uint_eq(peek(&f, list + i * 16 + 4, 4), rows[i].start + rows[i].size);
		ck_assert_str_eq(peek_string(&f, peek(&f, list + i * 16 + 8, 4)), rows[i].name);
	}
	ck_assert_mem_eq(memory_at(&f.memory, rows[0].start, sizeof(first)), first, sizeof(first));
	ck_assert_mem_eq(memory_at(&f.memory, rows[2].start, sizeof(second)), second, sizeof(second));
	memory_done(&f.memory);

	/* An image below 1 MiB: the modules are not put into the reserved part. */
	image.segment.p_paddr = 0x9e000;
	image.header.e_entry = 0x9e000;
	fixture_init(&f, &image, sizeof(image));
	f.request.nr_modules = 1;
	f.request.modules[0] = (struct boot_file){ "first", { first, sizeof(first) } };
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_assert_uint_eq(peek(&f, peek(&f, BOOT_INFO_GPA + 24, 4), 4), 0x100000);
	memory_done(&f.memory);
}
END_TEST

START_TEST(modules_and_names_have_limits)
{
	struct fixture f;
	struct elf32 image = make_elf32();
	static uint8_t large[RAM_SIZE - 0x102000 + 1];
	char name[0x1400];
	fixture_init(&f, &image, sizeof(image));
	f.request.nr_modules = 1;
	f.request.modules[0] = (struct boot_file){ "dir/large", { large, sizeof(large) } };
	ck_refused(&f, ERROR_DATA, "module large at 0x102000 of 0xfe001 bytes: expected inside RAM");

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	fixture_init(&f, &image, sizeof(image));
	f.request.nr_modules = 2;
	f.request.modules[0] = f.request.modules[1] = (struct boot_file){ name, { large, 1 } };
	ck_refused(&f, ERROR_DATA, "the names of image and modules need more than the 8192 bytes");
}
END_TEST

START_TEST(an_elf64_image_is_taken_too)
{
	struct fixture f;
	struct {
		Elf64_Ehdr header;
		Elf64_Phdr segment;
		uint32_t magic, flags, checksum, code;
	} image = {
		.header = elf64_header(LOAD_GPA, sizeof(Elf64_Ehdr), 1),
		.segment = { .p_type = PT_LOAD, .p_paddr = LOAD_GPA, .p_filesz = 16, .p_memsz = 16 },
		.magic = MAGIC,
		.checksum = 0u - MAGIC,
	};
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_started(&f, LOAD_GPA);
	memory_done(&f.memory);
}
END_TEST

START_TEST(the_headers_addresses_come_before_anything_else)
{
	struct fixture f;
	struct kludge image = make_kludge();
	fixture_init(&f, &image, sizeof(image));
	memset(memory_at(&f.memory, LOAD_GPA, 0x4001), 0xee, 0x4001);
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_started(&f, LOAD_GPA + offsetof(struct kludge, code));
	ck_assert_mem_eq(memory_at(&f.memory, LOAD_GPA, sizeof(image)), &image, sizeof(image));
	ck_assert(bytes_are_zero(memory_at(&f.memory, LOAD_GPA + sizeof(image), 0x4000 - sizeof(image)),
				 0x4000 - sizeof(image)));
	ck_assert_uint_eq(peek(&f, BSS_END, 1), 0xee);
	memory_done(&f.memory);

	/* From the header on, to the end of the file, no bss. */
	image.load_addr = image.header_addr;
	image.load_end_addr = image.bss_end_addr = 0;
	fixture_init(&f, &image, sizeof(image));
	memset(memory_at(&f.memory, LOAD_GPA, 0x1000), 0xee, 0x1000);
	ck_boots(&f, BOOT_MULTIBOOT);
	ck_assert_uint_eq(peek(&f, LOAD_GPA + 7, 1), 0xee);
	ck_assert_mem_eq(memory_at(&f.memory, LOAD_GPA + 8, sizeof(image) - 8), &image.magic, sizeof(image) - 8);
	ck_assert_uint_eq(peek(&f, LOAD_GPA + sizeof(image), 1), 0xee);
	memory_done(&f.memory);
}
END_TEST

START_TEST(each_bad_address_is_refused_by_name)
{
	/* clang-format off */
	static const struct bad_row rows[] = {
		BAD(struct kludge, header_addr, LOAD_GPA - 1, "header_addr is 0xfffff: expected from load_addr 0x100000"),
		BAD(struct kludge, header_addr, LOAD_GPA + 9, "header_addr is 0x100009"),
		BAD(struct kludge, load_addr, LOAD_GPA - 1, "header_addr is 0x100008"),
		BAD(struct kludge, load_end_addr, LOAD_GPA - 1, "load_end_addr is 0xfffff"),
		BAD(struct kludge, load_end_addr, LOAD_GPA + sizeof(struct kludge) + 1, "where the file ends"),
		BAD(struct kludge, bss_end_addr, LOAD_GPA + sizeof(struct kludge) - 1, "bss_end_addr is 0x100067"),
		BAD(struct kludge, bss_end_addr, RAM_SIZE + 1, "load_addr to bss_end_addr at 0x100000"),
		BAD(struct kludge, entry_addr, LOAD_GPA - 1, "entry_addr is 0xfffff"),
		BAD(struct kludge, entry_addr, LOAD_GPA + sizeof(struct kludge), "entry_addr is 0x100068"),
	};
	/* clang-format on */
	struct kludge image = make_kludge();
	ck_all_refused(&image, sizeof(image), rows, sizeof(rows) / sizeof(rows[0]));

	/* In 32 bits this header stands 1 byte behind its load address. */
	struct fixture f;
	image.header_addr = 0;
	image.load_addr = UINT32_MAX;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "header_addr is 0x0");
}
END_TEST

START_TEST(what_the_header_requires_is_there_or_refused)
{
	struct fixture f;
	struct kludge image = make_kludge();
	for (unsigned bit = 2; bit < 16; bit++) {
		char what[64];
		image.flags = FLAGS | ADDRESSES | 1u << bit;
		image.checksum = 0u - MAGIC - image.flags;
		snprintf(what, sizeof(what), "it requires 0x%x,", 1u << bit);
		fixture_init(&f, &image, sizeof(image));
		ck_refused(&f, ERROR_DATA, what);
	}
	/* Flags 17 to 31 are no requirements. */
	image.flags = FLAGS | ADDRESSES | 0xfffe0000;
	image.checksum = 0u - MAGIC - image.flags;
	fixture_init(&f, &image, sizeof(image));
	ck_boots(&f, BOOT_MULTIBOOT);
	memory_done(&f.memory);
}
END_TEST

START_TEST(a_header_counts_only_where_the_specification_looks)
{
	struct fixture f;
	struct kludge image = make_kludge();
	static uint8_t file[16384];
	static const struct {
		size_t offset, size;
		const char *what;
	} rows[] = {
		{ 8192 - 12, sizeof(file),
		  "expected its 32 bytes inside the file" }, /* its addresses are too far back */
		{ 8192 - 8, sizeof(file), "bytes are none of the images" },
		{ 2, sizeof(file), "bytes are none of the images" },
		{ 64, 64 + 31, "expected its 32 bytes inside the file" },
		{ 64, 64 + 11, "bytes are none of the images" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(file, 0, sizeof(file));
		memcpy(file + rows[i].offset, &image.magic, 32);
		fixture_init(&f, file, rows[i].size);
		ck_refused(&f, ERROR_DATA, rows[i].what);
	}
	/* The last place where all of it fits. */
	memset(file, 0, sizeof(file));
	memcpy(file + 8192 - 32, &image.magic, 32);
	fixture_init(&f, file, sizeof(file));
	ck_boots(&f, BOOT_MULTIBOOT);
	memory_done(&f.memory);

	image.checksum++;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "bytes are none of the images");
	fixture_init(&f, &image, sizeof(image));
	f.request.kind = BOOT_MULTIBOOT;
	ck_refused(&f, ERROR_DATA, "expected a Multiboot header in its first 8192 bytes");
}
END_TEST

START_TEST(a_header_without_addresses_needs_elf)
{
	struct fixture f;
	struct kludge image = make_kludge();
	image.flags = FLAGS;
	image.checksum = 0u - MAGIC - FLAGS;
	fixture_init(&f, &image, sizeof(image));
	ck_refused(&f, ERROR_DATA, "a Multiboot image without addresses in its header: ");

	/* clang-format off */
	static const struct bad_row rows[] = {
		BAD(struct elf32, header.e_machine, EM_X86_64, "e_machine is 62: expected 3 (EM_386)"),
		BAD(struct elf32, header.e_phentsize, 56, "e_phentsize is 56: expected 32"),
		BAD(struct elf32, header.e_entry, LOAD_GPA + 64, "e_entry is 0x100040"),
		BAD(struct elf32, segment.p_paddr, 0x580, "expected apart from program header 0"),
		BAD(struct elf32, segment.p_paddr, 0xfffff000, "expected inside RAM"),
		BAD(struct elf32, segment.p_filesz, 0xffffffff, "p_filesz 0xffffffff"),
	};
	/* clang-format on */
	struct elf32 elf = make_elf32();
	elf.header.e_entry = LOAD_GPA;
	ck_all_refused(&elf, sizeof(elf), rows, 3);
	elf.header.e_entry = 0x580;
	ck_all_refused(&elf, sizeof(elf), rows + 3, 3);
}
END_TEST

UNIT_MAIN("boot_multiboot", an_elf32_image_is_loaded_and_told_of_the_machine,
	  without_arguments_the_command_line_is_the_images_name, modules_stand_page_aligned_above_the_image,
	  modules_and_names_have_limits, an_elf64_image_is_taken_too, the_headers_addresses_come_before_anything_else,
	  each_bad_address_is_refused_by_name, what_the_header_requires_is_there_or_refused,
	  a_header_counts_only_where_the_specification_looks, a_header_without_addresses_needs_elf)
