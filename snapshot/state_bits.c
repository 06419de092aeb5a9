#include "state_bits.h"

#include <stddef.h>

#include "vmm/vm.h"

/* clang-format off */

/* SDM volume 3, 12.4.8 (version), 12.9 (spurious vector), 12.5.1 (local vector table), 12.6.1 (interrupt command) */
const struct kvm_reg_bits lapic_version_bits[] = {
	{ "VERSION", 0, 8 }, { "MAX_LVT", 16, 8 }, { "EOI_SUPPRESSION", 24, 1 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits lapic_svr_bits[] = {
	{ "VECTOR", 0, 8 }, { "ENABLE", 8, 1 }, { "NO_FOCUS_CHECK", 9, 1 }, { "EOI_SUPPRESSION", 12, 1 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits lapic_lvt_bits[] = {
	{ "VECTOR", 0, 8 }, { "DELIVERY", 8, 3 }, { "PENDING", 12, 1 }, { "ACTIVE_LOW", 13, 1 }, { "REMOTE_IRR", 14, 1 },
	{ "LEVEL", 15, 1 }, { "MASKED", 16, 1 }, { "TIMER_MODE", 17, 2 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits lapic_icr_bits[] = {
	{ "VECTOR", 0, 8 }, { "DELIVERY", 8, 3 }, { "LOGICAL", 11, 1 }, { "PENDING", 12, 1 }, { "ASSERT", 14, 1 },
	{ "LEVEL", 15, 1 }, { "SHORTHAND", 18, 2 }, { NULL, 0, 0 },
};

/* Intel 82093AA data sheet, 3.2.4 */
const struct kvm_reg_bits ioapic_entry_bits[] = {
	{ "VECTOR", 0, 8 }, { "DELIVERY", 8, 3 }, { "LOGICAL", 11, 1 }, { "PENDING", 12, 1 }, { "ACTIVE_LOW", 13, 1 },
	{ "REMOTE_IRR", 14, 1 }, { "LEVEL", 15, 1 }, { "MASKED", 16, 1 }, { "DESTINATION", 56, 8 }, { NULL, 0, 0 },
};

/* The rest is named by arch/x86/include/uapi/asm/kvm.h and include/uapi/linux/kvm.h. */
const struct kvm_reg_bits sregs2_flags_bits[] = { { "PDPTRS_VALID", 0, 1 }, { NULL, 0, 0 } };

const struct kvm_reg_bits events_flags_bits[] = {
	{ "NMI_PENDING", 0, 1 }, { "SIPI_VECTOR", 1, 1 }, { "SHADOW", 2, 1 }, { "SMM", 3, 1 }, { "PAYLOAD", 4, 1 },
	{ "TRIPLE_FAULT", 5, 1 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits events_shadow_bits[] = { { "MOV_SS", 0, 1 }, { "STI", 1, 1 }, { NULL, 0, 0 } };

const struct kvm_reg_bits pit_flags_bits[] = { { "HPET_LEGACY", 0, 1 }, { "SPEAKER_DATA_ON", 1, 1 }, { NULL, 0, 0 } };

const struct kvm_reg_bits clock_flags_bits[] = {
	{ "TSC_STABLE", 1, 1 }, { "REALTIME", 2, 1 }, { "HOST_TSC", 3, 1 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits nested_flags_bits[] = {
	{ "GUEST_MODE", 0, 1 }, { "RUN_PENDING", 1, 1 }, { "EVMCS", 2, 1 }, { "MTF_PENDING", 3, 1 }, { "GIF_SET", 8, 1 },
	{ NULL, 0, 0 },
};

const struct kvm_reg_bits nested_smm_flags_bits[] = { { "GUEST_MODE", 0, 1 }, { "VMXON", 1, 1 }, { NULL, 0, 0 } };

const struct kvm_reg_bits cpuid_flags_bits[] = {
	{ "SIGNIFICANT_INDEX", 0, 1 }, { "STATEFUL", 1, 1 }, { "STATE_READ_NEXT", 2, 1 }, { NULL, 0, 0 },
};

const struct kvm_reg_bits memory_flags_bits[] = { { "ROM", 0, 1 }, { NULL, 0, 0 } };

const struct kvm_reg_bits machine_capabilities_bits[] = {
	{ "EXCEPTION_PAYLOAD", MACHINE_EXCEPTION_PAYLOAD, 1 },
	{ "TRIPLE_FAULT_EVENT", MACHINE_TRIPLE_FAULT_EVENT, 1 },
	{ NULL, 0, 0 },
};

/* clang-format on */
