#include "unit.h"

#include <stdint.h>
#include <string.h>

#include "guest/abi.h"
#include "vmm/ports.h"

/* What the ports asked of the machine. */
struct machine {
	struct bus bus;
	struct ports ports;
	char output[8];
	size_t nr_output;
	unsigned nr_exits, nr_checkpoints, nr_resets;
	uint32_t value; /* of the last exit or checkpoint */
};

static void on_output(void *context, uint8_t byte)
{
	struct machine *machine = context;
	ck_assert_uint_lt(machine->nr_output, sizeof(machine->output));
	machine->output[machine->nr_output++] = (char)byte;
}

static void on_exit_port(void *context, uint32_t value)
{
	struct machine *machine = context;
	machine->nr_exits++;
	machine->value = value;
}

static void on_checkpoint(void *context, uint32_t value)
{
	struct machine *machine = context;
	machine->nr_checkpoints++;
	machine->value = value;
}

static void on_reset(void *context)
{
	struct machine *machine = context;
	machine->nr_resets++;
}

static const struct ports_ops ops = {
	.output = on_output, .exit = on_exit_port, .checkpoint = on_checkpoint, .reset = on_reset
};

static void machine_init(struct machine *machine)
{
	*machine = (struct machine){ .nr_output = 0 };
	ports_init(&machine->ports, &ops, machine, &machine->bus);
}

START_TEST(debug_ports_print_one_byte)
{
	struct machine m;
	machine_init(&m);
	bus_write(&m.bus, PORT_DEBUG_BOCHS, 1, 'a');
	bus_write(&m.bus, PORT_DEBUG_SEABIOS, 1, 'b');
	bus_write(&m.bus, PORT_DEBUG_BOCHS, 4, 0x21212100 | 'c');
	ck_assert_uint_eq(m.nr_output, 3);
	ck_assert_mem_eq(m.output, "abc", 3);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_DEBUG_BOCHS, 1) & 0xff, 0xe9);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_DEBUG_SEABIOS, 1) & 0xff, 0xe9);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_DEBUG_SEABIOS, 2) & 0xffff, 0xffe9);
}
END_TEST

START_TEST(exit_takes_any_value_at_any_of_its_ports)
{
	struct machine m;
	machine_init(&m);
	static const struct {
		uint16_t port;
		uint8_t size;
		uint32_t value;
	} rows[] = {
		{ PORT_EXIT, 1, 0x7f }, { PORT_EXIT, 2, 0x1234 }, { PORT_EXIT, 4, 0xdeadbeef }, { PORT_EXIT + 3, 1, 9 }
	};
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bus_write(&m.bus, rows[i].port, rows[i].size, rows[i].value);
		ck_assert_uint_eq(m.nr_exits, i + 1);
		ck_assert_uint_eq(m.value, rows[i].value);
	}
	ck_assert_uint_eq(bus_read(&m.bus, PORT_EXIT, 4), 0);
	ck_assert_str_eq(bus_find(&m.bus, PORT_EXIT + PORT_EXIT_COUNT)->name, "checkpoint");
}
END_TEST

START_TEST(checkpoint_asks_and_tells)
{
	struct machine m;
	machine_init(&m);
	bus_write(&m.bus, PORT_CHECKPOINT, 1, 2);
	ck_assert_uint_eq(m.nr_checkpoints, 1);
	ck_assert_uint_eq(m.value, 2);
	bus_write(&m.bus, PORT_CHECKPOINT, 4, 0x10000);
	ck_assert_uint_eq(m.value, 0x10000);
	/* Only whoever takes the snapshot knows that it was taken. */
	ck_assert_uint_eq(bus_read(&m.bus, PORT_CHECKPOINT, 1), 0);
	m.ports.state.checkpoints_taken = 129;
	ck_assert_uint_eq(bus_read(&m.bus, PORT_CHECKPOINT, 1), 1);
	m.ports.state.restored = 1;
	ck_assert_uint_eq(bus_read(&m.bus, PORT_CHECKPOINT, 4), CHECKPOINT_RESTORED | 1);
}
END_TEST

START_TEST(keyboard_controller_is_ready_and_resets)
{
	struct machine m;
	machine_init(&m);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_KEYBOARD, 1) & 0xff, 0);
	bus_write(&m.bus, PORT_KEYBOARD, 1, 0xd1);
	ck_assert_uint_eq(m.nr_resets, 0);
	bus_write(&m.bus, PORT_KEYBOARD, 1, KEYBOARD_RESET);
	ck_assert_uint_eq(m.nr_resets, 1);
	bus_write(&m.bus, PORT_KEYBOARD, 2, 0x0100 | KEYBOARD_RESET);
	ck_assert_uint_eq(m.nr_resets, 2);
}
END_TEST

START_TEST(reset_control_resets_when_its_bit_rises)
{
	struct machine m;
	machine_init(&m);
	bus_write(&m.bus, PORT_RESET, 1, 0x02);
	ck_assert_uint_eq(m.nr_resets, 0);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_RESET, 1) & 0xff, 0x02);
	bus_write(&m.bus, PORT_RESET, 1, 0x06);
	ck_assert_uint_eq(m.nr_resets, 1);
	ck_assert_uint_eq(bus_read(&m.bus, PORT_RESET, 1) & 0xff, 0x06);
	bus_write(&m.bus, PORT_RESET, 1, 0x04);
	ck_assert_uint_eq(m.nr_resets, 1);
	bus_write(&m.bus, PORT_RESET, 1, 0x00);
	bus_write(&m.bus, PORT_RESET, 1, 0x04);
	ck_assert_uint_eq(m.nr_resets, 2);
}
END_TEST

START_TEST(an_address_of_pci_configuration_is_no_reset)
{
	struct machine m;
	machine_init(&m);
	bus_write(&m.bus, PORT_RESET - 1, 4, 0x80000600);
	ck_assert_uint_eq(m.nr_resets, 0);
}
END_TEST

START_TEST(only_a_possible_state_is_valid)
{
	struct ports_state state = { .checkpoints_taken = UINT32_MAX, .restored = 1, .reset_control = 0xff };
	ck_assert(ports_state_is_valid(&state));
	state.restored = 2;
	ck_assert(!ports_state_is_valid(&state));
	state.restored = 0;
	for (size_t i = 0; i < sizeof(state.reserved); i++) {
		ck_assert(ports_state_is_valid(&state));
		state.reserved[i] = 1;
		ck_assert(!ports_state_is_valid(&state));
		state.reserved[i] = 0;
	}
}
END_TEST

UNIT_MAIN("ports", debug_ports_print_one_byte, exit_takes_any_value_at_any_of_its_ports, checkpoint_asks_and_tells,
	  keyboard_controller_is_ready_and_resets, reset_control_resets_when_its_bit_rises,
	  an_address_of_pci_configuration_is_no_reset, only_a_possible_state_is_valid)
