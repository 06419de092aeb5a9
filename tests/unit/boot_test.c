#include "boot_fixture.h"

#include <sys/stat.h>

#include "vmm/boot_layout.h"
#include "vmm/io.h"

#define SECTOR_IMAGE_MAX (0x9fc00 - 0x7c00)
#define ROM_64K          0x10000
#define SEABIOS          "/usr/share/seabios/bios.bin" /* Debian's package seabios */

/* An image of a size, every byte telling its place, with the bytes of a boot sector or of a reset vector. */
static uint8_t *make_image(size_t size)
{
	uint8_t *image = malloc(size);
	ck_assert_ptr_nonnull(image);
	for (size_t i = 0; i < size; i++)
		image[i] = (uint8_t)(i * 7 + i / 4096);
	return image;
}

static uint8_t *make_sector(size_t size)
{
	uint8_t *image = make_image(size);
	image[510] = 0x55;
	image[511] = 0xaa;
	return image;
}

static uint8_t *make_rom(size_t size)
{
	uint8_t *image = make_image(size);
	image[size - 16] = 0xea;
	return image;
}

START_TEST(boot_sectors_start_as_a_bios_starts_them)
{
	static const size_t sizes[] = { 512, 1024, SECTOR_IMAGE_MAX };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture f;
		uint8_t *image = make_sector(sizes[i]);
		fixture_init(&f, image, sizes[i]);
		ck_boots(&f, BOOT_SECTOR);
		struct boot_registers expected = expect_real_mode(&f, 0, 0x7c00);
		expected.regs.rdx = 0x80;
		ck_registers(&f.registers, &expected);
		ck_assert_mem_eq(memory_at(&f.memory, 0x7c00, sizes[i]), image, sizes[i]);
		ck_assert_uint_eq(peek(&f, 0x7c00 + sizes[i], 8), 0);
		memory_done(&f.memory);
		free(image);
	}
}
END_TEST

START_TEST(other_sizes_and_signatures_are_no_boot_sector)
{
	struct fixture f;
	uint8_t *image = make_sector(SECTOR_IMAGE_MAX + 512);
	static const size_t sizes[] = { 511, 513, SECTOR_IMAGE_MAX + 512 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		fixture_init(&f, image, sizes[i]);
		ck_refused(&f, ERROR_DATA, "bytes are none of the images");
		fixture_init(&f, image, sizes[i]);
		f.request.kind = BOOT_SECTOR;
		ck_refused(&f, ERROR_DATA, "expected 1 to 1216 sectors of 512 bytes");
	}
	image[511] = 0;
	fixture_init(&f, image, 512);
	ck_refused(&f, ERROR_DATA, "bytes are none of the images");
	fixture_init(&f, image, 512);
	f.request.kind = BOOT_SECTOR;
	ck_refused(&f, ERROR_DATA, "expected its signature 55 aa at offset 510");
	free(image);
}
END_TEST

START_TEST(an_unknown_image_is_told_what_is_known)
{
	struct fixture f;
	static const char *const known[] = { "ELF64",        "Multiboot", "PVH",    "boot sector",
					     "firmware ROM", "--real",    "--long", "its 5 bytes" };
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		fixture_init(&f, "hello", 5);
		ck_refused(&f, ERROR_DATA, known[i]);
	}
	fixture_init(&f, "", 0);
	ck_refused(&f, ERROR_DATA, "an empty file");
}
END_TEST

/* What each kind does not take, and the limits of what it takes. */
START_TEST(requests_are_held_against_what_the_loader_takes)
{
	static const struct {
		enum boot_kind kind;
		bool takes_addresses;
		unsigned modules_max;
		size_t line_max; /* without the final 0 */
	} rows[] = {
		{ BOOT_SECTOR, false, 0, 0 },   { BOOT_FLAT_REAL, true, 0, 0 },     { BOOT_FLAT_LONG, true, 0, 511 },
		{ BOOT_ELF64, false, 0, 511 },  { BOOT_MULTIBOOT, false, 8, 2047 }, { BOOT_PVH, false, 8, 2047 },
		{ BOOT_FIRMWARE, false, 0, 0 },
	};
	char line[4096];
	struct fixture f;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct boot_loader *loader = NULL;
		fixture_init(&f, "image", 5);
		f.request.kind = rows[i].kind;
		f.request.has_load = true;
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), rows[i].takes_addresses ? 0 : -ERROR_USAGE);
		f.request.has_load = false;
		f.request.has_entry = true;
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), rows[i].takes_addresses ? 0 : -ERROR_USAGE);
		f.request.has_entry = false;
		f.request.nr_modules = rows[i].modules_max;
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), 0);
		ck_assert_int_eq(loader->kind, rows[i].kind);
		f.request.nr_modules++;
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), -ERROR_USAGE);
		ck_assert_ptr_nonnull(strstr(f.err.text, "modules: expected at most"));
		f.request.nr_modules = 0;
		memset(line, 'x', sizeof(line));
		line[rows[i].line_max] = '\0';
		f.request.command_line = line;
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), 0);
		line[rows[i].line_max] = 'x';
		line[rows[i].line_max + 1] = '\0';
		ck_assert_int_eq(boot_find(&f.request, &loader, &f.err), -ERROR_USAGE);
		ck_assert_ptr_nonnull(strstr(f.err.text, "dir/image: "));
		ck_assert_ptr_nonnull(
			strstr(f.err.text, rows[i].line_max == 0 ? "takes no command line" : "a command line of"));
		memory_done(&f.memory);
	}
}
END_TEST

