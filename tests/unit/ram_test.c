#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "snapshot/crc32c.h"
#include "snapshot/format.h"
#include "snapshot/ram.h"

#define PAGES  700u /* of the region: two chunks and a short one */
#define REGION (PAGES * MEMORY_PAGE)
#define CHUNKS 3
#define ROUNDS 60

static struct memory memory;
static const struct memory_region *region;

static void setup(void)
{
	const struct memory_range range = { .gpa = 0x100000, .size = REGION };
	ck_assert_int_eq(memory_add(&memory, &range, NULL), 0);
	region = &memory.regions[0];
}

static void teardown(void)
{
	memory_done(&memory);
}

START_TEST(untouched_memory_is_no_data)
{
	uint64_t start = 77, end = 77;
	ck_assert(!memory_next_data(region, 0, REGION, &start, &end));
	region->hva[5 * MEMORY_PAGE + 9] = 1;
	region->hva[6 * MEMORY_PAGE] = 1;
	region->hva[REGION - 1] = 1;
	ck_assert(memory_next_data(region, 0, REGION, &start, &end));
	ck_assert_uint_le(start, 5 * MEMORY_PAGE);
	ck_assert_uint_ge(end, 7 * MEMORY_PAGE);
	ck_assert(memory_next_data(region, 6 * MEMORY_PAGE + 1, REGION, &start, &end));
	ck_assert_uint_eq(start, 6 * MEMORY_PAGE + 1);
	ck_assert(memory_next_data(region, end, REGION, &start, &end));
	ck_assert_uint_le(start, REGION - MEMORY_PAGE);
	ck_assert_uint_eq(end, REGION);
	start = end = 77;
	ck_assert(!memory_next_data(region, REGION, REGION, &start, &end));
	ck_assert(!memory_next_data(region, UINT64_MAX, REGION, &start, &end));
	ck_assert_uint_eq(start + end, 2 * 77);
}
END_TEST

/* The runs that memory_next_data() finds, as "2-4 7-8", in pages. */
static const char *find_runs(const struct memory_region *of)
{
	static char text[256];
	uint64_t start, end = 0;
	size_t used = 0;
	text[0] = '\0';
	while (memory_next_data(of, end, of->range.size, &start, &end))
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u-%u", used > 0 ? " " : "",
					 (unsigned)(start / MEMORY_PAGE), (unsigned)(end / MEMORY_PAGE));
	return text;
}

START_TEST(of_a_mapped_file_data_is_what_it_has_and_what_was_written)
{
	char path[] = "ram_test.XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);
	struct memory mapped = { 0 };
	const struct memory_range range = { .gpa = 0, .size = REGION };
	ck_assert_int_eq(ftruncate(fd, REGION + MEMORY_PAGE), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 301 * MEMORY_PAGE), 1);
	ck_assert_int_eq(fsync(fd), 0);
	ck_assert_int_eq(memory_add_file(&mapped, &range, path, fd, MEMORY_PAGE, NULL), 0);
	unlink(path);
	const struct memory_region *of = &mapped.regions[0];
	ck_assert_str_eq(find_runs(of), "300-301");
	/* What was only read is the file's still. */
	ck_assert_uint_eq(of->hva[10 * MEMORY_PAGE] + of->hva[300 * MEMORY_PAGE], 'x');
	ck_assert_str_eq(find_runs(of), "300-301");
	of->hva[20 * MEMORY_PAGE] = of->hva[21 * MEMORY_PAGE] = of->hva[REGION - 1] = 1;
	of->hva[299 * MEMORY_PAGE] = 1;
	ck_assert_str_eq(find_runs(of), "20-22 299-300 300-301 699-700");
	/* Where the file ends early, nothing is taken for zeros. */
	ck_assert_int_eq(ftruncate(fd, 400 * MEMORY_PAGE), 0);
	ck_assert_str_eq(find_runs(of), "0-700");
	close(fd);
	memory_done(&mapped);
}
END_TEST

START_TEST(data_behind_the_limit_is_not_looked_for)
{
	uint64_t start, end;
	region->hva[9 * MEMORY_PAGE] = 1;
	ck_assert(!memory_next_data(region, 0, 9 * MEMORY_PAGE, &start, &end));
	ck_assert(memory_next_data(region, 0, 10 * MEMORY_PAGE, &start, &end));
	ck_assert_uint_eq(end, 10 * MEMORY_PAGE);
}
END_TEST

