#include "state.h"

#include <string.h>

#include "components.h"
#include "restoring.h"

/* clang-format off */

#define TYPE struct serial_state
static const struct field serial_fields[] = {
	FIELD(TYPE, ier),
	FIELD(TYPE, fcr),
	FIELD(TYPE, lcr),
	FIELD(TYPE, mcr),
	FIELD(TYPE, msr),
	FIELD(TYPE, scr),
	FIELD(TYPE, dll),
	FIELD(TYPE, dlm),
	FIELD(TYPE, overrun),
	FIELD(TYPE, thre_pending),
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
	FIELD(TYPE, restored, VOLATILE("it tells the guest that its machine is a restored one")),
	FIELD(TYPE, reset_control),
	FIELD_PAD(TYPE, reserved),
};
const struct schema ports_schema = SCHEMA("ports", sizeof(TYPE), ports_fields);
#undef TYPE

#define TYPE struct generation_state
static const struct field generation_fields[] = {
	FIELD_ARRAY(TYPE, id, VOLATILE("each machine that is restored has a new one")),
};
const struct schema generation_schema = SCHEMA("generation", sizeof(TYPE), generation_fields);
#undef TYPE

/* clang-format on */

/* ---- Saving and restoring ---- */

/* KVM does not keep the level of a device's line: it is driven again. */
static int restore_serial(struct restore *restore, unsigned instance, enum stage stage, struct bytes payload,
			  struct error *err)
{
	(void)instance;
	(void)stage;
	(void)err;
	memcpy(&restore->vm->serial.state, payload.data, sizeof(restore->vm->serial.state));
	serial_drive_irq(&restore->vm->serial);
	return 0;
}

static int validate_serial(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	struct serial_state state;
	(void)machine;
	(void)instance;
	memcpy(&state, payload.data, sizeof(state));
	if (!serial_state_is_valid(&state))
		return error_set(err, ERROR_DATA, "not a state that a 16550A can be in");
	return 0;
}

const struct component_ops serial_ops = { .restore = restore_serial, .validate = validate_serial };

static int validate_ports(const struct machine *machine, unsigned instance, struct bytes payload, struct error *err)
{
	struct ports_state state;
	(void)machine;
	(void)instance;
	memcpy(&state, payload.data, sizeof(state));
	if (!ports_state_is_valid(&state))
		return error_set(err, ERROR_DATA, "not a state that the ports can be in");
	return 0;
}

/* The checkpoint port tells the guest that its machine is a restored one. */
static void mark_restored(const struct restore *restore, unsigned instance, uint8_t *payload, size_t size)
{
	struct ports_state *state = (struct ports_state *)(void *)payload;
	(void)instance;
	(void)size;
	if (state->restored != 0)
		return;
	state->restored = 1;
	restore_translated(restore, "ports", 0, "restored", 0, 1, "the guest can see that it was restored");
}

const struct component_ops ports_ops = { .validate = validate_ports, .translate = mark_restored };

/* That is what it is for: no two machines have the same one. */
static void renew_generation(const struct restore *restore, unsigned instance, uint8_t *payload, size_t size)
{
	(void)instance;
	(void)size;
	generation_renew((struct generation_state *)(void *)payload);
	report_add(restore->report, &(struct finding){ .kind = FINDING_TRANSLATED,
						       .where = "vm",
						       .component = "generation",
						       .name = "id",
						       .detail = "a new one, so that the guest can tell" });
}

const struct component_ops generation_ops = { .translate = renew_generation };
