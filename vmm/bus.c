#include "bus.h"

#include <assert.h>
#include <stddef.h>

void bus_add(struct bus *bus, const char *name, uint16_t base, uint16_t count, const struct bus_ops *ops, void *device)
{
	assert(bus->nr_ranges < BUS_RANGES_MAX && count > 0);
	for (uint32_t port = base; port < (uint32_t)base + count; port++)
		assert(port <= UINT16_MAX && bus_find(bus, (uint16_t)port) == NULL);
	bus->ranges[bus->nr_ranges++] =
		(struct bus_range){ .name = name, .base = base, .count = count, .ops = ops, .device = device };
}

const struct bus_range *bus_find(const struct bus *bus, uint16_t port)
{
	for (unsigned i = 0; i < bus->nr_ranges; i++) {
		const struct bus_range *range = &bus->ranges[i];
		if (port >= range->base && port - range->base < range->count)
			return range;
	}
	return NULL;
}

uint32_t bus_read(const struct bus *bus, uint16_t port, uint8_t size)
{
	const struct bus_range *range = bus_find(bus, port);
	if (range == NULL || range->ops->read == NULL)
		return UINT32_MAX;
	return range->ops->read(range->device, (uint16_t)(port - range->base), size);
}

void bus_write(const struct bus *bus, uint16_t port, uint8_t size, uint32_t value)
{
	const struct bus_range *range = bus_find(bus, port);
	if (range != NULL && range->ops->write != NULL)
		range->ops->write(range->device, (uint16_t)(port - range->base), size, value);
}
