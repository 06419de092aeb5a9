#include "state.h"

#include <linux/ioctl.h>

#include "state_bits.h"

/*
 * The header of KVM_GET_NESTED_STATE.  Its union is VMX's or SVM's half by format; SVM has one member, at the place of
 * VMX's first.  The VMX preemption timer's deadline is in units of L1's own TSC, and so is state like any other.
 */
#define TYPE struct kvm_nested_state

/* clang-format off */

static const struct field nested_fields[] = {
	FIELD(TYPE, flags, .bits = nested_flags_bits),
	FIELD(TYPE, format),
	FIELD(TYPE, size),
	FIELD_AT("vmxon_pa_or_vmcb_pa", offsetof(TYPE, hdr.vmx.vmxon_pa), sizeof(SCHEMA_MEMBER(TYPE, hdr.vmx.vmxon_pa))),
	FIELD(TYPE, hdr.vmx.vmcs12_pa),
	FIELD(TYPE, hdr.vmx.smm.flags, .bits = nested_smm_flags_bits),
	FIELD_PAD(TYPE, hdr.vmx.pad),
	FIELD(TYPE, hdr.vmx.flags),
	FIELD(TYPE, hdr.vmx.preemption_timer_deadline),
	FIELD_PAD_AT("hdr.rest", offsetof(TYPE, hdr) + sizeof(struct kvm_vmx_nested_state_hdr),
		     sizeof(SCHEMA_MEMBER(TYPE, hdr)) - sizeof(struct kvm_vmx_nested_state_hdr)),
};

/* clang-format on */

const struct schema nested_schema = SCHEMA("nested", sizeof(TYPE), nested_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_NESTED_STATE), "nested");
_Static_assert(offsetof(TYPE, hdr.svm.vmcb_pa) == offsetof(TYPE, hdr.vmx.vmxon_pa), "vmcb_pa");
