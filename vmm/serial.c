#include "serial.h"

#include <assert.h>
#include <linux/serial_reg.h>

#include "bytes.h"

#define IER_BITS          (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define FCR_BITS          (UART_FCR_ENABLE_FIFO | UART_FCR_DMA_SELECT | UART_FCR_TRIGGER_MASK) /* those that stay */
#define MCR_BITS          (UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT1 | UART_MCR_OUT2 | UART_MCR_LOOP)
#define IIR_FIFOS_ENABLED 0xc0
#define MSR_CONNECTED     (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD) /* the inputs, with somebody at the other end */
#define MSR_DELTA_SHIFT   4                                            /* from an input's bit to that of its change */
#define DIVISOR_9600      12                                           /* what firmware leaves: 115200 / 9600 */

static_assert(sizeof(struct serial_state) == 16 + SERIAL_FIFO_SIZE, "the state has no padding");

static bool has_fifo(const struct serial_state *state)
{
	return (state->fcr & UART_FCR_ENABLE_FIFO) != 0;
}

static uint8_t rx_capacity(const struct serial_state *state)
{
	return has_fifo(state) ? SERIAL_FIFO_SIZE : 1;
}

/* How many bytes raise the received-data interrupt. */
static uint8_t rx_trigger(const struct serial_state *state)
{
	static const uint8_t triggers[] = { 1, 4, 8, 14 }; /* by FCR bits 7:6 */
	return has_fifo(state) ? triggers[state->fcr >> 6] : 1;
}

/* The enabled interrupt of the highest priority, as IIR names it. */
static uint8_t interrupt_id(const struct serial_state *state)
{
	if ((state->ier & UART_IER_RLSI) && state->overrun)
		return UART_IIR_RLSI;
	if ((state->ier & UART_IER_RDI) && state->rx_count > 0)
		return state->rx_count >= rx_trigger(state) ? UART_IIR_RDI : UART_IIR_RX_TIMEOUT;
	if ((state->ier & UART_IER_THRI) && state->thre_pending)
		return UART_IIR_THRI;
	if ((state->ier & UART_IER_MSI) && (state->msr & UART_MSR_ANY_DELTA))
		return UART_IIR_MSI;
	return UART_IIR_NO_INT;
}

