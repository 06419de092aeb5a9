/*
 * The port bus: which device answers at which I/O port.  MMIO has no device: reads are ones.
 */
#ifndef STASIS_VMM_BUS_H
#define STASIS_VMM_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES_MAX 16

/* A device's side.  offset counts from the range's base; size is 1, 2 or 4; values are little-endian. */
struct bus_ops {
	uint32_t (*read)(void *device, uint16_t offset, uint8_t size);
	void (*write)(void *device, uint16_t offset, uint8_t size, uint32_t value);
};

struct bus_range {
	const char *name; /* for traces */
	uint16_t base, count;
	const struct bus_ops *ops;
	void *device; /* not owned */
};

struct bus {
	struct bus_range ranges[BUS_RANGES_MAX];
	unsigned nr_ranges;
};

/* Ranges must not overlap: a mistake of ours, asserted. */
void bus_add(struct bus *bus, const char *name, uint16_t base, uint16_t count, const struct bus_ops *ops, void *device);

/* The range that holds the port, or NULL.  An access belongs to the range of its first port. */
const struct bus_range *bus_find(const struct bus *bus, uint16_t port);

/* An unclaimed read gives ones; an unclaimed write goes nowhere. */
uint32_t bus_read(const struct bus *bus, uint16_t port, uint8_t size);
void bus_write(const struct bus *bus, uint16_t port, uint8_t size, uint32_t value);

#endif
