/*
 * Which pages of a machine's RAM were written: what KVM's dirty log says, and what memory_write() marked.
 *
 * A page is told once.  Whoever was told it lets it be told again with dirty_clear(), and reads its contents after
 * that: a write that comes meanwhile is told the next time.  Where KVM has KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, reading
 * the log copies a bitmap and holds up no vCPU; the work of write protection is dirty_clear()'s, piece by piece.
 * Without it, reading the log protects the pages at once.
 */
#ifndef STASIS_VMM_DIRTY_H
#define STASIS_VMM_DIRTY_H

#include "pages.h"
#include "vm.h"

struct dirty;

enum dirty_start {
	DIRTY_NOTHING,    /* no page counts as written; all that are mapped are write-protected now */
	DIRTY_EVERYTHING, /* all pages may be told at first, and none is protected before it is cleared */
};

/* Starts to track all RAM of the machine (not ROM), which may run.  One at a time; dirty_free() ends it. */
int dirty_create(struct dirty **ret, struct vm *vm, enum dirty_start start, struct error *err);

/* Adds to the set the pages that were written and not told yet, or were told and not cleared. */
int dirty_fetch(struct dirty *dirty, struct pages *into, struct error *err);

/*
 * The pages of the set in [page, page + nr) of a region will be told again when they are written from now on.  page is
 * a multiple of PAGES_WORD; so is nr, or it ends with the region.
 */
int dirty_clear(struct dirty *dirty, const struct pages *pages, unsigned region, uint64_t page, uint64_t nr,
		struct error *err);

/* Stops tracking.  Takes NULL.  The machine must still be there. */
void dirty_free(struct dirty *dirty);

#endif
