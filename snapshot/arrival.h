/*
 * The pages of a machine that come after the hand-over (post-copy, docs/MIGRATION.md).  A thread of its own puts what
 * the source sends where it is missing, and asks for what somebody waits for: the guest, or the kernel, which touches
 * the guest's memory in KVM_RUN and in ioctls.  So it waits for nobody else, and nobody who may touch RAM works for it.
 *
 * While pages are missing, whoever reads RAM may have to wait for them, and where the connection is lost, for ever:
 * arrival_count() tells what is the case.
 */
#ifndef STASIS_SNAPSHOT_ARRIVAL_H
#define STASIS_SNAPSHOT_ARRIVAL_H

#include "channel.h"
#include "ram_digest.h"
#include "vmm/pages.h"

struct arrival;

enum arrival_state {
	ARRIVAL_PREPARING, /* the machine is not ours; its state is being restored */
	ARRIVAL_READY,     /* nor is it now; PREPARED was said */
	ARRIVAL_ABANDONED, /* nor will it ever be: the connection broke before; what is missing is zero */
	ARRIVAL_UNDER_WAY, /* it runs here */
	ARRIVAL_LOST,      /* it runs here, as far as it needs no missing page: the connection is lost */
	ARRIVAL_COMPLETE,  /* nothing is missing */
};

/* What it is made of: the arrival's, but for the mappings, once arrival_start() has succeeded. */
struct arrival_parts {
	struct channel channel;
	struct pages missing; /* of RAM that is there as holes */
	struct ram_digest digest;
	int userfault_fd;
	const struct memory *memory; /* its mappings must stay until arrival_end() */
	uint8_t id[IMAGE_ID_SIZE];   /* of the migration */
	uint64_t patience_us;        /* how long the source may be silent */
};

/* From here on, whoever touches a missing page waits. */
int arrival_start(struct arrival **ret, const struct arrival_parts *parts, struct error *err);

/*
 * Says PREPARED and waits for COMMIT, both with this seal.  0: the machine is ours, and the source has been told so, if
 * it could be.  Else it must not run, ever.
 */
int arrival_take_over(struct arrival *arrival, const struct wire_seal *seal, struct error *err);

/*
 * The source connects again, over these descriptors, which are the arrival's from now on, also where it fails; they may
 * be the same.  What is missing then comes.  ERROR_NOT_NOW: the connection is not lost.
 */
int arrival_rejoin(struct arrival *arrival, int in_fd, int out_fd, struct error *err);

struct arrival_counts {
	enum arrival_state state;
	uint64_t missing_pages; /* at the hand-over */
	uint64_t left_pages;    /* now */
	uint64_t asked_pages;   /* that somebody waited for */
	struct error error;     /* ARRIVAL_LOST, ARRIVAL_ABANDONED: why */
};
void arrival_count(struct arrival *arrival, struct arrival_counts *ret);

/*
 * Ends it; what is missing is zero from now on, so no vCPU may go on after that.  If the machine was ours and pages are
 * missing, the source is told that they are not needed any more.  *ret_channel, unless NULL, gets the connection of one
 * that was not taken over.  Takes NULL.
 */
void arrival_end(struct arrival *arrival, struct channel *ret_channel);

#endif
