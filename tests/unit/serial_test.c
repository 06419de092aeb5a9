#include "unit.h"

#include <linux/serial_reg.h>
#include <stdint.h>
#include <string.h>

#include "vmm/serial.h"

#define IIR_FIFOS 0xc0 /* IIR with the FIFOs enabled */
#define LSR_EMPTY (UART_LSR_THRE | UART_LSR_TEMT)
#define MSR_LINES (UART_MSR_CTS | UART_MSR_DSR | UART_MSR_DCD)

/* A UART, and what it was connected to saw of it. */
struct port {
	struct serial uart;
	uint8_t sent[64];
	size_t nr_sent;
	bool level, is_driven; /* is_driven: the level may be told again */
	unsigned nr_rises;
};

static void on_output(void *context, uint8_t byte)
{
	struct port *port = context;
	port->sent[port->nr_sent++ % sizeof(port->sent)] = byte;
}

static void on_irq(void *context, bool level)
{
	struct port *port = context;
	ck_assert(port->is_driven || level != port->level);
	port->nr_rises += level && !port->level;
	port->level = level;
}

static const struct serial_ops ops = { .output = on_output, .set_irq = on_irq };

static void port_init(struct port *port)
{
	*port = (struct port){ .nr_sent = 0 };
	serial_init(&port->uart, &ops, port);
}

static uint8_t in(struct port *port, uint16_t offset)
{
	return (uint8_t)serial_bus_ops.read(&port->uart, offset, 1);
}

static void out(struct port *port, uint16_t offset, uint8_t value)
{
	serial_bus_ops.write(&port->uart, offset, 1, value);
}

static size_t receive(struct port *port, const char *text)
{
	return serial_receive(&port->uart, (const uint8_t *)text, strlen(text));
}

START_TEST(a_reset_gives_the_data_sheets_values)
{
	struct port p;
	port_init(&p);
	ck_assert_uint_eq(in(&p, UART_IER), 0);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT);
	ck_assert_uint_eq(in(&p, UART_LCR), 0);
	ck_assert_uint_eq(in(&p, UART_MCR), 0);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	ck_assert_uint_eq(in(&p, UART_MSR), MSR_LINES);
	ck_assert_uint_eq(serial_room(&p.uart), 1);
	ck_assert(serial_state_is_valid(&p.uart.state));
	ck_assert(!p.level);
}
END_TEST

START_TEST(registers_keep_the_bits_that_they_have)
{
	struct port p;
	port_init(&p);
	static const struct {
		uint8_t offset, mask;
	} rows[] = { { UART_IER, 0x0f }, { UART_LCR, 0xff }, { UART_MCR, 0x1f }, { UART_SCR, 0xff } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		out(&p, rows[i].offset, 0xff);
		ck_assert_uint_eq(in(&p, rows[i].offset), rows[i].mask);
		out(&p, rows[i].offset, 0);
		ck_assert_uint_eq(in(&p, rows[i].offset), 0);
	}
	out(&p, UART_LSR, 0xff);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	in(&p, UART_MSR);
	out(&p, UART_MSR, 0xff);
	ck_assert_uint_eq(in(&p, UART_MSR), MSR_LINES);
}
END_TEST

START_TEST(the_divisor_latch_hides_two_registers)
{
	struct port p;
	port_init(&p);
	out(&p, UART_IER, UART_IER_RDI);
	receive(&p, "a");
	out(&p, UART_LCR, UART_LCR_DLAB);
	out(&p, UART_DLL, 0x34);
	out(&p, UART_DLM, 0x12);
	ck_assert_uint_eq(in(&p, UART_DLL), 0x34);
	ck_assert_uint_eq(in(&p, UART_DLM), 0x12);
	ck_assert_uint_eq(p.nr_sent, 0);
	out(&p, UART_LCR, UART_LCR_WLEN8);
	ck_assert_uint_eq(in(&p, UART_IER), UART_IER_RDI);
	ck_assert_uint_eq(in(&p, UART_RX), 'a');
}
END_TEST

