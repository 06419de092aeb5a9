/*
 * Copies of pages as the target of a migration has them.  A guest often writes what stands there already, and only a
 * copy shows that for certain.  Not all pages are worth one: the owner keeps those that it has sent twice with the same
 * checksum.
 */
#ifndef STASIS_SNAPSHOT_SENT_PAGES_H
#define STASIS_SNAPSHOT_SENT_PAGES_H

#include "vmm/error.h"
#include "vmm/memory.h"

#define SENT_PAGES_MAX 4096 /* slots: 16 MiB of copies; a page has its place by its address */

struct sent_pages {
	uint8_t *copies; /* mapped: a slot that was never used takes no memory */
	uint64_t gpas[SENT_PAGES_MAX];
};

/* None is kept.  The caller ends it with sent_pages_done(). */
int sent_pages_create(struct sent_pages *ret, struct error *err);

/* Takes all zero. */
void sent_pages_done(struct sent_pages *sent);

/* Is the page at this address kept, and equal to these MEMORY_PAGE bytes? */
bool sent_pages_has(const struct sent_pages *sent, uint64_t gpa, const uint8_t *page);

/* The target has this now; a page that had the slot is forgotten. */
void sent_pages_keep(struct sent_pages *sent, uint64_t gpa, const uint8_t *page);

/* The target has something else now, which is not kept. */
void sent_pages_forget(struct sent_pages *sent, uint64_t gpa);

#endif
