/*
 * A 16550A UART (National Semiconductor PC16550D data sheet): eight ports, FIFOs of 16 bytes, interrupts, loopback.
 * Its state is a pointer-free struct apart from its runtime half, so that it can be saved as it is.
 *
 * The line takes no time and makes no errors.  A byte written is sent at once, so the transmitter is always empty and
 * its FIFO needs no state; the receiver's character timeout is over at once; rate, word length, parity and break have
 * no effect.  The other side always asserts CTS, DSR and DCD.
 */
#ifndef STASIS_VMM_SERIAL_H
#define STASIS_VMM_SERIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bus.h"

#define SERIAL_FIFO_SIZE 16

/* What a snapshot holds of it.  IIR and LSR follow from the rest.  No padding: the members tile the struct. */
struct serial_state {
	uint8_t ier, fcr, lcr, mcr, msr, scr; /* registers; the bits that clear themselves are 0 in fcr */
	uint8_t dll, dlm;                     /* the divisor latch */
	uint8_t overrun;                      /* LSR's OE: set, and LSR not read since */
	uint8_t thre_pending;                 /* the transmitter-empty interrupt is raised, and not yet read from IIR */
	uint8_t rx_count, rx_head;            /* the bytes rx[rx_head], rx[rx_head + 1], ... modulo SERIAL_FIFO_SIZE */
	uint8_t reserved[4];
	uint8_t rx[SERIAL_FIFO_SIZE];
};

/* What the UART is connected to. */
struct serial_ops {
	void (*output)(void *context, uint8_t byte);
	void (*set_irq)(void *context, bool level); /* called when the level changes */
};

struct serial {
	struct serial_state state;
	bool irq_level; /* as set_irq() was told last */
	const struct serial_ops *ops;
	void *context;
};

/*
 * The device is the struct serial, its range PORT_UART_COUNT ports.  An access of several bytes is that many accesses
 * of one byte at ascending ports, as on the ISA bus.
 */
extern const struct bus_ops serial_bus_ops;

/* The state after a hardware reset; no function of ops is called. */
void serial_init(struct serial *serial, const struct serial_ops *ops, void *context);

/* Puts received bytes into the FIFO; returns how many it took (the rest must be offered again later). */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t size);

/* How many bytes serial_receive() would take now: none in loopback, where the receiver is off the line. */
size_t serial_room(const struct serial *serial);

/* Calls set_irq() as the state says, changed or not: for after a restore (the line is no state of the controller). */
void serial_drive_irq(struct serial *serial);

/* Is this a state that the device can go on from?  A restored one is checked before it is used. */
bool serial_state_is_valid(const struct serial_state *state);

#endif
