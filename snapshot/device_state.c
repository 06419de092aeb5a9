#include "state.h"

/* clang-format off */

#define TYPE struct serial_state
static const struct field serial_fields[] = {
	FIELD(TYPE, ier),
	FIELD(TYPE, iir),
	FIELD(TYPE, fcr),
	FIELD(TYPE, lcr),
	FIELD(TYPE, mcr),
	FIELD(TYPE, lsr),
	FIELD(TYPE, msr),
	FIELD(TYPE, scr),
	FIELD(TYPE, dll),
	FIELD(TYPE, dlm),
	FIELD(TYPE, thre_pending),
	FIELD(TYPE, timeout_pending),
	FIELD(TYPE, rx_count),
	FIELD(TYPE, rx_head),
	FIELD_PAD(TYPE, reserved),
	FIELD_ARRAY(TYPE, rx),
};
const struct schema serial_schema = SCHEMA("serial", sizeof(TYPE), serial_fields);
#undef TYPE

#define TYPE struct ports_state
static const struct field ports_fields[] = {
	FIELD(TYPE, checkpoints_taken),
	FIELD(TYPE, restored, .rule = FIELD_VOLATILE, .why = "it tells the guest that its machine is a restored one"),
	FIELD(TYPE, reset_control),
	FIELD_PAD(TYPE, reserved),
};
const struct schema ports_schema = SCHEMA("ports", sizeof(TYPE), ports_fields);
#undef TYPE

/* clang-format on */