START_TEST(chunks_cover_a_region)
{
	ck_assert_uint_eq(ram_chunks(FORMAT_CHUNK), 1);
	ck_assert_uint_eq(ram_chunks(FORMAT_CHUNK + MEMORY_PAGE), 2);
	ck_assert_uint_eq(ram_chunks(REGION), CHUNKS);
	ck_assert_uint_eq(ram_chunk_size(REGION, 0), FORMAT_CHUNK);
	ck_assert_uint_eq(ram_chunk_size(REGION, 1), FORMAT_CHUNK);
	ck_assert_uint_eq(ram_chunk_size(REGION, 2), REGION - 2 * FORMAT_CHUNK);
}
END_TEST

/* What was visited: a mark for each page, and how many runs there were. */
struct seen {
	bool pages[PAGES];
	unsigned runs, stop_at;
	uint64_t next;
};

static int see(const struct memory_region *visited, uint64_t offset, uint64_t size, void *context)
{
	struct seen *seen = context;
	ck_assert_ptr_eq(visited, region);
	ck_assert_uint_gt(size, 0);
	ck_assert_uint_eq((offset | size) % MEMORY_PAGE, 0);
	/* Ascending, and as long as can be: a run that goes on within the chunk would be one. */
	ck_assert(offset > seen->next || (offset == seen->next && (offset % FORMAT_CHUNK == 0)));
	for (uint64_t page = offset / MEMORY_PAGE; page < (offset + size) / MEMORY_PAGE; page++)
		seen->pages[page] = true;
	seen->next = offset + size;
	return ++seen->runs == seen->stop_at ? 77 : 0;
}

/* Touches some stretches of pages, some of them with zeros. */
static void scatter(unsigned *seed)
{
	for (unsigned i = 0; i < 12; i++) {
		unsigned page = (unsigned)rand_r(seed) % PAGES, length = 1 + (unsigned)rand_r(seed) % 40;
		int value = rand_r(seed) % 3;
		for (unsigned k = page; k < page + length && k < PAGES; k++)
			memset(region->hva + k * MEMORY_PAGE, value, (size_t)rand_r(seed) % MEMORY_PAGE + 1);
	}
}

START_TEST(visits_and_checksums_are_those_of_a_plain_loop)
{
	static struct seen seen;
	unsigned seed = 1;
	for (unsigned round = 0; round < ROUNDS; round++) {
		seen = (struct seen){ 0 };
		for (uint64_t chunk = 0; chunk < CHUNKS; chunk++) {
			uint32_t crc = 0, crc_alone = 1;
			ck_assert_int_eq(ram_visit_chunk(region, chunk, see, &seen, &crc), 0);
			ck_assert_int_eq(ram_visit_chunk(region, chunk, NULL, NULL, &crc_alone), 0);
			ck_assert_uint_eq(crc,
					  crc32c(0, region->hva + chunk * FORMAT_CHUNK, ram_chunk_size(REGION, chunk)));
			ck_assert_uint_eq(crc, crc_alone);
		}
		for (unsigned page = 0; page < PAGES; page++)
			ck_assert_msg(seen.pages[page] ==
					      !bytes_are_zero(region->hva + page * MEMORY_PAGE, MEMORY_PAGE),
				      "round %u, page %u", round, page);
		scatter(&seed);
		if (round % 20 == 19) { /* start again with untouched memory */
			teardown();
			setup();
		}
	}
}
END_TEST

START_TEST(a_visit_stops_when_told)
{
	struct seen seen = { .stop_at = 2 };
	uint32_t crc;
	for (unsigned page = 0; page < 10; page += 2)
		region->hva[page * MEMORY_PAGE] = 1;
	ck_assert_int_eq(ram_visit_chunk(region, 0, see, &seen, NULL), 77);
	ck_assert_uint_eq(seen.runs, 2);
	/* At the run that ends with the chunk, too. */
	seen = (struct seen){ .stop_at = 1 };
	region->hva[2 * FORMAT_CHUNK - 1] = 1;
	ck_assert_int_eq(ram_visit_chunk(region, 1, see, &seen, &crc), 77);
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "ram", untouched_memory_is_no_data,
	       of_a_mapped_file_data_is_what_it_has_and_what_was_written, data_behind_the_limit_is_not_looked_for,
	       chunks_cover_a_region, visits_and_checksums_are_those_of_a_plain_loop, a_visit_stops_when_told)
