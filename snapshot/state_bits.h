/*
 * Decoders of the fields that are no CPU registers: controllers, flags of KVM's structs and of ours.
 * Each is a list for kvm_reg_bits_next().
 */
#ifndef STASIS_SNAPSHOT_STATE_BITS_H
#define STASIS_SNAPSHOT_STATE_BITS_H

#include "vmm/kvm_reg.h"

extern const char lapic_version_bits[], lapic_svr_bits[], lapic_lvt_bits[], lapic_icr_bits[], ioapic_entry_bits[],
	sregs2_flags_bits[], events_flags_bits[], events_shadow_bits[], pit_flags_bits[], clock_flags_bits[],
	nested_flags_bits[], nested_smm_flags_bits[], cpuid_flags_bits[], memory_flags_bits[],
	machine_capabilities_bits[];

#endif
