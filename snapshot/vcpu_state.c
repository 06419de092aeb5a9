#include "state.h"

#include <cpuid.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>
#include <x86intrin.h>

#include "components.h"
#include "restoring.h"
#include "state_bits.h"
#include "vmm/kvm_reg.h"

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
	FIELD(TYPE, offset, VOLATILE("it counts from the TSC of the host that it is on")),
	FIELD(TYPE, tsc, VOLATILE("it counts on even while the machine is paused")),
};
const struct schema tsc_schema = SCHEMA("tsc", sizeof(TYPE), tsc_fields);
#undef TYPE

/* clang-format on */

/* ---- sregs: KVM_GET_SREGS2, or KVM_GET_SREGS on kernels before 5.14 ---- */

#define CR4_PAE 0x20u /* SDM volume 3, 2.5 */

/* Up to here the two structs are the same; the older one goes on with interrupt_bitmap, which events have too. */
#define SREGS_COMMON offsetof(struct kvm_sregs, interrupt_bitmap)
_Static_assert(SREGS_COMMON == offsetof(struct kvm_sregs2, flags), "sregs and sregs2 begin alike");

/*
 * A segment that cannot be used has no type, and KVM on VMX sets the accessed bit in it whenever it is set
 * (arch/x86/kvm/vmx/vmx.c, __vmx_set_segment()).
 */
static void drop_types_of_unusable(struct kvm_sregs2 *sregs)
{
	struct kvm_segment *const segments[] = { &sregs->ds, &sregs->es, &sregs->fs, &sregs->gs, &sregs->ss };
	for (size_t i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		if (segments[i]->unusable != 0)
			segments[i]->type = 0;
}

static int save_sregs(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	int fd = vm->vcpus[instance].fd;
	struct kvm_sregs2 sregs2 = { 0 };
	struct kvm_sregs sregs;
	if (kvm_capability(vm->fd, KVM_CAP_SREGS2) != 0) {
		if (kvm_call(fd, KVM_GET_SREGS2, &sregs2) < 0)
			return error_errno(err, ERROR_SYSTEM, "KVM_GET_SREGS2");
	} else {
		if (kvm_call(fd, KVM_GET_SREGS, &sregs) < 0)
			return error_errno(err, ERROR_SYSTEM, "KVM_GET_SREGS");
		memcpy(&sregs2, &sregs, SREGS_COMMON);
	}
	drop_types_of_unusable(&sregs2);
	return component_append(ret, &sregs2, sizeof(sregs2), err);
}

static int put_sregs(const struct vm *vm, const struct vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs = { 0 };
	if (kvm_capability(vm->fd, KVM_CAP_SREGS2) != 0)
		return kvm_call(vcpu->fd, KVM_SET_SREGS2, sregs2);
	memcpy(&sregs, sregs2, SREGS_COMMON);
	return kvm_call(vcpu->fd, KVM_SET_SREGS, &sregs);
}

/*
 * KVM refuses all or nothing and does not say why.  Finds the bits of CR4 that it is about by trying one after the
 * other, and puts the rest; 0 where it is not CR4.
 */
static uint64_t put_without_refused_cr4(const struct vm *vm, const struct vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs2 taken = *sregs2;
	uint64_t refused = 0;
	taken.cr4 &= CR4_PAE; /* which long mode cannot be without */
	if (put_sregs(vm, vcpu, &taken) < 0)
		return 0;
	for (uint64_t bit = 1; bit != 0; bit <<= 1) {
		struct kvm_sregs2 attempt = taken;
		attempt.cr4 |= sregs2->cr4 & bit;
		if (put_sregs(vm, vcpu, &attempt) == 0)
			taken = attempt;
		else
			refused |= bit;
	}
	return refused;
}

/* Without its control registers a guest is another one: nothing that the user allows lets this through. */
static void report_sregs(struct restore *restore, unsigned instance, const struct kvm_sregs2 *sregs2)
{
	struct finding finding = { .kind = FINDING_REFUSED, .component = "sregs" };
	char names[128], why[64];
	snprintf(why, sizeof(why), "%s", strerror(errno));
	component_where(component_by_name("sregs"), instance, finding.where, sizeof(finding.where));
	uint64_t refused = put_without_refused_cr4(restore->vm, &restore->vm->vcpus[instance], sregs2);
	if (refused != 0) {
		kvm_reg_decode(cr4_bits, refused, names, sizeof(names));
		snprintf(finding.name, sizeof(finding.name), "cr4");
		snprintf(finding.left, sizeof(finding.left), "0x%" PRIx64, (uint64_t)sregs2->cr4);
		snprintf(finding.right, sizeof(finding.right), "0x%" PRIx64, (uint64_t)sregs2->cr4 & ~refused);
		snprintf(finding.detail, sizeof(finding.detail), "KVM refuses CR4's %s, and no --allow lets it through",
			 names);
	} else {
		snprintf(finding.detail, sizeof(finding.detail),
			 "KVM refuses all of it (%s; cr0 0x%" PRIx64 ", cr4 0x%" PRIx64
			 "), and no --allow lets it through",
			 why, (uint64_t)sregs2->cr0, (uint64_t)sregs2->cr4);
	}
	report_add(restore->report, &finding);
}

static int restore_sregs(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			 struct error *err)
{
	struct vcpu *vcpu = &restore->vm->vcpus[instance];
	struct kvm_sregs2 sregs2;
	(void)stage;
	(void)err;
	memcpy(&sregs2, payload.data, sizeof(sregs2));
	if (put_sregs(restore->vm, vcpu, &sregs2) < 0)
		report_sregs(restore, instance, &sregs2);
	/* Without an in-kernel LAPIC, KVM_RUN takes CR8 from here (api.rst, kvm_run.cr8). */
	vcpu->run->cr8 = sregs2.cr8;
	return 0;
}

#define TSS_BUSY_16 3
#define TSS_BUSY_64 11
#define EFER_LMA    (1ull << 10)
#define INTEL_EBX   0x756e6547u /* "Genu", CPUID leaf 0 */

static bool is_intel(void)
{
	uint32_t eax, ebx, ecx, edx;
	__cpuid(0, eax, ebx, ecx, edx);
	return ebx == INTEL_EBX;
}

/*
 * VMX enters a guest in long mode only with a 64-bit TSS in TR (SDM volume 3, 26.3.1.2).  On an AMD CPU a guest that
 * never loads TR has what INIT put there; on an Intel CPU KVM changes that when the guest goes to long mode
 * (arch/x86/kvm/vmx/vmx.c, enter_lmode()), and here it comes from an AMD CPU in long mode already.
 */
static void make_tss_64(const struct restore *restore, unsigned instance, uint8_t *payload, size_t size)
{
	struct kvm_sregs2 *sregs2 = (struct kvm_sregs2 *)(void *)payload;
	(void)size;
	if ((sregs2->efer & EFER_LMA) == 0 || sregs2->tr.type != TSS_BUSY_16 || !is_intel())
		return;
	sregs2->tr.type = TSS_BUSY_64;
	restore_translated(restore, "sregs", instance, "tr.type", TSS_BUSY_16, TSS_BUSY_64,
			   "VMX enters long mode only with a 64-bit TSS");
}

const struct component_ops sregs_ops = { .save = save_sregs, .restore = restore_sregs, .translate = make_tss_64 };

/* ---- The time stamp counter ---- */

/* KVM itself takes frequencies this close for equal (arch/x86/kvm/x86.c, tsc_tolerance_ppm). */
#define TSC_TOLERANCE_PPM 250
#define TSC_REG           KVM_X86_REG_MSR(0x10)

static int tsc_offset_call(const struct vcpu *vcpu, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL,
					.attr = KVM_VCPU_TSC_OFFSET,
					.addr = (uintptr_t)offset };
	return kvm_call_sized(vcpu->fd, request, &attr);
}

