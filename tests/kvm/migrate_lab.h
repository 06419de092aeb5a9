/*
 * What the tests of migration share: a target in a thread, and a source that is driven as a session drives it.
 */
#ifndef STASIS_TESTS_MIGRATE_LAB_H
#define STASIS_TESTS_MIGRATE_LAB_H

#include "kvm_test.h"

#include <pthread.h>

#include "snapshot/incoming.h"
#include "snapshot/outgoing.h"

/* A target: takes one machine from a connection. */
struct target {
	pthread_t thread;
	int fd;
	const struct restore_options *options;
	uint64_t patience_us;
	bool has_no_userfault; /* it cannot wait for pages */
	bool runs_at_once;     /* what came goes on as soon as it is the target's, and is not paused */
	struct buffer *console;
	struct arrival *arrival;       /* pages that come after it, or NULL; ended by target_end() */
	struct arrival_counts arrived; /* what came of them, by then */
	uint64_t touched_gpa; /* where it is not 0: read as soon as the machine is the target's, into touched */
	uint64_t touched;
	struct vm *vm; /* what came, paused, with threads; NULL: nothing did */
	struct error error;
	struct incoming_numbers numbers;
};

/* Does all of it; the console is the machine's, or stays where none came. */
void target_take(struct target *target);

/* Starts a thread that does; gives the source's end of the connection. */
int target_start(struct target *ret, const struct restore_options *options);

/* Likewise, of one whose options are set. */
int target_start_as(struct target *target);

/* Waits for its end: the machine that came, paused, or NULL. */
struct vm *target_end(struct target *target);

/* A machine that runs, with threads. */
struct vm *boot_running(const struct machine_kind *kind, const char *command_line);

struct outgoing *outgoing_start(struct vm *vm, struct track *track, int fd, const struct outgoing_options *options);

/* Waits as the migration wants it, does a step, and takes the guest's events, as a session does. */
bool outgoing_drive_once(struct outgoing *outgoing, struct vm *vm);

/* Up to its end. */
enum outgoing_result outgoing_drive(struct outgoing *outgoing, struct vm *vm, struct error *err);

/* Lets the machine run until it has printed so many lines more than now; false where it does not.  It runs on. */
bool machine_prints(struct vm *vm, unsigned lines);

/* Machines that move. */
#define MIGRATE_KINDS 7
extern const struct machine_kind migrate_kinds[MIGRATE_KINDS];

/* boot_running() for one of these, which come to an end: from its last checkpoint on it waits until it has moved. */
struct vm *migrate_boot(const struct machine_kind *kind);

void wait_a_moment(void);

/* Both machines are paused: they differ in nothing but what time does between the two looks. */
void migrate_expect_same(struct vm *source, struct vm *target);

/* It goes on from there: to its end, and together they have printed what it prints where it never moves. */
void migrate_expect_goes_on(const struct machine_kind *kind, struct vm *source, struct vm *target);

#endif
