/*
 * The target's side of a migration (docs/MIGRATION.md): takes a machine from a connection.  Its calls wait for the
 * source, and give up when nothing comes for a while.
 *
 *   incoming_create, incoming_receive, [threads, sandbox, whatever may still fail], incoming_commit, incoming_free
 */
#ifndef STASIS_SNAPSHOT_INCOMING_H
#define STASIS_SNAPSHOT_INCOMING_H

#include "arrival.h"
#include "restore.h"

struct incoming;

struct incoming_options {
	const struct restore_options *restore;
	struct worker *worker;    /* asks the host for its CPUID; it has room for two jobs */
	const struct vm_ops *ops; /* of the machine */
	void *ops_context;
	uint64_t patience_us; /* how long the source may be silent; 0: 30 s */
	/* For pages that come after the hand-over: of userfault_open(), and incoming_create()'s from then on, also
	 * where it fails; or -1, and why there is none: such a migration is refused. */
	int userfault_fd;
	struct error no_userfault;
};

/*
 * Prepares to take a machine from the two descriptors, which may be the same and are this function's from now on, also
 * where it fails.  kvm_fd stays open until after incoming_free().  Looks how much memory the host has free: /proc is
 * not opened later.
 */
int incoming_create(struct incoming **ret, int in_fd, int out_fd, int kvm_fd, const struct incoming_options *options,
		    struct error *err);

/*
 * Tries the description, takes RAM and the state, restores it and reads it back.  The machine in *ret is paused, and
 * must not run before incoming_commit() succeeds: until then it is the source's.  Whatever fails, the source is told.
 */
int incoming_receive(struct incoming *incoming, struct vm **ret, struct error *err);

/*
 * Says that the machine is ready, and waits for the source to give it over.  0: it is ours, and the source has been
 * told so, if it could be; it is to run now.  Else it must not run, ever.
 */
int incoming_commit(struct incoming *incoming, struct error *err);

/*
 * After that: the pages that are still to come, which the caller ends with arrival_end() while the machine is there;
 * NULL where all are here.
 */
struct arrival *incoming_take_arrival(struct incoming *incoming);

/* What was found in the trial and in the restore. */
const struct report *incoming_report(const struct incoming *incoming);

struct incoming_numbers {
	uint64_t bytes, data_pages, zero_pages, rounds, trial_us, restore_us;
	char source[33]; /* the program at the other end */
};
void incoming_numbers(const struct incoming *incoming, struct incoming_numbers *ret);

/* Closes the connection.  The machine stays the caller's.  Takes NULL. */
void incoming_free(struct incoming *incoming);

#endif
