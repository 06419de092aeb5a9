/*
 * A snapshot of a machine that runs on.  Its RAM goes to the file while the guest changes it; what was changed
 * meanwhile is written again, in rounds, until few pages are left or the rounds make them no fewer.  Then the machine
 * is paused: its state is read, the last pages are copied, and it may go on.  The file is of that instant.
 *
 *   live_begin, live_step until it is ready, vm_pause, live_take, vm_resume, live_finish, live_free
 */
#ifndef STASIS_SNAPSHOT_LIVE_H
#define STASIS_SNAPSHOT_LIVE_H

#include "image.h"
#include "track.h"

struct live;

struct live_progress {
	unsigned round;             /* 0: all of it */
	uint64_t done, todo;        /* pages of this round that were looked at; of all */
	uint64_t written, ram_size; /* bytes, of all rounds; of the machine */
	bool is_incremental;
};

/*
 * Starts a snapshot of a machine, which runs or is paused, to the file path.  track may be NULL; with one that has a
 * base, is_incremental makes it a difference to that, and else it is whole.  The machine must not be snapshotted
 * otherwise before live_free().
 */
int live_begin(struct live **ret, struct vm *vm, struct track *track, bool is_incremental, const char *path,
	       struct error *err);

/* Writes a piece of RAM.  *ret_ready: it is time for live_take(); another step would make it no shorter. */
int live_step(struct live *live, bool *ret_ready, struct error *err);

/* Takes the state, and copies of the pages that the file has not yet.  The machine is paused.  No file is touched. */
int live_take(struct live *live, struct error *err);

/* Writes the rest and gives the file its name.  Needs no machine; may be called by another thread than the rest. */
int live_finish(struct live *live, struct error *err);

void live_progress(const struct live *live, struct live_progress *ret);

/*
 * is_written: live_finish() succeeded, and this snapshot is the track's base now; else the track is as it was before
 * live_begin().  Takes NULL.
 */
int live_free(struct live *live, bool is_written, struct error *err);

#endif
