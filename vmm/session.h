/*
 * A running machine with its user: console, keys, snapshots, until the guest or the user ends it.
 */
#ifndef STASIS_VMM_SESSION_H
#define STASIS_VMM_SESSION_H

#include "options.h"
#include "vm.h"

struct session;

extern const struct vm_ops session_vm_ops;

/* What a session needs to know.  input_fd is -1 where the console has no input. */
struct session_config {
	int input_fd, output_fd;
	const char *snapshot;
	struct trigger at;
	bool go_on, trace_io;
};

int session_create(struct session **ret, const struct session_config *config, struct error *err);

/* Runs the machine, which is paused and whose ops_context is the session, to its end. */
int session_run(struct session *session, struct vm *vm, int *ret_status, struct error *err);

void session_free(struct session *session);

#endif
