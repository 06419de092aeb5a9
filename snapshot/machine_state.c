#include "state.h"

#include "components.h"
#include "state_bits.h"

/* clang-format off */

#define TYPE struct memory_range
static const struct field memory_range_fields[] = {
	FIELD(TYPE, gpa),
	FIELD(TYPE, size),
	FIELD(TYPE, flags, .bits = memory_flags_bits),
	FIELD_PAD(TYPE, reserved),
};
const struct schema memory_range_schema = SCHEMA("memory_range", sizeof(TYPE), memory_range_fields);
#undef TYPE

#define TYPE struct machine
static const struct field machine_fields[] = {
	FIELD(TYPE, nr_vcpus),
	FIELD(TYPE, irqchip),
	FIELD(TYPE, tss_address),
	FIELD(TYPE, identity_map_address),
	FIELD(TYPE, mcg_cap),
	FIELD(TYPE, capabilities, .bits = machine_capabilities_bits),
	FIELD(TYPE, nr_ranges),
	FIELD_PAD(TYPE, reserved),
	FIELD_SUB_ARRAY(TYPE, ranges, &memory_range_schema),
};
const struct schema machine_schema = SCHEMA("machine", sizeof(TYPE), machine_fields);
#undef TYPE

/* clang-format on */

/* ---- Restoring is vm_create()'s work ---- */

static int validate_machine(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	(void)instance;
	(void)payload;
	return machine_check(machine, err);
}

const struct component_ops machine_ops = { .validate = validate_machine };
