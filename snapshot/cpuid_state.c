#include "state.h"

#include "state_bits.h"

/* One entry of KVM_GET_CPUID2's list. */
#define TYPE struct kvm_cpuid_entry2

/* clang-format off */

static const struct field cpuid_entry_fields[] = {
	FIELD(TYPE, function),
	FIELD(TYPE, index),
	FIELD(TYPE, flags, .bits = cpuid_flags_bits),
	FIELD(TYPE, eax),
	FIELD(TYPE, ebx),
	FIELD(TYPE, ecx),
	FIELD(TYPE, edx),
	FIELD_PAD(TYPE, padding),
};

/* clang-format on */

const struct schema cpuid_entry_schema = SCHEMA("cpuid_entry", sizeof(TYPE), cpuid_entry_fields);
