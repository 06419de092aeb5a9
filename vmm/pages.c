#include "pages.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"

uint64_t pages_words(uint64_t nr_pages)
{
	return (nr_pages + PAGES_WORD - 1) / PAGES_WORD;
}

int pages_create(struct pages *ret, const struct memory_range *ranges, unsigned nr_ranges, struct error *err)
{
	struct pages pages = { .nr_regions = nr_ranges };
	for (unsigned i = 0; i < nr_ranges; i++) {
		pages.nr_pages[i] = ranges[i].size / MEMORY_PAGE;
		pages.words[i] = calloc(pages_words(pages.nr_pages[i]), sizeof(uint64_t));
		if (pages.words[i] == NULL) {
			pages_done(&pages);
			return error_set(err, ERROR_SYSTEM, "no memory for a set of pages of %" PRIu64 " bytes of RAM",
					 ranges[i].size);
		}
	}
	*ret = pages;
	return 0;
}

int pages_create_for(struct pages *ret, const struct memory *memory, struct error *err)
{
	struct memory_range ranges[MEMORY_REGIONS_MAX];
	for (unsigned i = 0; i < memory->nr_regions; i++)
		ranges[i] = memory->regions[i].range;
	return pages_create(ret, ranges, memory->nr_regions, err);
}

void pages_done(struct pages *pages)
{
	if (pages == NULL)
		return;
	for (unsigned i = 0; i < pages->nr_regions; i++)
		free(pages->words[i]);
	*pages = (struct pages){ 0 };
}

bool pages_has(const struct pages *pages, unsigned region, uint64_t page)
{
	return (pages->words[region][page / PAGES_WORD] >> page % PAGES_WORD & 1) != 0;
}

static void set(struct pages *pages, unsigned region, uint64_t page, uint64_t nr, bool is_in)
{
	assert(page + nr <= pages->nr_pages[region]);
	for (uint64_t end = page + nr; page < end;) {
		uint64_t bit = page % PAGES_WORD, left = end - page;
		uint64_t take = left < PAGES_WORD - bit ? left : PAGES_WORD - bit;
		uint64_t bits = (UINT64_MAX >> (PAGES_WORD - take)) << bit,
			 *word = &pages->words[region][page / PAGES_WORD];
		*word = is_in ? *word | bits : *word & ~bits;
		page += take;
	}
}

void pages_add(struct pages *pages, unsigned region, uint64_t page, uint64_t nr)
{
	set(pages, region, page, nr, true);
}

void pages_remove(struct pages *pages, unsigned region, uint64_t page, uint64_t nr)
{
	set(pages, region, page, nr, false);
}

void pages_unite(struct pages *pages, const struct pages *other)
{
	for (unsigned i = 0; i < pages->nr_regions; i++)
		for (uint64_t k = 0; k < pages_words(pages->nr_pages[i]); k++)
			pages->words[i][k] |= other->words[i][k];
}

void pages_subtract(struct pages *pages, const struct pages *other)
{
	for (unsigned i = 0; i < pages->nr_regions; i++)
		for (uint64_t k = 0; k < pages_words(pages->nr_pages[i]); k++)
			pages->words[i][k] &= ~other->words[i][k];
}

void pages_clear(struct pages *pages)
{
	for (unsigned i = 0; i < pages->nr_regions; i++)
		memset(pages->words[i], 0, pages_words(pages->nr_pages[i]) * sizeof(uint64_t));
}

bool pages_are_none(const struct pages *pages)
{
	for (unsigned i = 0; i < pages->nr_regions; i++)
		if (!bytes_are_zero(pages->words[i], pages_words(pages->nr_pages[i]) * sizeof(uint64_t)))
			return false;
	return true;
}

/* Sums of 2, of 4 and of 8 bits side by side; not every x86-64 has POPCNT, and the compiler's way has a table. */
static unsigned bits_set(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (unsigned)(word * 0x0101010101010101 >> 56);
}

uint64_t pages_count(const struct pages *pages)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < pages->nr_regions; i++)
		for (uint64_t k = 0; k < pages_words(pages->nr_pages[i]); k++)
			count += bits_set(pages->words[i][k]);
	return count;
}

/* The first page at or behind page that is in the set, or is not; end where there is none. */
static uint64_t find(const uint64_t *words, uint64_t page, uint64_t end, bool is_in)
{
	while (page < end) {
		uint64_t word = is_in ? words[page / PAGES_WORD] : ~words[page / PAGES_WORD];
		word &= UINT64_MAX << page % PAGES_WORD;
		page -= page % PAGES_WORD;
		if (word != 0) {
			page += (uint64_t)__builtin_ctzll(word);
			break;
		}
		page += PAGES_WORD;
	}
	return page < end ? page : end;
}

bool pages_next_run(const struct pages *pages, unsigned region, uint64_t page, uint64_t end, uint64_t *ret_page,
		    uint64_t *ret_nr)
{
	const uint64_t *words = pages->words[region];
	assert(end <= pages->nr_pages[region]);
	uint64_t first = find(words, page, end, true);
	if (first >= end)
		return false;
	*ret_page = first;
	*ret_nr = find(words, first, end, false) - first;
	return true;
}
