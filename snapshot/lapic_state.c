#include "state.h"

#include <linux/ioctl.h>
#include <stdio.h>
#include <string.h>

#include "components.h"
#include "restoring.h"
#include "state_bits.h"
#include "vmm/lapic.h"

/*
 * The APIC's register page (SDM volume 3, table 12-1): a register of 4 bytes every 16.  KVM hands it out in the form
 * of xAPIC mode whatever mode the APIC is in (arch/x86/kvm/lapic.c, kvm_apic_state_fixup).
 */
#define STRIDE 16

/* clang-format off */

static const struct field register_fields[] = { FIELD_AT("", 0, 4), FIELD_PAD_AT("pad", 4, STRIDE - 4) };
static const struct schema register_schema = SCHEMA("lapic_register", STRIDE, register_fields);

#define REGISTERS(title, at, nr)                                                                                       \
	{ .name = (title), .offset = (at), .size = STRIDE, .count = (nr), .is_struct = true, .sub = &register_schema }
#define REGISTER(name, at) REGISTERS(name, at, 1)
/* One of which there is more to say. */
#define REGISTER_OF(name, at, ...) FIELD_AT(name, at, 4, __VA_ARGS__), FIELD_PAD_AT(name ".pad", (at) + 4, STRIDE - 4)

static const struct field lapic_fields[] = {
	FIELD_PAD_AT("reserved_000", 0x000, 0x20),
	REGISTER("ID", 0x020),
	REGISTER_OF("VERSION", 0x030, .bits = lapic_version_bits),
	FIELD_PAD_AT("reserved_040", 0x040, 0x40),
	REGISTER("TPR", 0x080),
	REGISTER("APR", 0x090),
	REGISTER_OF("PPR", 0x0a0, VOLATILE("KVM computes it from TPR and ISR")),
	REGISTER("EOI", 0x0b0),
	REGISTER("RRD", 0x0c0),
	REGISTER("LDR", 0x0d0),
	REGISTER("DFR", 0x0e0),
	REGISTER_OF("SVR", 0x0f0, .bits = lapic_svr_bits),
	REGISTERS("ISR", 0x100, 8),
	REGISTERS("TMR", 0x180, 8),
	REGISTERS("IRR", 0x200, 8),
	REGISTER("ESR", 0x280),
	FIELD_PAD_AT("reserved_290", 0x290, 0x60),
	REGISTER_OF("LVT_CMCI", 0x2f0, .bits = lapic_lvt_bits),
	/*
	 * In x2APIC mode ICR is one register of 64 bits.  KVM shows its upper half in ICR2 always and takes it from there;
	 * kernels that keep it whole show the upper half here too, those that keep it split (Linux 6.12 on AMD) do not.
	 */
	FIELD_AT("ICR", 0x300, 4, .bits = lapic_icr_bits),
	FIELD_AT("ICR.upper", 0x304, 4, VOLATILE("some kernels repeat ICR2 here in x2APIC mode")),
	FIELD_PAD_AT("ICR.pad", 0x308, 8),
	REGISTER("ICR2", 0x310),
	REGISTER_OF("LVTT", 0x320, .bits = lapic_lvt_bits),
	REGISTER_OF("LVT_THERMAL", 0x330, .bits = lapic_lvt_bits),
	REGISTER_OF("LVT_PMC", 0x340, .bits = lapic_lvt_bits),
	REGISTER_OF("LVT0", 0x350, .bits = lapic_lvt_bits),
	REGISTER_OF("LVT1", 0x360, .bits = lapic_lvt_bits),
	REGISTER_OF("LVT_ERROR", 0x370, .bits = lapic_lvt_bits),
	REGISTER("TMICT", 0x380),
	REGISTER_OF("TMCCT", 0x390, VOLATILE("it counts down while the machine runs")),
	FIELD_PAD_AT("reserved_3a0", 0x3a0, 0x40),
	REGISTER("TDCR", 0x3e0),
	REGISTER("SELF_IPI", 0x3f0),
};

