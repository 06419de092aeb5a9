/*
 * A machine put back in place: to the point at which the rewind was made, as often as wanted, without a new VM.
 *
 * Everything that a guest can have changed is put back: RAM by the dirty log, and every component of the table.  What
 * KVM tells cheaply is read and compared, and only what differs is written; nothing is left out that cannot be known to
 * be as it was (docs/REWIND.md says what is known from what, and what each step costs).
 *
 * Time goes on: the TSC and the VM's clock are not set back, so that the part that was undone took its time.  Timers
 * that were under way at the point are started with what was left of them then.  What a restore translates, a rewind
 * does, too: the guest can see at the checkpoint port that its machine was put back.
 *
 * While there is a rewind, the machine's dirty log belongs to it (dirty.h): no other may be created.
 */
#ifndef STASIS_SNAPSHOT_REWIND_H
#define STASIS_SNAPSHOT_REWIND_H

#include "report.h"
#include "vmm/vm.h"

struct rewind;

/* What was done so far. */
struct rewind_stats {
	uint64_t rewinds;
	uint64_t pages;      /* written back */
	uint64_t components; /* written because they differed, or because they cannot be compared */
};

/*
 * Keeps the state of a paused machine, and a copy of what its RAM holds: the point.  A vCPU that runs in its owner's
 * thread (vm_start_here()) is rewound faster than one with a thread, for its registers then ride on KVM_RUN.
 */
int rewind_create(struct rewind **ret, struct vm *vm, struct error *err);

/*
 * Puts the machine back.  It is paused, or was stopped by vm_run_here(), whose exit needs not be finished.  An error
 * means that KVM refused what it took before: the machine is then of no use.
 */
int rewind_to_point(struct rewind *rewind, struct error *err);

/*
 * Reads all state back and adds to the report how it and RAM differ from the point; report_bad() counts what should
 * not. For a machine that was just rewound.
 */
int rewind_compare(struct rewind *rewind, struct report *report, struct error *err);

void rewind_count(const struct rewind *rewind, struct rewind_stats *ret);

/* The machine stays as it is, and must still be there.  Takes NULL. */
void rewind_free(struct rewind *rewind);

#endif
