/*
 * A 16550A UART (National Semiconductor PC16550D data sheet): eight ports, FIFOs of 16 bytes, interrupts, loopback.
 * Its state is a pointer-free struct apart from its runtime half, so that it can be saved as it is.
 */
#ifndef STASIS_VMM_SERIAL_H
#define STASIS_VMM_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"

#define SERIAL_FIFO_SIZE 16

/* What a snapshot holds of it.  No padding: the members tile the struct. */
struct serial_state {
	uint8_t ier, iir, fcr, lcr, mcr, lsr, msr, scr;
	uint8_t dll, dlm;
	uint8_t thre_pending; /* the transmitter-empty interrupt is raised and not yet read from IIR */
	uint8_t timeout_pending;
	uint8_t rx_count, rx_head;
	uint8_t reserved[2];
	uint8_t rx[SERIAL_FIFO_SIZE];
};

/* What the UART is connected to. */
struct serial_ops {
	void (*output)(void *context, uint8_t byte);
	void (*set_irq)(void *context, bool level);
};

struct serial {
	struct serial_state state;
	const struct serial_ops *ops;
	void *context;
};

extern const struct bus_ops serial_bus_ops;

void serial_init(struct serial *serial, const struct serial_ops *ops, void *context);

/* Puts received bytes into the FIFO; returns how many it took (the rest must be offered again later). */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t size);

/* How many bytes serial_receive() would take now. */
size_t serial_room(const struct serial *serial);

/* Drives the interrupt line again as the state says: needed after a restore (the line is no state of the controller). */
void serial_drive_irq(struct serial *serial);

/* Is this a state that the device can be in?  A restored one is checked before it is used. */
bool serial_state_is_valid(const struct serial_state *state);

#endif