/* clang-format on */

const struct schema lapic_schema = SCHEMA("lapic", KVM_APIC_REG_SIZE, lapic_fields);
_Static_assert(KVM_APIC_REG_SIZE == _IOC_SIZE(KVM_GET_LAPIC), "lapic");

/* ---- Saving ---- */

/* Appends the page as KVM has it. */
static struct kvm_lapic_state *append_lapic(const struct vm *vm, unsigned instance, struct buffer *ret,
					    struct error *err)
{
	struct kvm_lapic_state *lapic = buffer_append(ret, NULL, sizeof(*lapic));
	if (lapic == NULL)
		error_set(err, ERROR_SYSTEM, "no memory");
	else if (kvm_call(vm->vcpus[instance].fd, KVM_GET_LAPIC, lapic) < 0)
		error_errno(err, ERROR_SYSTEM, "KVM_GET_LAPIC");
	else
		return lapic;
	return NULL;
}

/* A timer that has fired since the vCPU was paused is not in IRR yet: the tick would be lost with the vCPU. */
static int save_lapic(struct vm *vm, unsigned instance, struct buffer *ret, struct error *err)
{
	const struct vcpu *vcpu = &vm->vcpus[instance];
	struct kvm_lapic_state *lapic = append_lapic(vm, instance, ret, err);
	if (lapic == NULL)
		return -(int)err->code;
	if (vcpu->timer_is_known && lapic_timer_has_fired(lapic, vcpu->timer_count))
		lapic_deliver_timer(lapic);
	return 0;
}

static int read_back_lapic(struct vm *vm, unsigned instance, uint8_t stages, struct buffer *ret, struct error *err)
{
	(void)stages;
	return append_lapic(vm, instance, ret, err) == NULL ? -(int)err->code : 0;
}

/* ---- Restoring: its timer ---- */

/*
 * A work-around: KVM_SET_LAPIC starts the timer again (arch/x86/kvm/lapic.c, kvm_apic_set_state()), also one that has
 * run down: a one-shot timer would then fire twice.  Without an initial count it stays still.
 */
static void stop_fired_one_shot(const struct restore *restore, unsigned instance, struct kvm_lapic_state *lapic)
{
	uint32_t initial = lapic_get(lapic, LAPIC_TMICT);
	if ((lapic_get(lapic, LAPIC_LVTT) & LAPIC_LVTT_MODE) != LAPIC_LVTT_ONE_SHOT || initial == 0 ||
	    lapic_get(lapic, LAPIC_TMCCT) != 0)
		return;
	lapic_set(lapic, LAPIC_TMICT, 0);
	restore_translated(restore, "lapic", instance, "TMICT", initial, 0,
			   "its one-shot timer had fired; KVM would start it again");
}

/* KVM_SET_LAPIC starts the timer with what is left of its count (set_target_expiration()). */
static void move_timer_on(const struct restore *restore, unsigned instance, struct kvm_lapic_state *lapic)
{
	uint64_t elapsed_ns = restore_elapsed_ns(restore);
	uint32_t before = lapic_get(lapic, LAPIC_TMCCT);
	if (elapsed_ns == 0 || !lapic_timer_move_on(lapic, elapsed_ns))
		return;
	uint32_t after = lapic_get(lapic, LAPIC_TMCCT);
	restore_translated(restore, "lapic", instance, "TMCCT", before, after,
			   after == 1 ? "it has run down since the snapshot, and fires" : "moved on as the clocks are");
}

static void translate_lapic(const struct restore *restore, unsigned instance, uint8_t *payload, size_t size)
{
	struct kvm_lapic_state *lapic = (struct kvm_lapic_state *)(void *)payload;
	(void)size;
	stop_fired_one_shot(restore, instance, lapic);
	move_timer_on(restore, instance, lapic);
}

const struct component_ops lapic_ops = { .save = save_lapic,
					 .read_back = read_back_lapic,
					 .translate = translate_lapic };
