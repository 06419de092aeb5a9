#include "unit.h"

#include <string.h>

#include "vmm/memory.h"
#include "vmm/pages.h"

#define ROUNDS 300

/* Two regions, one of whole words and one that ends within a word. */
static const struct memory_range ranges[] = { { .gpa = 0, .size = 256 * MEMORY_PAGE },
					      { .gpa = 1 << 30, .size = 131 * MEMORY_PAGE } };
#define REGIONS 2

static struct pages pages, other;
static bool model[REGIONS][256], other_model[REGIONS][256];

static void setup(void)
{
	ck_assert_int_eq(pages_create(&pages, ranges, REGIONS, NULL), 0);
	ck_assert_int_eq(pages_create(&other, ranges, REGIONS, NULL), 0);
	memset(model, 0, sizeof(model));
	memset(other_model, 0, sizeof(other_model));
}

static void teardown(void)
{
	pages_done(&pages);
	pages_done(&other);
}

static void add_some(struct pages *set, bool (*set_model)[256], unsigned *seed)
{
	unsigned region = (unsigned)rand_r(seed) % REGIONS, nr_pages = (unsigned)set->nr_pages[region];
	unsigned page = (unsigned)rand_r(seed) % nr_pages, nr = (unsigned)rand_r(seed) % (nr_pages - page) % 90 + 1;
	pages_add(set, region, page, nr);
	memset(&set_model[region][page], 1, nr);
}

/* One by one, by count, and by runs between any two pages. */
static void assert_as_model(const struct pages *set, bool (*set_model)[256])
{
	uint64_t count = 0;
	for (unsigned region = 0; region < REGIONS; region++) {
		uint64_t nr_pages = set->nr_pages[region], at = 0, page, nr;
		for (uint64_t i = 0; i < nr_pages; i++) {
			ck_assert_int_eq(pages_has(set, region, i), set_model[region][i]);
			count += set_model[region][i];
		}
		for (uint64_t end = nr_pages / 3; end <= nr_pages; end += 17) {
			for (at = 0; pages_next_run(set, region, at, end, &page, &nr); at = page + nr) {
				for (; at < page; at++)
					ck_assert(!set_model[region][at]);
				for (; at < page + nr; at++)
					ck_assert(set_model[region][at]);
				ck_assert(at <= end && (at == end || !set_model[region][at]));
			}
			for (; at < end; at++)
				ck_assert(!set_model[region][at]);
		}
	}
	ck_assert_uint_eq(pages_count(set), count);
	ck_assert_int_eq(pages_are_none(set), count == 0);
}

START_TEST(a_set_is_what_was_added)
{
	unsigned seed = 1;
	assert_as_model(&pages, model);
	for (unsigned round = 0; round < ROUNDS; round++) {
		add_some(&pages, model, &seed);
		assert_as_model(&pages, model);
		if (round % 10 == 9) {
			pages_clear(&pages);
			memset(model, 0, sizeof(model));
		}
	}
	pages_add(&pages, 1, 0, 131);
	ck_assert_uint_eq(pages_count(&pages), 131);
	pages_add(&pages, 0, 256, 0);
	ck_assert_uint_eq(pages_words(131), 3);
	ck_assert_uint_eq(pages.words[1][2], 7);
}
END_TEST

START_TEST(what_is_removed_is_not_there)
{
	pages_add(&pages, 0, 60, 140);
	memset(&model[0][60], 1, 140);
	pages_remove(&pages, 0, 63, 130);
	memset(&model[0][63], 0, 130);
	assert_as_model(&pages, model);
	pages_remove(&pages, 1, 0, 131);
	pages_remove(&pages, 0, 60, 1);
	model[0][60] = false;
	assert_as_model(&pages, model);
}
END_TEST

START_TEST(sets_are_united_and_subtracted)
{
	unsigned seed = 2;
	for (unsigned round = 0; round < ROUNDS / 5; round++) {
		add_some(&pages, model, &seed);
		add_some(&other, other_model, &seed);
		if (round % 2 == 0)
			pages_unite(&pages, &other);
		else
			pages_subtract(&pages, &other);
		for (unsigned i = 0; i < REGIONS; i++)
			for (unsigned k = 0; k < pages.nr_pages[i]; k++)
				model[i][k] = round % 2 == 0 ? model[i][k] || other_model[i][k]
							     : model[i][k] && !other_model[i][k];
		assert_as_model(&pages, model);
	}
}
END_TEST

UNIT_MAIN_WITH(setup, teardown, "pages", a_set_is_what_was_added, what_is_removed_is_not_there,
	       sets_are_united_and_subtracted)
