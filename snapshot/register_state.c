#include "state.h"

/* One entry of the list of registers: values are decoded by the id, not by a field. */
#define TYPE struct kvm_reg_value

static const struct field reg_value_fields[] = { FIELD(TYPE, id), FIELD(TYPE, value) };

const struct schema reg_value_schema = SCHEMA("reg_value", sizeof(TYPE), reg_value_fields);
