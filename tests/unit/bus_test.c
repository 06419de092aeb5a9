#include "unit.h"

#include <stdint.h>

#include "vmm/bus.h"

/* A device that remembers its last access and answers with a value. */
struct probe {
	unsigned nr_accesses;
	uint16_t offset;
	uint8_t size;
	uint32_t value;
};

static uint32_t probe_read(void *device, uint16_t offset, uint8_t size)
{
	struct probe *probe = device;
	probe->nr_accesses++;
	probe->offset = offset;
	probe->size = size;
	return probe->value;
}

static void probe_write(void *device, uint16_t offset, uint8_t size, uint32_t value)
{
	struct probe *probe = device;
	probe->nr_accesses++;
	probe->offset = offset;
	probe->size = size;
	probe->value = value;
}

static const struct bus_ops both = { .read = probe_read, .write = probe_write };
static const struct bus_ops neither = { .read = NULL, .write = NULL };

START_TEST(a_range_is_found_by_its_ports_only)
{
	struct bus bus = { 0 };
	bus_add(&bus, "low", 0, 1, &both, NULL);
	bus_add(&bus, "eight", 0x3f8, 8, &both, NULL);
	bus_add(&bus, "neighbour", 0x400, 1, &both, NULL);
	bus_add(&bus, "top", UINT16_MAX, 1, &both, NULL);
	static const struct {
		uint16_t port;
		const char *name;
	} rows[] = { { 0, "low" },         { 1, NULL },     { 0x3f7, NULL },        { 0x3f8, "eight" },
		     { 0x3ff, "eight" },   { 0x401, NULL }, { 0x400, "neighbour" }, { UINT16_MAX - 1, NULL },
		     { UINT16_MAX, "top" } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct bus_range *range = bus_find(&bus, rows[i].port);
		if (rows[i].name == NULL)
			ck_assert_ptr_null(range);
		else
			ck_assert_str_eq(range->name, rows[i].name);
	}
}
END_TEST

START_TEST(an_access_goes_to_the_device_of_its_first_port)
{
	struct probe first = { .value = 0x11223344 }, second = { 0 };
	struct bus bus = { 0 };
	bus_add(&bus, "first", 0x100, 4, &both, &first);
	bus_add(&bus, "second", 0x104, 4, &both, &second);
	ck_assert_uint_eq(bus_read(&bus, 0x103, 4), 0x11223344);
	ck_assert_uint_eq(first.offset, 3);
	ck_assert_uint_eq(first.size, 4);
	bus_write(&bus, 0x105, 2, 0xbeef);
	ck_assert_uint_eq(second.nr_accesses, 1);
	ck_assert_uint_eq(second.offset, 1);
	ck_assert_uint_eq(second.size, 2);
	ck_assert_uint_eq(second.value, 0xbeef);
	ck_assert_uint_eq(first.nr_accesses, 1);
}
END_TEST

START_TEST(nobody_answers_with_ones)
{
	struct bus bus = { 0 };
	ck_assert_uint_eq(bus_read(&bus, 0x80, 1), UINT32_MAX);
	bus_write(&bus, 0x80, 1, 7);
	bus_add(&bus, "silent", 0x80, 1, &neither, NULL);
	ck_assert_uint_eq(bus_read(&bus, 0x80, 4), UINT32_MAX);
	bus_write(&bus, 0x80, 4, 7);
}
END_TEST

START_TEST(all_ranges_fit)
{
	struct probe probes[BUS_RANGES_MAX] = { 0 };
	struct bus bus = { 0 };
	for (uint16_t i = 0; i < BUS_RANGES_MAX; i++)
		bus_add(&bus, "one of many", i, 1, &both, &probes[i]);
	for (uint16_t i = 0; i < BUS_RANGES_MAX; i++)
		bus_write(&bus, i, 1, i + 100u);
	for (uint16_t i = 0; i < BUS_RANGES_MAX; i++)
		ck_assert_uint_eq(probes[i].value, i + 100u);
}
END_TEST

UNIT_MAIN("bus", a_range_is_found_by_its_ports_only, an_access_goes_to_the_device_of_its_first_port,
	  nobody_answers_with_ones, all_ranges_fit)