static int tsc_read_khz(const struct vcpu *vcpu, uint64_t *ret_khz, struct error *err)
{
	int khz = kvm_call_value(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	if (khz < 0)
		return error_errno(err, ERROR_SYSTEM, "KVM_GET_TSC_KHZ");
	*ret_khz = (uint64_t)khz;
	return 0;
}

/* That of a vCPU that was just made.  Since Linux 5.18 the VM tells it, which does not load the vCPU: it is cheaper. */
static int tsc_new_khz(const struct vm *vm, const struct vcpu *vcpu, uint64_t *ret_khz, struct error *err)
{
	int khz = kvm_call_value(vm->fd, KVM_GET_TSC_KHZ, 0);
	if (khz <= 0)
		return tsc_read_khz(vcpu, ret_khz, err);
	*ret_khz = (uint64_t)khz;
	return 0;
}

/* The offset stays 0 on kernels before 5.16, which do not tell it. */
static int tsc_read(const struct vm *vm, const struct vcpu *vcpu, struct tsc_state *ret, struct error *err)
{
	struct tsc_state state = { 0 };
	int status = tsc_read_khz(vcpu, &state.khz, err);
	if (status < 0)
		return status;
	tsc_offset_call(vcpu, KVM_GET_DEVICE_ATTR, &state.offset);
	if (kvm_reg_get(vcpu->fd, vm->reg_access, TSC_REG, &state.tsc) != 0)
		return error_errno(err, ERROR_SYSTEM, "IA32_TSC");
	*ret = state;
	return 0;
}

/* What is volatile was looked at when it was put. */
static int read_back_tsc(struct vm *vm, unsigned instance, uint8_t stages, struct buffer *ret, struct error *err)
{
	struct tsc_state state = { 0 };
	(void)stages;
	int status = tsc_read_khz(&vm->vcpus[instance], &state.khz, err);
	return status == 0 ? component_append(ret, &state, sizeof(state), err) : status;
}

static int save_tsc(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	struct tsc_state state;
	int status = tsc_read(vm, &vm->vcpus[instance], &state, err);
	return status == 0 ? component_append(ret, &state, sizeof(state), err) : status;
}

/* Returns what the vCPU has from now on. */
static uint64_t restore_tsc_khz(struct restore *restore, unsigned instance, uint64_t wanted, uint64_t host)
{
	int fd = restore->vm->vcpus[instance].fd;
	uint64_t apart = wanted > host ? wanted - host : host - wanted;
	struct finding finding = { .name = "khz" };
	if (wanted == host)
		return host;
	/* Asked for a frequency that it cannot give, KVM refuses and shows it from then on all the same: so do not ask.
	 */
	if ((apart * 1000000 <= host * TSC_TOLERANCE_PPM ||
	     kvm_capability(restore->vm->fd, KVM_CAP_TSC_CONTROL) != 0) &&
	    kvm_call_value(fd, KVM_SET_TSC_KHZ, wanted) == 0)
		return wanted;
	snprintf(finding.left, sizeof(finding.left), "%" PRIu64, wanted);
	snprintf(finding.right, sizeof(finding.right), "%" PRIu64, host);
	restore_finding(restore, component_by_name("tsc"), instance, "tsc-khz", &finding);
	return host;
}

/*
 * What KVM adds a vCPU's offset to, now: the host's TSC, or that in the vCPU's frequency where KVM was asked for
 * another one (arch/x86/kvm/x86.c, kvm_read_l1_tsc()).
 */
static int read_host_tsc(const struct vm *vm, const struct vcpu *vcpu, bool is_scaled, uint64_t *ret, struct error *err)
{
	struct tsc_state now;
	if (!is_scaled) {
		*ret = __rdtsc();
		return 0;
	}
	int status = tsc_read(vm, vcpu, &now, err);
	if (status == 0)
		*ret = now.tsc - now.offset;
	return status;
}

/*
 * The guest's TSC goes on from where it was.  All vCPUs keep the offsets that they had from each other: writing the TSC
 * itself would make KVM guess whether they are to be synchronised (kvm_synchronize_tsc()).
 */
static int restore_tsc_offset(struct restore *restore, unsigned instance, const struct tsc_state *wanted,
			      bool is_scaled, struct error *err)
{
	const struct vcpu *vcpu = &restore->vm->vcpus[instance];
	if (instance == 0) {
		uint64_t host = 0;
		int status = read_host_tsc(restore->vm, vcpu, is_scaled, &host, err);
		if (status < 0)
			return status;
		restore->tsc_offset_moved = wanted->tsc - host - wanted->offset;
	}
	uint64_t offset = wanted->offset + restore->tsc_offset_moved;
	if (tsc_offset_call(vcpu, KVM_SET_DEVICE_ATTR, &offset) < 0)
		kvm_reg_set(vcpu->fd, restore->vm->reg_access, TSC_REG, wanted->tsc);
	return 0;
}

static uint64_t ticks_of_ns(uint64_t ns, uint64_t khz)
{
	return ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
}

/* It goes on where it stood, or where --clock realtime has it by now. */
static int restore_tsc(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
		       struct error *err)
{
	struct vm *vm = restore->vm;
	struct tsc_state saved, wanted, now;
	uint64_t host_khz;
	(void)stage;
	memcpy(&saved, payload.data, sizeof(saved));
	int status = tsc_new_khz(vm, &vm->vcpus[instance], &host_khz, err);
	if (status < 0)
		return status;
	wanted = saved;
	wanted.tsc += ticks_of_ns(restore_elapsed_ns(restore), saved.khz);
	now.khz = restore_tsc_khz(restore, instance, wanted.khz, host_khz);
	status = restore_tsc_offset(restore, instance, &wanted, now.khz != host_khz, err);
	if (status < 0)
		return status;
	if (kvm_reg_get(vm->vcpus[instance].fd, vm->reg_access, TSC_REG, &now.tsc) != 0)
		return error_errno(err, ERROR_SYSTEM, "IA32_TSC");
	/* Some KVMs accept the write and drop it: the guest then sees this host's TSC. */
	int64_t shift = (int64_t)(now.tsc - wanted.tsc);
	if (shift <= -(int64_t)(now.khz * 1000) || shift >= (int64_t)(now.khz * 1000)) {
		restore->tsc_shift[instance] = shift;
		restore_translated(restore, "tsc", instance, "tsc", wanted.tsc, now.tsc,
				   "this KVM drops writes of the TSC; a TSC deadline is shifted by the difference");
	} else if (wanted.tsc != saved.tsc) {
		restore_translated(restore, "tsc", instance, "tsc", saved.tsc, now.tsc,
				   "moved on by the time since the snapshot");
	}
	return 0;
}

const struct component_ops tsc_ops = { .save = save_tsc, .read_back = read_back_tsc, .restore = restore_tsc };
