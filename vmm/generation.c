#include "generation.h"

#include <string.h>
#include <sys/random.h>

#include "guest/abi.h"

_Static_assert(GENERATION_SIZE == PORT_GENERATION_COUNT, "a port for each byte");

/* A read that reaches beyond the last byte gets ones there, as on a bus that nobody answers on. */
static uint32_t generation_read(void *device, uint16_t offset, uint8_t size)
{
	const struct generation *generation = device;
	size_t left = GENERATION_SIZE - (size_t)offset;
	uint32_t value = 0xffffffff;
	memcpy(&value, generation->state.id + offset, size < left ? size : left);
	return value;
}

static void generation_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	(void)device, (void)offset, (void)size, (void)value;
}

void generation_renew(struct generation_state *state)
{
	if (getrandom(state->id, sizeof(state->id), 0) != (ssize_t)sizeof(state->id))
		memset(state->id, 0, sizeof(state->id));
}

void generation_init(struct generation *generation, struct bus *bus)
{
	static const struct bus_ops ops = { generation_read, generation_write };
	generation_renew(&generation->state);
	bus_add(bus, "generation", PORT_GENERATION, PORT_GENERATION_COUNT, &ops, generation);
}
