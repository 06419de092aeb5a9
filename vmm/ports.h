/*
 * The small devices behind single ports: debug consoles, the exit port, the checkpoint port, the two reset ports.
 * The exit and the checkpoint port take and give a value of any width; the others are one byte wide.
 */
#ifndef STASIS_VMM_PORTS_H
#define STASIS_VMM_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bus.h"

/* What a snapshot holds of them. */
struct ports_state {
	uint32_t checkpoints_taken; /* counted by whoever takes the snapshot, before it is saved; read modulo 128 */
	uint8_t restored;           /* 1 once the machine was restored from a snapshot; set by whoever restores it */
	uint8_t reset_control;      /* the last value written to 0xCF9 */
	uint8_t reserved[2];
};

/* What the ports ask of the machine. */
struct ports_ops {
	void (*output)(void *context, uint8_t byte);
	void (*exit)(void *context, uint32_t value);       /* 0xF4 was written */
	void (*checkpoint)(void *context, uint32_t value); /* 0xF8 was written */
	void (*reset)(void *context);                      /* by 0x64 or 0xCF9 */
};

struct ports {
	struct ports_state state;
	const struct ports_ops *ops;
	void *context;
};

/* Sets the devices up and puts them on the bus. */
void ports_init(struct ports *ports, const struct ports_ops *ops, void *context, struct bus *bus);

bool ports_state_is_valid(const struct ports_state *state);

#endif