START_TEST(a_flat_real_image_goes_where_it_is_told)
{
	static const struct {
		uint64_t load, entry;
		bool has_load, has_entry;
		uint64_t gpa;
		uint16_t cs, ip;
	} rows[] = {
		{ .gpa = 0x7c00, .cs = 0, .ip = 0x7c00 },
		{ .load = 0x1000, .has_load = true, .gpa = 0x1000, .cs = 0, .ip = 0x1000 },
		{ .load = 0x12340, .has_load = true, .gpa = 0x12340, .cs = 0x1000, .ip = 0x2340 },
		{ .load = 0xfff00, .has_load = true, .gpa = 0xfff00, .cs = 0xf000, .ip = 0xff00 },
		{ .entry = 0x7c7f, .has_entry = true, .gpa = 0x7c00, .cs = 0, .ip = 0x7c7f },
	};
	uint8_t *image = make_image(128);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		fixture_init(&f, image, 128);
		f.request.kind = BOOT_FLAT_REAL;
		f.request.load_gpa = rows[i].load;
		f.request.has_load = rows[i].has_load;
		f.request.entry_gpa = rows[i].entry;
		f.request.has_entry = rows[i].has_entry;
		ck_boots(&f, BOOT_FLAT_REAL);
		struct boot_registers expected = expect_real_mode(&f, rows[i].cs, rows[i].ip);
		expected.regs.rdx = 0x80;
		ck_registers(&f.registers, &expected);
		ck_assert_mem_eq(memory_at(&f.memory, rows[i].gpa, 128), image, 128);
		memory_done(&f.memory);
	}
	free(image);
}
END_TEST

START_TEST(a_flat_long_image_goes_where_it_is_told)
{
	struct fixture f;
	uint8_t *image = make_image(128);
	fixture_init(&f, image, 128);
	f.request.kind = BOOT_FLAT_LONG;
	ck_boots(&f, BOOT_FLAT_LONG);
	struct boot_registers expected = expect_long_mode(&f, 0x100000);
	ck_registers(&f.registers, &expected);
	ck_assert_mem_eq(memory_at(&f.memory, 0x100000, 128), image, 128);
	memory_done(&f.memory);

	fixture_init(&f, image, 128);
	f.request.kind = BOOT_FLAT_LONG;
	f.request.has_load = f.request.has_entry = true;
	f.request.load_gpa = 0x8000;
	f.request.entry_gpa = 0x8004;
	ck_boots(&f, BOOT_FLAT_LONG);
	expected = expect_long_mode(&f, 0x8004);
	ck_registers(&f.registers, &expected);
	ck_assert_mem_eq(memory_at(&f.memory, 0x8000, 128), image, 128);
	memory_done(&f.memory);
	free(image);
}
END_TEST

START_TEST(flat_images_have_limits)
{
	static const struct {
		enum boot_kind kind;
		uint64_t load, entry;
		enum error_code code;
		const char *what;
	} rows[] = {
		{ BOOT_FLAT_REAL, RAM_SIZE - 127, RAM_SIZE - 127, ERROR_DATA,
		  "expected inside RAM, which is 0 to 0x200000" },
		{ BOOT_FLAT_REAL, UINT64_MAX, UINT64_MAX, ERROR_DATA, "expected inside RAM" },
		{ BOOT_FLAT_REAL, 0x7c00, 0x7bff, ERROR_DATA, "its entry is 0x7bff" },
		{ BOOT_FLAT_REAL, 0x7c00, 0x7c80, ERROR_DATA, "its entry is 0x7c80" },
		{ BOOT_FLAT_REAL, 0x100000, 0x100000, ERROR_USAGE, "expected below 1 MiB for real mode" },
		{ BOOT_FLAT_LONG, 0x7fff, 0x7fff, ERROR_DATA,
		  "expected apart from the boot information and page tables" },
		{ BOOT_FLAT_LONG, 0x500 - 127, 0x500 - 127, ERROR_DATA, "expected apart from the boot information" },
		{ BOOT_FLAT_LONG, 0x8000, 0x7fff, ERROR_DATA, "its entry is 0x7fff" },
		{ BOOT_FLAT_LONG, 0x8000, 0x100008000, ERROR_DATA, "expected an address below 4 GiB" },
	};
	uint8_t *image = make_image(128);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;
		fixture_init(&f, image, 128);
		f.request.kind = rows[i].kind;
		f.request.has_load = f.request.has_entry = true;
		f.request.load_gpa = rows[i].load;
		f.request.entry_gpa = rows[i].entry;
		ck_refused(&f, rows[i].code, rows[i].what);
	}
	free(image);
}
END_TEST