/* On a PC the interrupt passes a gate that the pin OUT2 opens; loopback holds all modem control pins inactive. */
static bool irq_level(const struct serial_state *state)
{
	return interrupt_id(state) != UART_IIR_NO_INT &&
	       (state->mcr & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2;
}

static void set_irq(struct serial *serial, bool level)
{
	if (level == serial->irq_level)
		return;
	serial->irq_level = level;
	serial->ops->set_irq(serial->context, level);
}

static void update_irq(struct serial *serial)
{
	set_irq(serial, irq_level(&serial->state));
}

/* A byte arrives.  Where there is no room, a FIFO keeps what it has, the single register takes the new byte. */
static void rx_put(struct serial_state *state, uint8_t byte)
{
	if (state->rx_count == rx_capacity(state)) {
		state->overrun = 1;
		if (has_fifo(state))
			return;
		state->rx_count = 0;
	}
	state->rx[(state->rx_head + state->rx_count) % SERIAL_FIFO_SIZE] = byte;
	state->rx_count++;
}

/* The next byte; an empty receiver gives its last byte again. */
static uint8_t rx_get(struct serial *serial)
{
	struct serial_state *state = &serial->state;
	if (state->rx_count > 0) {
		state->rx_head = (uint8_t)((state->rx_head + 1) % SERIAL_FIFO_SIZE);
		state->rx_count--;
	}
	/*
	 * The read ends a character timeout, and the bytes that are left start a new one, which is over at once:
	 * the line falls and rises, so that a handler that takes one byte at a time gets an edge for each.
	 */
	if (interrupt_id(state) == UART_IIR_RX_TIMEOUT)
		set_irq(serial, false);
	return state->rx[(state->rx_head + SERIAL_FIFO_SIZE - 1) % SERIAL_FIFO_SIZE];
}

/* The write ends a transmitter-empty interrupt; when the byte is sent, which is at once, the next is raised. */
static void transmit(struct serial *serial, uint8_t byte)
{
	struct serial_state *state = &serial->state;
	state->thre_pending = 0;
	update_irq(serial);
	if (state->mcr & UART_MCR_LOOP)
		rx_put(state, byte);
	else
		serial->ops->output(serial->context, byte);
	state->thre_pending = 1;
}

/* The modem inputs: those of the line, or in loopback the modem outputs. */
static uint8_t modem_inputs(uint8_t mcr)
{
	static const struct {
		uint8_t output, input;
	} loop[] = {
		{ UART_MCR_RTS, UART_MSR_CTS },
		{ UART_MCR_DTR, UART_MSR_DSR },
		{ UART_MCR_OUT1, UART_MSR_RI },
		{ UART_MCR_OUT2, UART_MSR_DCD },
	};
	if (!(mcr & UART_MCR_LOOP))
		return MSR_CONNECTED;
	uint8_t inputs = 0;
	for (size_t i = 0; i < sizeof(loop) / sizeof(loop[0]); i++)
		if (mcr & loop[i].output)
			inputs |= loop[i].input;
	return inputs;
}

/* MSR notes every change of an input, of the ring indicator only its end. */
static void write_mcr(struct serial_state *state, uint8_t value)
{
	state->mcr = value & MCR_BITS;
	uint8_t inputs = modem_inputs(state->mcr);
	uint8_t changed = (uint8_t)((state->msr ^ inputs) & ~(inputs & UART_MSR_RI));
	state->msr = inputs | (uint8_t)(changed >> MSR_DELTA_SHIFT) | (state->msr & UART_MSR_ANY_DELTA);
}

/* Without its enable bit the rest of FCR is not written; a change of that bit clears the FIFO. */
static void write_fcr(struct serial_state *state, uint8_t value)
{
	uint8_t fcr = value & UART_FCR_ENABLE_FIFO ? value & FCR_BITS : 0;
	bool is_switched = ((fcr ^ state->fcr) & UART_FCR_ENABLE_FIFO) != 0;
	if (is_switched || (has_fifo(state) && (value & UART_FCR_CLEAR_RCVR)))
		state->rx_count = 0;
	state->fcr = fcr;
}

/* Enabling the transmitter-empty interrupt raises it, for the transmitter is empty. */
static void write_ier(struct serial_state *state, uint8_t value)
{
	if (value & ~state->ier & UART_IER_THRI)
		state->thre_pending = 1;
	state->ier = value & IER_BITS;
}

static uint8_t read_iir(struct serial_state *state)
{
	uint8_t id = interrupt_id(state);
	if (id == UART_IIR_THRI)
		state->thre_pending = 0;
	return id | (has_fifo(state) ? IIR_FIFOS_ENABLED : 0);
}

static uint8_t read_lsr(struct serial_state *state)
{
	uint8_t lsr = UART_LSR_THRE | UART_LSR_TEMT;
	if (state->rx_count > 0)
		lsr |= UART_LSR_DR;
	if (state->overrun)
		lsr |= UART_LSR_OE;
	state->overrun = 0;
	return lsr;
}

static uint8_t read_msr(struct serial_state *state)
{
	uint8_t msr = state->msr;
	state->msr &= (uint8_t)~UART_MSR_ANY_DELTA;
	return msr;
}

static uint8_t read_register(struct serial *serial, uint32_t offset)
{
	struct serial_state *state = &serial->state;
	bool is_divisor = (state->lcr & UART_LCR_DLAB) != 0;
	switch (offset) {
	case UART_RX:
		return is_divisor ? state->dll : rx_get(serial);
	case UART_IER:
		return is_divisor ? state->dlm : state->ier;
	case UART_IIR:
		return read_iir(state);
	case UART_LCR:
		return state->lcr;
	case UART_MCR:
		return state->mcr;
	case UART_LSR:
		return read_lsr(state);
	case UART_MSR:
		return read_msr(state);
	case UART_SCR:
		return state->scr;
	default:
		return 0xff; /* a wide access that reaches over the last port */
	}
}

static void write_register(struct serial *serial, uint32_t offset, uint8_t value)
{
	struct serial_state *state = &serial->state;
	bool is_divisor = (state->lcr & UART_LCR_DLAB) != 0;
	switch (offset) {
	case UART_TX:
		if (is_divisor)
			state->dll = value;
		else
			transmit(serial, value);
		break;
	case UART_IER:
		if (is_divisor)
			state->dlm = value;
		else
			write_ier(state, value);
		break;
	case UART_FCR:
		write_fcr(state, value);
		break;
	case UART_LCR:
		state->lcr = value;
		break;
	case UART_MCR:
		write_mcr(state, value);
		break;
	case UART_SCR:
		state->scr = value;
		break;
	default:
		break; /* LSR and MSR are read-only */
	}
}

static uint32_t serial_read(void *device, uint16_t offset, uint8_t size)
{
	struct serial *serial = device;
	uint32_t value = 0;
	for (uint32_t i = 0; i < size; i++) {
		value |= (uint32_t)read_register(serial, offset + i) << (8 * i);
		update_irq(serial);
	}
	return value;
}

static void serial_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	struct serial *serial = device;
	for (uint32_t i = 0; i < size; i++) {
		write_register(serial, offset + i, (uint8_t)(value >> (8 * i)));
		update_irq(serial);
	}
}

const struct bus_ops serial_bus_ops = { .read = serial_read, .write = serial_write };

void serial_init(struct serial *serial, const struct serial_ops *ops, void *context)
{
	*serial = (struct serial){ .state = { .msr = MSR_CONNECTED, .dll = DIVISOR_9600 },
				   .ops = ops,
				   .context = context };
}

size_t serial_room(const struct serial *serial)
{
	const struct serial_state *state = &serial->state;
	return state->mcr & UART_MCR_LOOP ? 0 : (size_t)(rx_capacity(state) - state->rx_count);
}

size_t serial_receive(struct serial *serial, const uint8_t *data, size_t size)
{
	size_t room = serial_room(serial), taken = size < room ? size : room;
	for (size_t i = 0; i < taken; i++)
		rx_put(&serial->state, data[i]);
	update_irq(serial);
	return taken;
}

void serial_drive_irq(struct serial *serial)
{
	serial->irq_level = irq_level(&serial->state);
	serial->ops->set_irq(serial->context, serial->irq_level);
}

bool serial_state_is_valid(const struct serial_state *state)
{
	return state->rx_head < SERIAL_FIFO_SIZE && state->rx_count <= rx_capacity(state) && state->overrun <= 1 &&
	       state->thre_pending <= 1 && bytes_are_zero(state->reserved, sizeof(state->reserved));
}
