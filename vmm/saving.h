/*
 * A snapshot that is under way while the guest runs: the session gives it a step now and then; its last
 * part, which waits for the disk, is a thread's.
 */
#ifndef STASIS_VMM_SAVING_H
#define STASIS_VMM_SAVING_H

#include "snapshot/live.h"
#include "vm.h"

struct saving;

enum saving_state {
	SAVING_COPYING,   /* RAM is being written; saving_step() goes on with it */
	SAVING_FINISHING, /* the guest was paused and goes on; the rest needs no machine */
	SAVING_OVER,      /* saving_end() says what came of it */
};

/* How far it is. */
struct saving_counts {
	bool is_finishing;
	struct live_progress progress;
	int64_t elapsed_us;
	int64_t pause_us; /* how long the machine stood still for it; 0: not yet */
};

/*
 * Starts a snapshot of the machine, which runs or is paused, to the file path (live.h).  done_fd is an eventfd of the
 * caller's that becomes readable when a finishing snapshot is over.
 */
int saving_begin(struct saving **ret, struct vm *vm, struct track *track, bool is_incremental, const char *path,
		 int done_fd, struct error *err);

/* Does a piece of it.  While it is finishing, that is only looking whether it is over. */
enum saving_state saving_step(struct saving *saving);

bool saving_is_copying(const struct saving *saving);

void saving_count(const struct saving *saving, struct saving_counts *ret);

/* How far it is, as a line for a terminal; false where it has not taken long yet. */
bool saving_progress(const struct saving *saving, char *ret, size_t size);

/*
 * Ends it: waits where it is finishing, gives it up where it is still copying (then why is its error,
 * ERROR_NOT_NOW).  *ret_counts is what it came to; where it succeeded, *ret_text says what was written and how long the
 * guest stood still.
 */
int saving_end(struct saving *saving, const char *why, struct saving_counts *ret_counts, char *ret_text, size_t size,
	       struct error *err);

#endif
