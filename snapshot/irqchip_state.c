#include "state.h"

#include <linux/ioctl.h>

#include "state_bits.h"

/*
 * KVM_GET_IRQCHIP's struct is a header and a union with room for any controller: one schema for either of the two
 * PICs, one for the IOAPIC, each of the whole struct.
 */

/* clang-format off */

#define TYPE struct kvm_pic_state
static const struct field pic_state_fields[] = {
	FIELD(TYPE, last_irr),
	FIELD(TYPE, irr),
	FIELD(TYPE, imr),
	FIELD(TYPE, isr),
	FIELD(TYPE, priority_add),
	FIELD(TYPE, irq_base),
	FIELD(TYPE, read_reg_select),
	FIELD(TYPE, poll),
	FIELD(TYPE, special_mask),
	FIELD(TYPE, init_state),
	FIELD(TYPE, auto_eoi),
	FIELD(TYPE, rotate_on_auto_eoi),
	FIELD(TYPE, special_fully_nested_mode),
	FIELD(TYPE, init4),
	FIELD(TYPE, elcr),
	FIELD(TYPE, elcr_mask),
};
static const struct schema pic_state_schema = SCHEMA("pic_state", sizeof(TYPE), pic_state_fields);
#undef TYPE

#define TYPE struct kvm_ioapic_state
static const struct field ioapic_state_fields[] = {
	FIELD(TYPE, base_address),
	FIELD(TYPE, ioregsel),
	FIELD(TYPE, id),
	FIELD(TYPE, irr),
	FIELD_PAD(TYPE, pad),
	FIELD_ARRAY(TYPE, redirtbl, .bits = ioapic_entry_bits),
};
static const struct schema ioapic_state_schema = SCHEMA("ioapic_state", sizeof(TYPE), ioapic_state_fields);
#undef TYPE

#define TYPE struct kvm_irqchip
#define REST_OF_UNION(member)                                                                                          \
	FIELD_PAD_AT("rest", offsetof(TYPE, member) + sizeof(SCHEMA_MEMBER(TYPE, member)),                             \
		     sizeof(TYPE) - offsetof(TYPE, member) - sizeof(SCHEMA_MEMBER(TYPE, member)))

static const struct field pic_fields[] = {
	FIELD(TYPE, chip_id),
	FIELD_PAD(TYPE, pad),
	FIELD_SUB(TYPE, chip.pic, &pic_state_schema),
	REST_OF_UNION(chip.pic),
};
const struct schema pic_schema = SCHEMA("pic", sizeof(TYPE), pic_fields);

static const struct field ioapic_fields[] = {
	FIELD(TYPE, chip_id),
	FIELD_PAD(TYPE, pad),
	FIELD_SUB(TYPE, chip.ioapic, &ioapic_state_schema),
	REST_OF_UNION(chip.ioapic),
};
const struct schema ioapic_schema = SCHEMA("ioapic", sizeof(TYPE), ioapic_fields);

/* clang-format on */

_Static_assert(sizeof(TYPE) == _IOC_SIZE(KVM_GET_IRQCHIP), "irqchip");