START_TEST(long_mode_has_the_tables_that_the_abi_promises)
{
	struct fixture f;
	struct boot_info info;
	fixture_init(&f, "\xf4", 1);
	f.request.kind = BOOT_FLAT_LONG;
	f.request.command_line = "one two";
	f.request.has_nx = false;
	ck_boots(&f, BOOT_FLAT_LONG);
	ck_assert_uint_eq(f.registers.sregs.efer, 0x500);

	ck_assert(memory_read(&f.memory, BOOT_INFO_GPA, &info, sizeof(info)));
	ck_assert_uint_eq(info.magic, BOOT_INFO_MAGIC);
	ck_assert_uint_eq(info.ram_low, RAM_SIZE);
	ck_assert_uint_eq(info.ram_high, 0);
	ck_assert_uint_eq(info.nr_vcpus, 3);
	ck_assert_uint_eq(info.irqchip, IRQCHIP_SPLIT);
	ck_assert_uint_eq(info.tsc_khz, 2500000);
	ck_assert_str_eq(info.command_line, "one two");

	static const uint64_t descriptors[] = { 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff };
	ck_assert_mem_eq(memory_at(&f.memory, BOOT_GDT_GPA, sizeof(descriptors)), descriptors, sizeof(descriptors));

	ck_assert_uint_eq(peek(&f, BOOT_PML4_GPA, 8), 0x3023);
	ck_assert(bytes_are_zero(memory_at(&f.memory, BOOT_PML4_GPA + 8, 4088), 4088));
	for (unsigned i = 0; i < 512; i++)
		ck_assert_uint_eq(peek(&f, 0x3000 + i * 8, 8), i < 4 ? 0x4023u + i * 0x1000 : 0);
	for (uint64_t i = 0; i < 2048; i++)
		ck_assert_uint_eq(peek(&f, 0x4000 + i * 8, 8), i * 0x200000 + 0xe3);
	memory_done(&f.memory);
}
END_TEST

START_TEST(firmware_ends_at_4_gib_and_below_1_mib)
{
	static const size_t sizes[] = { ROM_64K, 2 * ROM_64K, 4 * ROM_64K, 16u << 20 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fixture f;
		size_t size = sizes[i], shadow = size < 2 * ROM_64K ? size : 2 * ROM_64K;
		uint8_t *image = make_rom(size);
		fixture_init(&f, image, size);
		ck_boots(&f, BOOT_FIRMWARE);
		const struct memory_range *rom = &f.memory.regions[f.memory.nr_regions - 1].range;
		ck_assert_uint_eq(rom->gpa, (1ull << 32) - size);
		ck_assert_uint_eq(rom->size, size);
		ck_assert_uint_eq(rom->flags, MEMORY_ROM);
		ck_assert_mem_eq(memory_at(&f.memory, rom->gpa, size), image, size);
		ck_assert_mem_eq(memory_at(&f.memory, 0x100000 - shadow, shadow), image + size - shadow, shadow);
		ck_assert(bytes_are_zero(memory_at(&f.memory, 0, 0x100000 - shadow), 0x100000 - shadow));
		ck_assert_uint_eq(peek(&f, 0x100000, 8), 0);
		struct boot_registers expected = expect_real_mode(&f, 0xf000, 0xfff0);
		expected.regs.rdx = f.fresh.regs.rdx;
		expected.sregs.cs.base = 0xffff0000;
		expected.sregs.cr0 = 0x60000010;
		ck_registers(&f.registers, &expected);
		memory_done(&f.memory);
		free(image);
	}
}
END_TEST

