/*
 * The source's side of a migration (docs/MIGRATION.md): a machine that runs goes to a target while it runs.  All calls
 * return at once; outgoing_step() is called whenever poll() says so.
 *
 *   outgoing_begin, { outgoing_wants, poll, outgoing_step } until it is over, outgoing_free
 */
#ifndef STASIS_SNAPSHOT_OUTGOING_H
#define STASIS_SNAPSHOT_OUTGOING_H

#include <poll.h>

#include "track.h"

#define OUTGOING_DOWNTIME_US 100000 /* the default of downtime_us */
#define OUTGOING_ROUNDS_MAX  30     /* of rounds_max */

struct outgoing_options {
	uint64_t downtime_us; /* the goal: how long the guest may stand still; 0: the default */
	uint64_t bandwidth;   /* bytes a second; 0: no limit */
	unsigned rounds_max;  /* 0: the default */
	bool is_verified;     /* all of RAM is read once more at both ends, while the guest stands still */
	bool is_post_copy;    /* where rounds do not do it, the guest moves all the same, and pages follow it */
	uint64_t patience_us; /* how long the target may be silent; 0: 10 s, and a minute for its trial */
};

enum outgoing_phase {
	OUTGOING_ASKING,    /* the target tries the description */
	OUTGOING_ROUNDS,    /* RAM goes over while the guest runs */
	OUTGOING_LAST,      /* the guest stands still; the last pages and the state go over */
	OUTGOING_PREPARING, /* the target restores and reads back */
	OUTGOING_COMMITTED, /* COMMIT is on its way: the target alone decides */
	OUTGOING_REJOINING, /* the target is asked again what it lacks */
	OUTGOING_SERVING,   /* the target runs it, and gets the pages that it has not yet */
	OUTGOING_OVER,      /* outgoing_result() says what came of it */
	OUTGOING_PHASES
};

const char *outgoing_phase_name(enum outgoing_phase phase);

enum outgoing_result {
	OUTGOING_MOVED,  /* the target runs it */
	OUTGOING_FAILED, /* it is the source's, and is as it was before: running, or paused */
	/* COMMIT was sent and no answer came: it is held here, until its user releases it, and may run there. */
	OUTGOING_IN_DOUBT,
	/* The target runs it, and lacks pages, which are here: it is held here, and is not to be released. */
	OUTGOING_CUT,
};

struct outgoing_numbers {
	enum outgoing_phase phase;
	unsigned round;                     /* 0: all of RAM */
	uint64_t round_done, round_todo;    /* pages of this round that were looked at; of all */
	uint64_t data_pages, zero_pages;    /* that were sent, of all rounds */
	uint64_t unchanged_pages;           /* that the guest wrote with what they held, and that were not sent */
	uint64_t bytes_sent, ram_size;      /* of the protocol; of the machine */
	uint64_t bandwidth;                 /* bytes a second, measured; 0: not yet */
	uint64_t dirty_rate;                /* bytes a second that the guest wrote in the last round */
	uint64_t description_us, trial_us;  /* the pause at the start; the target's trial */
	uint64_t downtime_us;               /* from the pause to the target's COMMITTED; 0: it was not paused */
	uint64_t missing_pages, left_pages; /* at the hand-over; of them, not sent yet */
	uint64_t asked_pages;               /* that the target asked for */
};

#define OUTGOING_ROUNDS_KEPT 64

/* A round that has arrived. */
struct outgoing_round {
	uint64_t data_pages, zero_pages, bytes; /* that were sent */
	uint64_t unchanged_pages;               /* that were not, for the target has them */
	uint64_t us;                            /* from its begin to the target's answer */
	uint64_t left_pages;                    /* that the guest wrote meanwhile */
};

struct outgoing;

/*
 * Starts to move the machine over the two descriptors, which are this function's from now on, also where it fails. They
 * may be the same.  A machine that runs is paused for a moment, for its description.  One that is paused stays so.
 * track may be NULL.  Nothing else may use the machine's dirty log before outgoing_free().
 */
int outgoing_begin(struct outgoing **ret, struct vm *vm, struct track *track, int in_fd, int out_fd,
		   const struct outgoing_options *options, struct error *err);

/* What to poll for (.fd -1: nothing), and for how long at most, in milliseconds. */
void outgoing_wants(const struct outgoing *outgoing, struct pollfd ret[2], int *ret_timeout_ms);

/*
 * Does a piece; true: it is over.  It may have paused or resumed the machine.  Where the guest had an event to report
 * when it was to be paused for the last time, the owner takes that first (vm_take_event()), and resumes it.
 */
bool outgoing_step(struct outgoing *outgoing);

/* Is the machine paused by it (vm_hold())?  Then nobody must release it. */
bool outgoing_holds(const struct outgoing *outgoing);

/*
 * Gives it up: the guest goes on here.  ERROR_USAGE where it is too late for that: COMMIT is on its way, or the target
 * runs it, or it is over.
 */
int outgoing_cancel(struct outgoing *outgoing, struct error *err);

/* Of one that is over; *err says why it failed or is in doubt. */
enum outgoing_result outgoing_result(const struct outgoing *outgoing, struct error *err);

/* All that the target said, a line a finding; "" where it said nothing. */
const char *outgoing_remarks(const struct outgoing *outgoing);

/* The rounds so far, the first OUTGOING_ROUNDS_KEPT of them; returns their number. */
unsigned outgoing_rounds(const struct outgoing *outgoing, struct outgoing_round ret[OUTGOING_ROUNDS_KEPT]);

void outgoing_numbers(const struct outgoing *outgoing, struct outgoing_numbers *ret);

/*
 * Goes on with one that was cut, or that is in doubt and whose target may lack pages, over another connection, whose
 * descriptors are this function's from then on, also where it fails.  bandwidth: as the option.  It is not over from
 * then on, and is again what it was, where that fails; where it succeeds, there is no doubt any more.
 */
int outgoing_rejoin(struct outgoing *outgoing, int in_fd, int out_fd, uint64_t bandwidth, struct error *err);

/* Could that be done? */
bool outgoing_can_rejoin(const struct outgoing *outgoing);

/* One that is not over is cancelled, in doubt, or cut.  Takes NULL. */
void outgoing_free(struct outgoing *outgoing);

#endif
