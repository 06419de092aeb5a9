/*
 * Decoders of the CPU's registers that have fields of their own in KVM's structs: what they are by name, bit by bit.
 * Each ends with a row without a name.  Defined beside the register names (kvm_reg_names.c).
 */
#ifndef STASIS_VMM_KVM_REG_BITS_H
#define STASIS_VMM_KVM_REG_BITS_H

#include "kvm_reg.h"

extern const struct kvm_reg_bits cr0_bits[], cr4_bits[], efer_bits[], xcr0_bits[], rflags_bits[], dr6_bits[],
	dr7_bits[];

#endif
