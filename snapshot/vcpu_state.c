#include "state.h"

#include <linux/ioctl.h>

#include "state_bits.h"
#include "vmm/kvm_reg_bits.h"

/* clang-format off */

#define TYPE struct kvm_regs
static const struct field regs_fields[] = {
	FIELD(TYPE, rax), FIELD(TYPE, rbx), FIELD(TYPE, rcx), FIELD(TYPE, rdx),
	FIELD(TYPE, rsi), FIELD(TYPE, rdi), FIELD(TYPE, rsp), FIELD(TYPE, rbp),
	FIELD(TYPE, r8), FIELD(TYPE, r9), FIELD(TYPE, r10), FIELD(TYPE, r11),
	FIELD(TYPE, r12), FIELD(TYPE, r13), FIELD(TYPE, r14), FIELD(TYPE, r15),
	FIELD(TYPE, rip),
	FIELD(TYPE, rflags, .bits = rflags_bits),
};
const struct schema regs_schema = SCHEMA("regs", sizeof(TYPE), regs_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_REGS), "regs");
#undef TYPE

#define TYPE struct kvm_segment
static const struct field segment_fields[] = {
	FIELD(TYPE, base),
	FIELD(TYPE, limit),
	FIELD(TYPE, selector),
	FIELD(TYPE, type),
	FIELD(TYPE, present),
	FIELD(TYPE, dpl),
	FIELD(TYPE, db),
	FIELD(TYPE, s),
	FIELD(TYPE, l),
	FIELD(TYPE, g),
	FIELD(TYPE, avl),
	FIELD(TYPE, unusable),
	FIELD_PAD(TYPE, padding),
};
static const struct schema segment_schema = SCHEMA("segment", sizeof(TYPE), segment_fields);
#undef TYPE

#define TYPE struct kvm_dtable
static const struct field dtable_fields[] = {
	FIELD(TYPE, base),
	FIELD(TYPE, limit),
	FIELD_PAD(TYPE, padding),
};
static const struct schema dtable_schema = SCHEMA("dtable", sizeof(TYPE), dtable_fields);
#undef TYPE

#define TYPE struct kvm_sregs2
static const struct field sregs_fields[] = {
	FIELD_SUB(TYPE, cs, &segment_schema),
	FIELD_SUB(TYPE, ds, &segment_schema),
	FIELD_SUB(TYPE, es, &segment_schema),
	FIELD_SUB(TYPE, fs, &segment_schema),
	FIELD_SUB(TYPE, gs, &segment_schema),
	FIELD_SUB(TYPE, ss, &segment_schema),
	FIELD_SUB(TYPE, tr, &segment_schema),
	FIELD_SUB(TYPE, ldt, &segment_schema),
	FIELD_SUB(TYPE, gdt, &dtable_schema),
	FIELD_SUB(TYPE, idt, &dtable_schema),
	FIELD(TYPE, cr0, .bits = cr0_bits),
	FIELD(TYPE, cr2),
	FIELD(TYPE, cr3),
	FIELD(TYPE, cr4, .bits = cr4_bits),
	FIELD(TYPE, cr8),
	FIELD(TYPE, efer, .bits = efer_bits),
	FIELD(TYPE, apic_base),
	FIELD(TYPE, flags, .bits = sregs2_flags_bits),
	FIELD_ARRAY(TYPE, pdptrs),
};
const struct schema sregs_schema = SCHEMA("sregs", sizeof(TYPE), sregs_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_SREGS2), "sregs");
#undef TYPE

#define TYPE struct kvm_debugregs
static const struct field debugregs_fields[] = {
	FIELD_ARRAY(TYPE, db),
	FIELD(TYPE, dr6, .bits = dr6_bits),
	FIELD(TYPE, dr7, .bits = dr7_bits),
	FIELD(TYPE, flags),
	FIELD_PAD(TYPE, reserved),
};
const struct schema debugregs_schema = SCHEMA("debugregs", sizeof(TYPE), debugregs_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_DEBUGREGS), "debugregs");
#undef TYPE

/* XCR0 is the only one that CPUs and KVM have; the other places are zero. */
#define TYPE struct kvm_xcr
static const struct field xcr_fields[] = {
	FIELD(TYPE, xcr),
	FIELD_PAD(TYPE, reserved),
	FIELD(TYPE, value, .bits = xcr0_bits),
};
static const struct schema xcr_schema = SCHEMA("xcr", sizeof(TYPE), xcr_fields);
#undef TYPE

#define TYPE struct kvm_xcrs
static const struct field xcrs_fields[] = {
	FIELD(TYPE, nr_xcrs),
	FIELD(TYPE, flags),
	FIELD_SUB_ARRAY(TYPE, xcrs, &xcr_schema),
	FIELD_PAD(TYPE, padding),
};
const struct schema xcrs_schema = SCHEMA("xcrs", sizeof(TYPE), xcrs_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_XCRS), "xcrs");
#undef TYPE

#define TYPE struct kvm_mp_state
static const struct field mp_state_fields[] = {
	FIELD(TYPE, mp_state),
};
const struct schema mp_state_schema = SCHEMA("mp_state", sizeof(TYPE), mp_state_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_MP_STATE), "mp_state");
#undef TYPE

#define TYPE struct kvm_vcpu_events
static const struct field events_fields[] = {
	FIELD(TYPE, exception.injected),
	FIELD(TYPE, exception.nr),
	FIELD(TYPE, exception.has_error_code),
	FIELD(TYPE, exception.pending),
	FIELD(TYPE, exception.error_code),
	FIELD(TYPE, interrupt.injected),
	FIELD(TYPE, interrupt.nr),
	FIELD(TYPE, interrupt.soft),
	FIELD(TYPE, interrupt.shadow, .bits = events_shadow_bits),
	FIELD(TYPE, nmi.injected),
	FIELD(TYPE, nmi.pending),
	FIELD(TYPE, nmi.masked),
	FIELD_PAD(TYPE, nmi.pad),
	FIELD(TYPE, sipi_vector),
	FIELD(TYPE, flags, .bits = events_flags_bits),
	FIELD(TYPE, smi.smm),
	FIELD(TYPE, smi.pending),
	FIELD(TYPE, smi.smm_inside_nmi),
	FIELD(TYPE, smi.latched_init),
	FIELD(TYPE, triple_fault.pending),
	FIELD_PAD(TYPE, reserved),
	FIELD(TYPE, exception_has_payload),
	FIELD(TYPE, exception_payload),
};
const struct schema events_schema = SCHEMA("events", sizeof(TYPE), events_fields);
_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_VCPU_EVENTS), "events");
#undef TYPE

#define TYPE struct tsc_state
static const struct field tsc_fields[] = {
	FIELD(TYPE, khz),
	FIELD(TYPE, offset, .rule = FIELD_VOLATILE, .why = "it counts from the TSC of the host that it is on"),
	FIELD(TYPE, tsc, .rule = FIELD_VOLATILE, .why = "it counts on even while the machine is paused"),
};
const struct schema tsc_schema = SCHEMA("tsc", sizeof(TYPE), tsc_fields);
#undef TYPE

/* clang-format on */