START_TEST(bytes_are_sent_at_once)
{
	struct port p;
	port_init(&p);
	for (const char *c = "hello"; *c != '\0'; c++) {
		out(&p, UART_TX, (uint8_t)*c);
		ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	}
	ck_assert_uint_eq(p.nr_sent, 5);
	ck_assert_mem_eq(p.sent, "hello", 5);
}
END_TEST

START_TEST(an_empty_transmitter_interrupts)
{
	struct port p;
	port_init(&p);
	out(&p, UART_MCR, UART_MCR_OUT2);
	out(&p, UART_IER, UART_IER_THRI);
	ck_assert(p.level);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_THRI);
	/* That read was its acknowledgement; writing IER as it is does not raise it again, enabling it anew does. */
	ck_assert(!p.level);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT);
	out(&p, UART_IER, UART_IER_THRI);
	ck_assert(!p.level);
	out(&p, UART_IER, 0);
	out(&p, UART_IER, UART_IER_THRI);
	ck_assert(p.level);
	/* A byte ends it, and when it is sent there is a new one: an edge. */
	ck_assert_uint_eq(p.nr_rises, 2);
	out(&p, UART_TX, 'a');
	ck_assert(p.level);
	ck_assert_uint_eq(p.nr_rises, 3);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_THRI);
	out(&p, UART_TX, 'b');
	ck_assert(p.level);
	out(&p, UART_IER, 0);
	ck_assert(!p.level);
}
END_TEST

START_TEST(out2_is_the_interrupts_gate)
{
	struct port p;
	port_init(&p);
	out(&p, UART_IER, UART_IER_RDI);
	receive(&p, "a");
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_RDI);
	ck_assert(!p.level);
	out(&p, UART_MCR, UART_MCR_OUT2);
	ck_assert(p.level);
	out(&p, UART_MCR, UART_MCR_OUT2 | UART_MCR_LOOP);
	ck_assert(!p.level);
	out(&p, UART_MCR, UART_MCR_OUT1 | UART_MCR_RTS | UART_MCR_DTR);
	ck_assert(!p.level);
}
END_TEST

START_TEST(without_its_fifo_it_holds_one_byte)
{
	struct port p;
	port_init(&p);
	out(&p, UART_IER, UART_IER_RDI);
	ck_assert_uint_eq(receive(&p, "xyz"), 1);
	ck_assert_uint_eq(serial_room(&p.uart), 0);
	ck_assert_uint_eq(receive(&p, "yz"), 0);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_RDI);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_DR);
	ck_assert_uint_eq(in(&p, UART_RX), 'x');
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	ck_assert_uint_eq(in(&p, UART_RX), 'x');
	ck_assert_uint_eq(serial_room(&p.uart), 1);
}
END_TEST

START_TEST(the_fifo_interrupts_at_its_trigger)
{
	static const struct {
		uint8_t fcr, trigger;
	} rows[] = { { UART_FCR_TRIGGER_1, 1 },
		     { UART_FCR_TRIGGER_4, 4 },
		     { UART_FCR_TRIGGER_8, 8 },
		     { UART_FCR_TRIGGER_14, 14 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct port p;
		port_init(&p);
		out(&p, UART_FCR, UART_FCR_ENABLE_FIFO | rows[i].fcr);
		out(&p, UART_IER, UART_IER_RDI);
		ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT | IIR_FIFOS);
		for (unsigned n = 1; n <= SERIAL_FIFO_SIZE; n++) {
			ck_assert_uint_eq(receive(&p, "a"), 1);
			uint8_t id = n < rows[i].trigger ? UART_IIR_RX_TIMEOUT : UART_IIR_RDI;
			ck_assert_uint_eq(in(&p, UART_IIR), id | IIR_FIFOS);
		}
		ck_assert_uint_eq(receive(&p, "a"), 0);
	}
}
END_TEST

