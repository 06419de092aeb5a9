#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/io.h"
#include "vmm/memory.h"
#include "vmm/pages.h"

START_TEST(ram_is_split_below_4_gib)
{
	struct memory memory = { 0 };
	ck_assert_int_eq(memory_add_ram(&memory, 4ull << 30, NULL), 0);
	ck_assert_uint_eq(memory.nr_regions, 2);
	ck_assert_uint_eq(memory_ram_low(&memory), MEMORY_LOW_MAX);
	ck_assert_uint_eq(memory_ram_high(&memory), 1ull << 30);
	ck_assert_ptr_nonnull(memory_at(&memory, MEMORY_HIGH_GPA, 1ull << 30));
	ck_assert_ptr_null(memory_at(&memory, MEMORY_LOW_MAX - 1, 2));
	ck_assert_ptr_null(memory_at(&memory, 0xfee00000, 1));
	memory_done(&memory);
	ck_assert_uint_eq(memory.nr_regions, 0);
}
END_TEST

START_TEST(an_access_stays_inside_one_region)
{
	struct memory memory = { 0 };
	uint64_t value = 0x1122334455667788, got = 0;
	ck_assert_int_eq(memory_add_ram(&memory, 1 << 20, NULL), 0);
	ck_assert(memory_write(&memory, (1 << 20) - 8, &value, 8));
	ck_assert(memory_read(&memory, (1 << 20) - 8, &got, 8));
	ck_assert_uint_eq(got, value);
	ck_assert(!memory_write(&memory, (1 << 20) - 7, &value, 8));
	ck_assert(!memory_read(&memory, UINT64_MAX, &got, 8));
	ck_assert_ptr_null(memory_at(&memory, 16, UINT64_MAX - 8));
	memory_done(&memory);
}
END_TEST

START_TEST(sizes_have_limits)
{
	struct memory memory = { 0 };
	struct error err;
	static const uint64_t wrong[] = { 0, 4096, MEMORY_RAM_MIN + 1, MEMORY_RAM_MAX + 4096, UINT64_MAX };
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_int_eq(memory_add_ram(&memory, wrong[i], &err), -ERROR_USAGE);
		ck_assert_uint_eq(memory.nr_regions, 0);
	}
}
END_TEST

START_TEST(ranges_from_a_file_are_checked)
{
	struct error err;
	struct memory_range good[2] = { { .gpa = 0, .size = 1 << 20 }, { .gpa = 1 << 20, .size = 4096, .flags = 1 } };
	ck_assert_int_eq(memory_check_ranges(good, 2, &err), 0);
	ck_assert_int_eq(memory_check_ranges(good, 0, &err), -ERROR_DATA);
	struct memory_range overlap[2] = { { .gpa = 0, .size = 1 << 20 }, { .gpa = 4096, .size = 4096 } };
	ck_assert_int_eq(memory_check_ranges(overlap, 2, &err), -ERROR_DATA);
	ck_assert_ptr_nonnull(strstr(err.text, "overlap"));
	struct memory_range wrap = { .gpa = UINT64_MAX - 4095, .size = 8192 };
	ck_assert_int_eq(memory_check_ranges(&wrap, 1, &err), -ERROR_DATA);
	struct memory_range odd = { .gpa = 1, .size = 4096 };
	ck_assert_int_eq(memory_check_ranges(&odd, 1, &err), -ERROR_DATA);
	struct memory_range flags = { .gpa = 0, .size = 4096, .flags = 0x80 };
	ck_assert_int_eq(memory_check_ranges(&flags, 1, &err), -ERROR_DATA);
}
END_TEST

#define PAIR      1                        /* the first of two pages side by side */
#define SINGLES   (MEMORY_SINGLES_MAX + 1) /* and behind them, one page in two is the file's: */
#define SINGLE(i) ((uint64_t)PAIR + 3 + 2 * (i))
#define NR_PAGES  SINGLE(SINGLES)

/* Can this file system tell what is in the page cache?  What was just written is. */
static bool knows_its_cache(int fd)
{
	char byte;
	return io_pread_cached(fd, &byte, sizeof(byte), 0);
}

START_TEST(single_pages_are_read_and_others_mapped)
{
	static const uint8_t page[MEMORY_PAGE] = { 'x' };
	struct memory memory = { 0 };
	struct memory_range range = { .size = NR_PAGES * MEMORY_PAGE };
	struct memory_region *region = &memory.regions[0];
	struct pages pages;
	FILE *below = tmpfile(), *above = tmpfile();
	ck_assert(below != NULL && above != NULL);
	ck_assert_int_eq(ftruncate(fileno(below), (off_t)range.size), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ck_assert_int_eq(io_pwrite_full(fileno(above), page, sizeof(page), i * sizeof(page)), 0);
	ck_assert_int_eq(memory_add_file(&memory, &range, "below", fileno(below), 0, NULL), 0);
	ck_assert_int_eq(pages_create_for(&pages, &memory, NULL), 0);
	pages_add(&pages, 0, PAIR, 2);
	for (unsigned i = 0; i < SINGLES; i++)
		pages_add(&pages, 0, SINGLE(i), 1);
	ck_assert_int_eq(memory_overlay_file(&memory, 0, &pages, "above", fileno(above), 0, NULL), 0);
	for (uint64_t i = 0; i < NR_PAGES; i++)
		ck_assert_int_eq(region->hva[i * MEMORY_PAGE], pages_has(&pages, 0, i) ? 'x' : 0);

	/* What was read is there even without the file; there is a limit to that. */
	if (knows_its_cache(fileno(above))) {
		ck_assert_uint_eq(region->nr_overlays, 2);
		ck_assert_int_eq(ftruncate(fileno(above), 0), 0);
		for (unsigned i = 0; i < MEMORY_SINGLES_MAX; i++)
			ck_assert_int_eq(region->hva[SINGLE(i) * MEMORY_PAGE], 'x');
	} else {
		ck_assert_uint_eq(region->nr_overlays, 1 + SINGLES);
	}
	pages_done(&pages);
	memory_done(&memory);
	fclose(below);
	fclose(above);
}
END_TEST

UNIT_MAIN("memory", ram_is_split_below_4_gib, an_access_stays_inside_one_region, sizes_have_limits,
	  ranges_from_a_file_are_checked, single_pages_are_read_and_others_mapped)
