/*
 * The devices without KVM: a hostile guest's accesses in any width, order and value, with input arriving in between and
 * the state taken out and put back as a snapshot does.
 */
#include "fuzz.h"
#include "guest/abi.h"
#include "vmm/bus.h"
#include "vmm/ports.h"
#include "vmm/serial.h"

#define STEPS_MAX 4096
#define INPUT_MAX 24 /* more than the FIFO holds */

/* What the devices asked of the machine. */
struct machine_side {
	bool level;
	unsigned nr_outputs, nr_events;
};

static void output(void *context, uint8_t byte)
{
	(void)byte;
	((struct machine_side *)context)->nr_outputs++;
}

static void set_irq(void *context, bool level)
{
	((struct machine_side *)context)->level = level;
}

static void event_value(void *context, uint32_t value)
{
	(void)value;
	((struct machine_side *)context)->nr_events++;
}

static void event(void *context)
{
	((struct machine_side *)context)->nr_events++;
}

static const struct serial_ops serial_ops = { .output = output, .set_irq = set_irq };
static const struct ports_ops ports_ops = {
	.output = output, .exit = event_value, .checkpoint = event_value, .reset = event
};

struct devices {
	struct machine_side side;
	struct bus bus;
	struct serial serial;
	struct ports ports;
};

static void check(const struct devices *devices)
{
	FUZZ_CHECK(serial_state_is_valid(&devices->serial.state));
	FUZZ_CHECK(ports_state_is_valid(&devices->ports.state));
	FUZZ_CHECK(devices->serial.irq_level == devices->side.level);
	FUZZ_CHECK(serial_room(&devices->serial) <= SERIAL_FIFO_SIZE);
}

/* Half of the ports are those that answer and their neighbours. */
static uint16_t take_port(struct bytes *input)
{
	static const uint16_t bases[] = { PORT_UART,       PORT_DEBUG_BOCHS, PORT_DEBUG_SEABIOS, PORT_EXIT,
					  PORT_CHECKPOINT, PORT_KEYBOARD,    PORT_RESET };
	uint16_t number = (uint16_t)fuzz_take(input, 2);
	if (number & 1)
		return number >> 1;
	return (uint16_t)(bases[(number >> 8) % (sizeof(bases) / sizeof(bases[0]))] + (number >> 1 & 15) - 1);
}

static uint32_t mask_of(uint8_t size)
{
	return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static void access_port(struct devices *devices, struct bytes *input, uint8_t how)
{
	static const uint8_t sizes[] = { 1, 2, 4, 1 };
	uint8_t size = sizes[how >> 3 & 3];
	uint16_t port = take_port(input);
	unsigned outputs = devices->side.nr_outputs, events = devices->side.nr_events;
	if ((how & 4) != 0) {
		uint32_t value = bus_read(&devices->bus, port, size);
		FUZZ_CHECK(bus_find(&devices->bus, port) != NULL || value == UINT32_MAX);
		FUZZ_CHECK(devices->side.nr_outputs == outputs && devices->side.nr_events == events);
	} else {
		bus_write(&devices->bus, port, size, (uint32_t)fuzz_take(input, size) & mask_of(size));
		/* One access is at most one byte a port it covers, and at most one event. */
		FUZZ_CHECK(devices->side.nr_outputs - outputs <= size);
		FUZZ_CHECK(devices->side.nr_events - events <= 1);
	}
}

static void receive(struct devices *devices, struct bytes *input, uint8_t how)
{
	uint8_t data[INPUT_MAX] = { 0 };
	size_t size = how % sizeof(data), room = serial_room(&devices->serial);
	uint64_t head = fuzz_take(input, 1);
	memset(data, (int)head, sizeof(data));
	FUZZ_CHECK(serial_receive(&devices->serial, data, size) == (size < room ? size : room));
}

/* A restored device goes on from what the file says, if that is valid; else the old state goes on. */
static void restore(struct devices *devices, struct bytes *input)
{
	struct serial_state serial = devices->serial.state;
	struct ports_state ports = devices->ports.state;
	size_t at = fuzz_take(input, 1) % sizeof(serial);
	((uint8_t *)&serial)[at] = (uint8_t)fuzz_take(input, 1);
	((uint8_t *)&ports)[at % sizeof(ports)] = (uint8_t)fuzz_take(input, 1);
	if (serial_state_is_valid(&serial))
		devices->serial.state = serial;
	if (ports_state_is_valid(&ports))
		devices->ports.state = ports;
	serial_drive_irq(&devices->serial);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	struct devices devices = { 0 };
	serial_init(&devices.serial, &serial_ops, &devices.side);
	ports_init(&devices.ports, &ports_ops, &devices.side, &devices.bus);
	bus_add(&devices.bus, "uart", PORT_UART, PORT_UART_COUNT, &serial_bus_ops, &devices.serial);
	for (unsigned i = 0; i < STEPS_MAX && input.size > 0; i++) {
		uint8_t how = (uint8_t)fuzz_take(&input, 1);
		if ((how & 3) == 0)
			receive(&devices, &input, how >> 2);
		else if ((how & 0xe3) == 0xe3)
			restore(&devices, &input);
		else
			access_port(&devices, &input, how);
		check(&devices);
	}
	return 0;
}