START_TEST(the_fifo_keeps_the_order)
{
	struct port p;
	port_init(&p);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO);
	static const char text[] = "0123456789abcdefXYZ";
	/* Often enough for the ring to go round. */
	for (unsigned round = 0; round < 5; round++) {
		ck_assert_uint_eq(receive(&p, text), SERIAL_FIFO_SIZE);
		for (unsigned i = 0; i < 11; i++)
			ck_assert_uint_eq(in(&p, UART_RX), (uint8_t)text[i]);
		ck_assert_uint_eq(receive(&p, "+"), 1);
		for (unsigned i = 11; i < 16; i++)
			ck_assert_uint_eq(in(&p, UART_RX), (uint8_t)text[i]);
		ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_DR);
		ck_assert_uint_eq(in(&p, UART_RX), '+');
		ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	}
}
END_TEST

START_TEST(each_byte_after_a_timeout_gives_an_edge)
{
	struct port p;
	port_init(&p);
	out(&p, UART_MCR, UART_MCR_OUT2);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
	out(&p, UART_IER, UART_IER_RDI);
	receive(&p, "abc");
	for (unsigned taken = 0; taken < 3; taken++) {
		ck_assert(p.level);
		ck_assert_uint_eq(p.nr_rises, taken + 1);
		in(&p, UART_RX);
	}
	ck_assert(!p.level);
	ck_assert_uint_eq(p.nr_rises, 3);
}
END_TEST

START_TEST(interrupts_are_told_by_priority)
{
	struct port p;
	port_init(&p);
	/* All four: in loopback the modem outputs make changes of the inputs, and too many bytes an overrun. */
	out(&p, UART_MCR, UART_MCR_LOOP);
	out(&p, UART_TX, 'a');
	out(&p, UART_TX, 'b');
	out(&p, UART_MCR, UART_MCR_OUT2);
	out(&p, UART_IER, UART_IER_RLSI | UART_IER_RDI | UART_IER_THRI | UART_IER_MSI);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_RLSI);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_OE | UART_LSR_DR);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_RDI);
	ck_assert_uint_eq(in(&p, UART_RX), 'b');
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_THRI);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_MSI);
	ck_assert(p.level);
	in(&p, UART_MSR);
	ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT);
	/* No edge in between: the line was high until the last one was served. */
	ck_assert(!p.level);
	ck_assert_uint_eq(p.nr_rises, 1);
}
END_TEST

START_TEST(a_masked_interrupt_is_not_told)
{
	static const uint8_t ids[] = { UART_IIR_RDI, UART_IIR_THRI, UART_IIR_RLSI, UART_IIR_MSI };
	for (uint8_t i = 0; i < sizeof(ids); i++) {
		struct port p;
		port_init(&p);
		out(&p, UART_MCR, UART_MCR_LOOP);
		out(&p, UART_TX, 'a');
		out(&p, UART_TX, 'b');
		ck_assert_uint_eq(in(&p, UART_IIR), UART_IIR_NO_INT);
		out(&p, UART_IER, (uint8_t)(1 << i));
		ck_assert_uint_eq(in(&p, UART_IIR), ids[i]);
	}
}
END_TEST

START_TEST(loopback_sends_to_itself)
{
	struct port p;
	port_init(&p);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO);
	receive(&p, "1");
	out(&p, UART_MCR, UART_MCR_LOOP);
	out(&p, UART_TX, '2');
	ck_assert_uint_eq(p.nr_sent, 0);
	ck_assert_uint_eq(serial_room(&p.uart), 0);
	ck_assert_uint_eq(receive(&p, "3"), 0);
	ck_assert_uint_eq(in(&p, UART_RX), '1');
	ck_assert_uint_eq(in(&p, UART_RX), '2');
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	out(&p, UART_MCR, 0);
	out(&p, UART_TX, '4');
	ck_assert_uint_eq(p.nr_sent, 1);
	ck_assert_uint_eq(receive(&p, "3"), 1);
}
END_TEST