START_TEST(firmware_is_known_by_its_size_and_reset_vector)
{
	static const uint8_t jumps[][4] = { { 0xe9 }, { 0xea }, { 0xeb }, { 0x90, 0x90, 0xe9 } };
	struct fixture f;
	uint8_t *image = make_rom((16u << 20) + ROM_64K);
	for (size_t i = 0; i < sizeof(jumps) / sizeof(jumps[0]); i++) {
		memcpy(image + ROM_64K - 16, jumps[i], sizeof(jumps[i]));
		fixture_init(&f, image, ROM_64K);
		ck_boots(&f, BOOT_FIRMWARE);
		memory_done(&f.memory);
	}
	memset(image + ROM_64K - 16, 0x90, 16);
	fixture_init(&f, image, ROM_64K);
	ck_refused(&f, ERROR_DATA, "bytes are none of the images");

	static const size_t sizes[] = { ROM_64K - 1, ROM_64K + 4096, (16u << 20) + ROM_64K };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		image[sizes[i] - 16] = 0xea;
		fixture_init(&f, image, sizes[i]);
		ck_refused(&f, ERROR_DATA, "bytes are none of the images");
		fixture_init(&f, image, sizes[i]);
		f.request.kind = BOOT_FIRMWARE;
		ck_refused(&f, ERROR_DATA, "expected a multiple of 65536, at most 16777216");
	}
	free(image);
}
END_TEST

START_TEST(firmware_without_its_rom_is_an_error)
{
	struct fixture f;
	uint8_t *image = make_rom(ROM_64K);
	fixture_init(&f, image, ROM_64K);
	ck_assert_int_eq(boot_firmware.load(&f.request, &f.memory, &f.registers, &f.err), -ERROR_INTERNAL);
	ck_assert_ptr_nonnull(strstr(f.err.text, "expected memory at 0xffff0000"));
	memory_done(&f.memory);
	free(image);
}
END_TEST

START_TEST(seabios_is_firmware)
{
	struct stat st;
	struct buffer image = { 0 };
	struct fixture f;
	if (stat(SEABIOS, &st) != 0) {
		puts("seabios_is_firmware: skipped, there is no " SEABIOS " (Debian: apt-get install seabios)");
		return;
	}
	ck_assert_int_eq(io_read_file(SEABIOS, BOOT_IMAGE_MAX, &image, NULL), 0);
	fixture_init(&f, image.data, image.size);
	ck_boots(&f, BOOT_FIRMWARE);
	memory_done(&f.memory);
	buffer_done(&image);
}
END_TEST

START_TEST(the_memory_map_follows_ram)
{
	static const struct {
		uint64_t ram;
		unsigned nr;
		struct boot_map_entry last_ram;
	} rows[] = {
		{ 1ull << 20, 3, { 0, 0xa0000, BOOT_MAP_RAM } },
		{ 128ull << 20, 4, { 0x100000, (127ull << 20), BOOT_MAP_RAM } },
		{ 3ull << 30, 4, { 0x100000, (3ull << 30) - 0x100000, BOOT_MAP_RAM } },
		{ 5ull << 30, 5, { 4ull << 30, 2ull << 30, BOOT_MAP_RAM } },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct memory memory = { 0 };
		struct boot_map_entry map[BOOT_MAP_MAX], last_ram = { 0 };
		uint64_t end = 0;
		ck_assert_int_eq(memory_add_ram(&memory, rows[i].ram, NULL), 0);
		unsigned nr = boot_memory_map(&memory, map);
		ck_assert_uint_eq(nr, rows[i].nr);
		for (unsigned k = 0; k < nr; k++) {
			ck_assert_uint_ge(map[k].gpa, end);
			end = map[k].gpa + map[k].size;
			if (map[k].type == BOOT_MAP_RAM) {
				last_ram = map[k];
				ck_assert_ptr_nonnull(memory_at(&memory, map[k].gpa, map[k].size));
			}
		}
		ck_assert_uint_eq(last_ram.gpa, rows[i].last_ram.gpa);
		ck_assert_uint_eq(last_ram.size, rows[i].last_ram.size);
		memory_done(&memory);
	}
}
END_TEST

UNIT_MAIN("boot", boot_sectors_start_as_a_bios_starts_them, other_sizes_and_signatures_are_no_boot_sector,
	  an_unknown_image_is_told_what_is_known, requests_are_held_against_what_the_loader_takes,
	  a_flat_real_image_goes_where_it_is_told, a_flat_long_image_goes_where_it_is_told, flat_images_have_limits,
	  long_mode_has_the_tables_that_the_abi_promises, firmware_ends_at_4_gib_and_below_1_mib,
	  firmware_is_known_by_its_size_and_reset_vector, firmware_without_its_rom_is_an_error, seabios_is_firmware,
	  the_memory_map_follows_ram)
