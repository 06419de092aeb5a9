/*
 * The generation id: 16 random bytes that are others in each machine, so that a guest can tell that it was restored or
 * cloned, and take new random numbers and names.  What Microsoft's "Virtual Machine Generation ID" offers by ACPI, at
 * ports, for guests without ACPI.  It does not change while a machine runs.
 */
#ifndef STASIS_VMM_GENERATION_H
#define STASIS_VMM_GENERATION_H

#include <stdint.h>

#include "bus.h"

#define GENERATION_SIZE 16

/* What a snapshot holds of it. */
struct generation_state {
	uint8_t id[GENERATION_SIZE];
};

struct generation {
	struct generation_state state;
};

/* Gives it a new id and puts it on the bus. */
void generation_init(struct generation *generation, struct bus *bus);

/* A new id; all zero where the host has no random numbers, which is no id. */
void generation_renew(struct generation_state *state);

#endif
