/*
 * The process holds as little as it can once the guest runs: no new privileges, and a seccomp filter that ends it on
 * any system call that running, snapshotting and ending a machine do not use.
 */
#ifndef STASIS_VMM_SANDBOX_H
#define STASIS_VMM_SANDBOX_H

#include <stdbool.h>

#include "error.h"

/* What the process still does besides running a guest; bits. */
enum sandbox_need {
	SANDBOX_CREATE = 1,  /* it writes snapshots: creates, names and removes files */
	SANDBOX_RESTORE = 2, /* it makes another machine of one, or puts its own back */
	SANDBOX_CONTROL = 4, /* it has a control socket */
	SANDBOX_ARRIVAL = 8, /* pages come after its machine (userfault.h) */
};

/* Confines all threads of the process; needs: bits of enum sandbox_need. */
int sandbox_enter(unsigned needs, struct error *err);

#endif