START_TEST(loopback_turns_modem_outputs_to_inputs)
{
	struct port p;
	port_init(&p);
	static const struct {
		uint8_t mcr, msr, rise, fall;
	} rows[] = {
		{ UART_MCR_RTS, UART_MSR_CTS, UART_MSR_DCTS, UART_MSR_DCTS },
		{ UART_MCR_DTR, UART_MSR_DSR, UART_MSR_DDSR, UART_MSR_DDSR },
		{ UART_MCR_OUT1, UART_MSR_RI, 0, UART_MSR_TERI },
		{ UART_MCR_OUT2, UART_MSR_DCD, UART_MSR_DDCD, UART_MSR_DDCD },
	};
	out(&p, UART_MCR, UART_MCR_LOOP);
	ck_assert_uint_eq(in(&p, UART_MSR), UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		out(&p, UART_MCR, UART_MCR_LOOP | rows[i].mcr);
		out(&p, UART_MCR, UART_MCR_LOOP | rows[i].mcr);
		ck_assert_uint_eq(in(&p, UART_MSR), rows[i].msr | rows[i].rise);
		ck_assert_uint_eq(in(&p, UART_MSR), rows[i].msr);
		out(&p, UART_MCR, UART_MCR_LOOP);
		/* Changes add up until they are read. */
		out(&p, UART_SCR, 0);
		ck_assert_uint_eq(in(&p, UART_MSR), rows[i].fall);
	}
	out(&p, UART_MCR, UART_MCR_LOOP | UART_MCR_RTS);
	out(&p, UART_MCR, UART_MCR_LOOP);
	out(&p, UART_MCR, 0);
	ck_assert_uint_eq(in(&p, UART_MSR), MSR_LINES | UART_MSR_DCTS | UART_MSR_DDSR | UART_MSR_DDCD);
}
END_TEST

START_TEST(an_overrun_is_noted_once)
{
	struct port p;
	port_init(&p);
	/* The single register takes the new byte, the FIFO keeps the old ones. */
	out(&p, UART_MCR, UART_MCR_LOOP);
	out(&p, UART_TX, 'a');
	out(&p, UART_TX, 'b');
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_OE | UART_LSR_DR);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_DR);
	ck_assert_uint_eq(in(&p, UART_RX), 'b');
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
	out(&p, UART_FCR, UART_FCR_ENABLE_FIFO);
	for (uint8_t i = 0; i < SERIAL_FIFO_SIZE; i++)
		out(&p, UART_TX, i);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_DR);
	out(&p, UART_TX, 99);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY | UART_LSR_OE | UART_LSR_DR);
	for (uint8_t i = 0; i < SERIAL_FIFO_SIZE; i++)
		ck_assert_uint_eq(in(&p, UART_RX), i);
	ck_assert_uint_eq(in(&p, UART_LSR), LSR_EMPTY);
}
END_TEST

START_TEST(fcr_clears_the_fifo)
{
	struct port p;
	port_init(&p);
	static const struct {
		uint8_t before, fcr, left;
	} rows[] = {
		{ 0, UART_FCR_ENABLE_FIFO, 0 },
		{ 0, UART_FCR_CLEAR_RCVR, 1 }, /* nothing counts without the enable bit */
		{ UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO, 1 },
		{ UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_XMIT, 1 },
		{ UART_FCR_ENABLE_FIFO, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR, 0 },
		{ UART_FCR_ENABLE_FIFO, 0, 0 },
	};
	out(&p, UART_MCR, UART_MCR_OUT2);
	out(&p, UART_IER, UART_IER_RDI);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		out(&p, UART_FCR, UART_FCR_ENABLE_FIFO);
		out(&p, UART_FCR, 0);
		out(&p, UART_FCR, rows[i].before);
		ck_assert_uint_eq(receive(&p, "a"), 1);
		ck_assert(p.level);
		out(&p, UART_FCR, rows[i].fcr);
		ck_assert_uint_eq(in(&p, UART_LSR) & UART_LSR_DR, rows[i].left);
		ck_assert(p.level == (rows[i].left != 0));
	}
	/* The bits that clear themselves are no state. */
	out(&p, UART_FCR, 0xff);
	ck_assert_uint_eq(p.uart.state.fcr, UART_FCR_ENABLE_FIFO | UART_FCR_DMA_SELECT | UART_FCR_TRIGGER_MASK);
	out(&p, UART_FCR, 0xfe);
	ck_assert_uint_eq(p.uart.state.fcr, 0);
}
END_TEST

