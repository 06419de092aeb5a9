/*
 * A vCPU's thread: runs the guest, hands exits to exit.c, parks where the machine is paused.
 *
 * A thread is fetched out of KVM_RUN by a signal whose handler does nothing, the first real-time one.  A kick that
 * comes a moment too early is not lost: it sets kvm_run.immediate_exit before.
 */
#ifndef STASIS_VMM_VCPU_H
#define STASIS_VMM_VCPU_H

#include <signal.h>

#include "vm.h"

/* Creates vCPU id of the VM and maps its kvm_run. */
int vcpu_create(struct vm *vm, unsigned id, size_t run_size, struct error *err);

/*
 * KVM_SET_CPUID2 with nent entries, at most CPUID_ENTRIES_MAX; keeps them, which may be unaligned, in vcpu->cpuid.
 * -1 with errno set where KVM refuses them.  Those that it has are not set again.
 */
int vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, uint32_t nent);

/* Starts its thread; it parks at once. */
int vcpu_start(struct vcpu *vcpu, struct error *err);

/* Makes the calling thread the vCPU's: it takes no other signals from now on.  *ret_before is for vcpu_release(). */
void vcpu_adopt(struct vcpu *vcpu, sigset_t *ret_before);

/* Runs the vCPU in the calling thread, which was adopted, until the machine stops. */
void vcpu_run(struct vcpu *vcpu);

/* The calling thread is the vCPU's no longer. */
void vcpu_release(struct vcpu *vcpu, const sigset_t *before);

/* Instead: it runs in the calling thread whenever vcpu_run_here() is called. */
void vcpu_start_here(struct vcpu *vcpu);

/* Runs it in the calling thread until it has something to report: true; or until a signal came: false. */
bool vcpu_run_here(struct vcpu *vcpu);

/* Of a vCPU that runs here: finishes its exit, so that all of its state is in what KVM's ioctls return. */
void vcpu_finish_here(struct vcpu *vcpu);

/* Only the exit itself: what KVM would do at the next KVM_RUN to finish its instruction is done. */
void vcpu_finish_exit(struct vcpu *vcpu);

/* Fetches its thread out of KVM_RUN.  Under vm->lock, after what it is to see then was set. */
void vcpu_kick(struct vcpu *vcpu);

/* Notes why the machine has to stop, unless this vCPU has something to report already, and pauses the machine. */
void vcpu_report(struct vcpu *vcpu, enum vm_event_kind kind, uint32_t value, const struct error *error);

/* Waits for the thread's end (vm->stop_wanted) and frees what vcpu_create() took.  Takes half-built ones. */
void vcpu_done(struct vcpu *vcpu);

#endif
