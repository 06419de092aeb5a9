/*
 * The process holds as little as it can once the guest runs: no new privileges, and a seccomp filter that ends it on
 * any system call that running, snapshotting and ending a machine do not use.
 */
#ifndef STASIS_VMM_SANDBOX_H
#define STASIS_VMM_SANDBOX_H

#include <stdbool.h>

#include "error.h"

/*
 * Confines the calling thread and all threads that it starts from now on.  can_create: a snapshot may still be written,
 * which needs the system calls that create, name and remove files.
 */
int sandbox_enter(bool can_create, struct error *err);

#endif