START_TEST(a_wide_access_is_several_narrow_ones)
{
	struct port p;
	port_init(&p);
	/* LCR, MCR, LSR (read-only), MSR (read-only). */
	serial_bus_ops.write(&p.uart, UART_LCR, 4, 0xffff0000 | UART_MCR_OUT2 << 8 | UART_LCR_WLEN8);
	ck_assert_uint_eq(in(&p, UART_LCR), UART_LCR_WLEN8);
	ck_assert_uint_eq(in(&p, UART_MCR), UART_MCR_OUT2);
	/* The byte is sent before its interrupt is enabled. */
	serial_bus_ops.write(&p.uart, UART_TX, 2, UART_IER_THRI << 8 | 'a');
	ck_assert_uint_eq(p.nr_sent, 1);
	ck_assert(p.level);
	receive(&p, "b");
	ck_assert_uint_eq(serial_bus_ops.read(&p.uart, UART_RX, 4),
			  (uint32_t)UART_LCR_WLEN8 << 24 | UART_IIR_THRI << 16 | UART_IER_THRI << 8 | 'b');
	ck_assert(!p.level);
	/* Behind the last port nobody answers. */
	serial_bus_ops.write(&p.uart, UART_SCR, 4, 0x12345678);
	ck_assert_uint_eq(serial_bus_ops.read(&p.uart, UART_SCR, 4), 0xffffff78);
	ck_assert_uint_eq(p.nr_sent, 1);
}
END_TEST

START_TEST(a_restored_state_goes_on)
{
	struct port before, after;
	port_init(&before);
	port_init(&after);
	out(&before, UART_MCR, UART_MCR_OUT2);
	out(&before, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_4);
	out(&before, UART_IER, UART_IER_RDI);
	receive(&before, "abcdef");
	in(&before, UART_RX);
	ck_assert(serial_state_is_valid(&before.uart.state));
	after.uart.state = before.uart.state;
	serial_drive_irq(&after.uart);
	ck_assert(after.level);
	ck_assert_uint_eq(in(&after, UART_IIR), UART_IIR_RDI | IIR_FIFOS);
	ck_assert_uint_eq(receive(&after, "g"), 1);
	for (uint8_t c = 'b'; c <= 'g'; c++)
		ck_assert_uint_eq(in(&after, UART_RX), c);
	ck_assert(!after.level);
	/* Driving tells the level again even where it did not change. */
	unsigned rises = before.nr_rises;
	before.is_driven = true;
	before.level = false;
	serial_drive_irq(&before.uart);
	ck_assert_uint_eq(before.nr_rises, rises + 1);
}
END_TEST

START_TEST(only_a_possible_state_is_valid)
{
	struct serial_state good = { .fcr = UART_FCR_ENABLE_FIFO, .rx_count = 16, .rx_head = 15, .overrun = 1 }, bad;
	good.thre_pending = 1;
	ck_assert(serial_state_is_valid(&good));
	bad = good, bad.rx_count = 17;
	ck_assert(!serial_state_is_valid(&bad));
	bad = good, bad.fcr = 0;
	ck_assert(!serial_state_is_valid(&bad));
	bad.rx_count = 1;
	ck_assert(serial_state_is_valid(&bad));
	bad = good, bad.rx_head = 16;
	ck_assert(!serial_state_is_valid(&bad));
	bad = good, bad.overrun = 2;
	ck_assert(!serial_state_is_valid(&bad));
	bad = good, bad.thre_pending = 2;
	ck_assert(!serial_state_is_valid(&bad));
	for (size_t i = 0; i < sizeof(bad.reserved); i++) {
		bad = good, bad.reserved[i] = 0x80;
		ck_assert(!serial_state_is_valid(&bad));
	}
}
END_TEST

