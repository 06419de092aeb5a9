#include "ports.h"

#include <assert.h>
#include <stddef.h>

#include "bytes.h"
#include "guest/abi.h"

#define DEBUG_PRESENT   0xe9
#define ONE_BYTE(value) (0xffffff00 | (value)) /* a wider read reaches ports where nothing answers */

static_assert(sizeof(struct ports_state) == 8, "the state has no padding");

static uint32_t debug_read(void *device, uint16_t offset, uint8_t size)
{
	(void)device, (void)offset, (void)size;
	return ONE_BYTE(DEBUG_PRESENT);
}

static void debug_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)offset, (void)size;
	const struct ports *ports = device;
	ports->ops->output(ports->context, (uint8_t)value);
}

static uint32_t exit_read(void *device, uint16_t offset, uint8_t size)
{
	(void)device, (void)offset, (void)size;
	return 0;
}

static void exit_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)offset, (void)size;
	const struct ports *ports = device;
	ports->ops->exit(ports->context, value);
}

static uint32_t checkpoint_read(void *device, uint16_t offset, uint8_t size)
{
	(void)offset, (void)size;
	const struct ports_state *state = &((const struct ports *)device)->state;
	return (state->checkpoints_taken & CHECKPOINT_TAKEN_MASK) | (state->restored ? CHECKPOINT_RESTORED : 0);
}

static void checkpoint_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)offset, (void)size;
	const struct ports *ports = device;
	ports->ops->checkpoint(ports->context, value);
}

/* The status of a keyboard controller without a keyboard: both buffers empty, ready for a command. */
static uint32_t keyboard_read(void *device, uint16_t offset, uint8_t size)
{
	(void)device, (void)offset, (void)size;
	return ONE_BYTE(0);
}

static void keyboard_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)offset, (void)size;
	const struct ports *ports = device;
	if ((uint8_t)value == KEYBOARD_RESET)
		ports->ops->reset(ports->context);
}

static uint32_t reset_read(void *device, uint16_t offset, uint8_t size)
{
	(void)offset, (void)size;
	const struct ports *ports = device;
	return ONE_BYTE(ports->state.reset_control);
}

/* The reset comes when the bit goes from 0 to 1 (Intel 82371SB, PIIX3: register RCR). */
static void reset_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)offset, (void)size;
	struct ports *ports = device;
	bool is_reset = (value & ~(uint32_t)ports->state.reset_control & RESET_CPU) != 0;
	ports->state.reset_control = (uint8_t)value;
	if (is_reset)
		ports->ops->reset(ports->context);
}

void ports_init(struct ports *ports, const struct ports_ops *ops, void *context, struct bus *bus)
{
	static const struct {
		const char *name;
		uint16_t base, count;
		struct bus_ops ops;
	} rows[] = {
		{ "debug", PORT_DEBUG_BOCHS, 1, { debug_read, debug_write } },
		{ "debug", PORT_DEBUG_SEABIOS, 1, { debug_read, debug_write } },
		{ "exit", PORT_EXIT, PORT_EXIT_COUNT, { exit_read, exit_write } },
		{ "checkpoint", PORT_CHECKPOINT, 1, { checkpoint_read, checkpoint_write } },
		{ "keyboard", PORT_KEYBOARD, 1, { keyboard_read, keyboard_write } },
		{ "reset", PORT_RESET, 1, { reset_read, reset_write } },
	};
	*ports = (struct ports){ .ops = ops, .context = context };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		bus_add(bus, rows[i].name, rows[i].base, rows[i].count, &rows[i].ops, ports);
}

bool ports_state_is_valid(const struct ports_state *state)
{
	return state->restored <= 1 && bytes_are_zero(state->reserved, sizeof(state->reserved));
}
