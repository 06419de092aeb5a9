/*
 * What a machine has written since its last snapshot, or since it was restored from one: what makes the next snapshot
 * an incremental one.
 */
#ifndef STASIS_SNAPSHOT_TRACK_H
#define STASIS_SNAPSHOT_TRACK_H

#include "image.h"
#include "vmm/dirty.h"

struct track {
	struct dirty *dirty; /* owned */
	struct pages since;  /* written since the base, besides what dirty has yet to tell */
	/* The snapshot that the next one is a difference to; path NULL: there is none, and the next one is whole. */
	uint8_t base_id[IMAGE_ID_SIZE];
	char *base_path; /* owned */
};

/* Starts to track a machine that has not run since its RAM was that of the base, if it has one. */
int track_create(struct track **ret, struct vm *vm, struct error *err);

/* The machine's state is that of this snapshot: only what is written from now on counts. */
int track_set_base(struct track *track, const uint8_t id[IMAGE_ID_SIZE], const char *path, struct error *err);

/*
 * May a snapshot be written to path?  Not onto the base or one of its parents: it would be a difference to what it
 * replaces.  ERROR_USAGE.
 */
int track_check_path(const struct track *track, const char *path, struct error *err);

/*
 * Makes the image the difference to the base that these pages are, to be written to path.  Does nothing where there is
 * no base.
 */
int track_describe(const struct track *track, struct image *image, const struct pages *pages, const char *path,
		   struct error *err);

/* Writes the image of the machine, which is paused: an incremental one if there is a base.  It is then the base. */
int track_write(struct track *track, struct image *image, const char *path, struct error *err);

/* Takes NULL.  The machine must still be there. */
void track_free(struct track *track);

#endif
