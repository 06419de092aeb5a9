/*
 * Memory whose missing pages somebody else brings: userfaultfd(2), in missing mode.  Whoever touches such a page waits
 * until it is put there, the kernel too: KVM reads and writes the guest's memory itself.  So the descriptor has to be
 * one for the kernel's own accesses, which not every user gets.
 */
#ifndef STASIS_VMM_USERFAULT_H
#define STASIS_VMM_USERFAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/*
 * Opens a descriptor, which does not block.
 * ERROR_PERMISSION: this user may not (Documentation/admin-guide/mm/userfaultfd.rst); ERROR_SYSTEM: this kernel cannot.
 */
int userfault_open(struct error *err);

/* Could this process open one?  Else *ret_why says why not. */
bool userfault_can(struct error *ret_why);

#endif
