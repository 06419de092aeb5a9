/*
 * What a vCPU's exits mean: port accesses go to the bus, MMIO to nobody, everything else stops the machine
 * with an event that says what happened.
 */
#ifndef STASIS_VMM_EXIT_H
#define STASIS_VMM_EXIT_H

#include "vm.h"

/* Handles the exit that the vCPU's kvm_run describes, in the vCPU's thread. */
void exit_handle(struct vcpu *vcpu);

/* Reports that a call of KVM's for the vCPU failed with errno.  EFAULT: it did not get at RAM. */
void exit_call_failed(struct vcpu *vcpu, const char *call);

/*
 * Describes where a vCPU stands, for messages: mode, RIP, the bytes there, the registers.
 * Several lines, the last without a newline.
 */
void exit_describe(const struct vcpu *vcpu, char *ret, size_t size);

#endif
