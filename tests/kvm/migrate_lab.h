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
	struct buffer *console;
	struct vm *vm; /* what came, paused, with threads; NULL: nothing did */
	struct error error;
	struct incoming_numbers numbers;
};

/* Does all of it; the console is the machine's, or stays where none came. */
void target_take(struct target *target);

/* Starts a thread that does; gives the source's end of the connection. */
int target_start(struct target *ret, const struct restore_options *options);

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

#endif
