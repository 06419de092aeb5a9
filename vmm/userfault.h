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
 * Opens a descriptor, which does not block, and which is all that the functions below need: they open nothing.
 * ERROR_PERMISSION: this user may not (Documentation/admin-guide/mm/userfaultfd.rst); ERROR_SYSTEM: this kernel cannot.
 */
int userfault_open(struct error *err);

/* Could this process open one?  Else *ret_why says why not. */
bool userfault_can(struct error *ret_why);

/* From now on, pages of a mapping of a memfd that are in no cache are missing; whole pages.  Of what is there, nothing
 * changes. */
int userfault_register(int fd, void *start, uint64_t size, struct error *err);

/* No more: whoever waits goes on, and what is missing is zero. */
void userfault_unregister(int fd, void *start, uint64_t size);

/* Puts a page there and wakes who waits for it.  One that is there already stays as it is. */
int userfault_put(int fd, void *page, const void *data, struct error *err);
int userfault_put_zero(int fd, void *page, struct error *err);

/* The next fault: the address of its page.  False where there is none now.  The same page may come more than once. */
bool userfault_next(int fd, uint64_t *ret_address);

#endif
