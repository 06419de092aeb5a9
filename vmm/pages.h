/*
 * A set of the guest's pages: one bit a page, region by region, in KVM's order (KVM_GET_DIRTY_LOG): bit n of word m is
 * page 64 * m + n.
 */
#ifndef STASIS_VMM_PAGES_H
#define STASIS_VMM_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "memory.h"

#define PAGES_WORD 64u /* pages */

struct pages {
	uint64_t *words[MEMORY_REGIONS_MAX];   /* owned */
	uint64_t nr_pages[MEMORY_REGIONS_MAX]; /* of the region */
	unsigned nr_regions;
};

/* An empty set over these ranges.  The caller ends it with pages_done(). */
int pages_create(struct pages *ret, const struct memory_range *ranges, unsigned nr_ranges, struct error *err);

/* An empty set over the memory's regions. */
int pages_create_for(struct pages *ret, const struct memory *memory, struct error *err);

/* Takes NULL and all zero. */
void pages_done(struct pages *pages);

/* How many words a region of so many pages has. */
uint64_t pages_words(uint64_t nr_pages);

bool pages_has(const struct pages *pages, unsigned region, uint64_t page);

/* Adds the pages [page, page + nr), which must be the region's. */
void pages_add(struct pages *pages, unsigned region, uint64_t page, uint64_t nr);

/* Takes them away. */
void pages_remove(struct pages *pages, unsigned region, uint64_t page, uint64_t nr);

/* Adds, or takes away, all that the other set has; both are over the same regions. */
void pages_unite(struct pages *pages, const struct pages *other);
void pages_subtract(struct pages *pages, const struct pages *other);

void pages_clear(struct pages *pages);
bool pages_are_none(const struct pages *pages);
uint64_t pages_count(const struct pages *pages);

/*
 * The first run of the set's pages in [page, end): *ret_page and how many; false where there is none.
 */
bool pages_next_run(const struct pages *pages, unsigned region, uint64_t page, uint64_t end, uint64_t *ret_page,
		    uint64_t *ret_nr);

#endif