/* Marsaglia's xorshift64: the same numbers in every run. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* What the line must be: reading IIR changes the UART, so a copy is read, which is connected to nobody. */
static bool line_should_be_high(const struct port *port)
{
	struct port copy = *port;
	copy.is_driven = true;
	copy.uart.context = &copy;
	bool is_open = (in(&copy, UART_MCR) & (UART_MCR_OUT2 | UART_MCR_LOOP)) == UART_MCR_OUT2;
	return is_open && !(in(&copy, UART_IIR) & UART_IIR_NO_INT);
}

/* Any state that is said to be valid. */
static void fill_state(struct serial_state *state, uint64_t *random)
{
	uint8_t *bytes = (uint8_t *)state;
	for (size_t i = 0; i < sizeof(*state); i++)
		bytes[i] = (uint8_t)next_random(random);
	state->overrun &= 1;
	state->thre_pending &= 1;
	state->rx_head %= SERIAL_FIFO_SIZE;
	uint8_t capacity = state->fcr & UART_FCR_ENABLE_FIFO ? SERIAL_FIFO_SIZE : 1;
	state->rx_count = (uint8_t)(state->rx_count % (capacity + 1));
	memset(state->reserved, 0, sizeof(state->reserved));
}

START_TEST(any_access_in_any_state_is_safe)
{
	uint64_t random = 0x9e3779b97f4a7c15;
	for (unsigned start = 0; start < 1000; start++) {
		struct port p;
		port_init(&p);
		fill_state(&p.uart.state, &random);
		ck_assert(serial_state_is_valid(&p.uart.state));
		p.is_driven = true;
		serial_drive_irq(&p.uart);
		p.is_driven = false;
		for (unsigned i = 0; i < 1000; i++) {
			uint64_t r = next_random(&random);
			uint16_t offset = r >> 8 & 7;
			uint8_t size = (uint8_t)(1 << (r >> 16) % 3);
			if (r % 8 == 0) {
				uint8_t data[32] = { 0 };
				size_t room = serial_room(&p.uart), n = r >> 24 & 31;
				ck_assert_uint_eq(serial_receive(&p.uart, data, n), n < room ? n : room);
			} else if (r % 2 == 0) {
				serial_bus_ops.read(&p.uart, offset, size);
			} else {
				serial_bus_ops.write(&p.uart, offset, size, (uint32_t)(r >> 32));
			}
			if (!serial_state_is_valid(&p.uart.state) || p.uart.irq_level != p.level ||
			    p.level != line_should_be_high(&p))
				ck_abort_msg("access %u of start %u", i, start);
		}
	}
}
END_TEST

UNIT_MAIN("serial", a_reset_gives_the_data_sheets_values, registers_keep_the_bits_that_they_have,
	  the_divisor_latch_hides_two_registers, bytes_are_sent_at_once, an_empty_transmitter_interrupts,
	  out2_is_the_interrupts_gate, without_its_fifo_it_holds_one_byte, the_fifo_interrupts_at_its_trigger,
	  the_fifo_keeps_the_order, each_byte_after_a_timeout_gives_an_edge, interrupts_are_told_by_priority,
	  a_masked_interrupt_is_not_told, loopback_sends_to_itself, loopback_turns_modem_outputs_to_inputs,
	  an_overrun_is_noted_once, fcr_clears_the_fifo, a_wide_access_is_several_narrow_ones, a_restored_state_goes_on,
	  only_a_possible_state_is_valid, any_access_in_any_state_is_safe)
