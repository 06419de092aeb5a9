#include "state.h"

#include <linux/ioctl.h>
#include <string.h>

#include "components.h"
#include "restoring.h"
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

/* ---- Saving and restoring ---- */

/* What a vCPU has that never ran a guest of its own: saved as nothing at all.  On AMD, CLGI alone clears GIF. */
static bool is_idle(const struct kvm_nested_state *state)
{
	if (state->format == KVM_STATE_NESTED_FORMAT_VMX)
		return state->flags == 0 && state->hdr.vmx.vmxon_pa == UINT64_MAX;
	return state->flags == KVM_STATE_NESTED_GIF_SET && state->size <= sizeof(*state);
}

static int save_nested(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	int size = kvm_capability(vm->fd, KVM_CAP_NESTED_STATE);
	struct buffer raw = { 0 };
	int status = 0;
	if (size < (int)sizeof(struct kvm_nested_state))
		return 0;
	struct kvm_nested_state *state = buffer_append(&raw, NULL, (size_t)size);
	if (state == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory");
	state->size = (uint32_t)size;
	if (kvm_call_sized(vm->vcpus[instance].fd, KVM_GET_NESTED_STATE, state) < 0)
		status = error_errno(err, ERROR_SYSTEM, "KVM_GET_NESTED_STATE");
	else if (!is_idle(state))
		status = component_append(ret, state, state->size, err);
	buffer_done(&raw);
	return status;
}

static int validate_nested(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	uint32_t size;
	(void)machine;
	(void)instance;
	memcpy(&size, payload.data + offsetof(struct kvm_nested_state, size), sizeof(size));
	if (size != payload.size)
		return error_set(err, ERROR_DATA, "its size field is %u, expected the section's %zu", size,
				 payload.size);
	return 0;
}

static int restore_nested(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			  struct error *err)
{
	void *argument = (void *)(uintptr_t)payload.data; /* the kernel only reads it */
	(void)stage;
	(void)err;
	if (kvm_call_sized(restore->vm->vcpus[instance].fd, KVM_SET_NESTED_STATE, argument) < 0)
		restore_refused(restore, component_by_name("nested"), instance, KVM_SET_NESTED_STATE);
	return 0;
}

const struct component_ops nested_ops = { .save = save_nested, .restore = restore_nested, .validate = validate_nested };
