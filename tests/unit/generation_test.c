/*
 * The generation id at its ports.
 */
#include "unit.h"

#include <string.h>

#include "guest/abi.h"
#include "vmm/generation.h"

START_TEST(it_is_read_in_any_width)
{
	struct bus bus = { 0 };
	struct generation generation;
	generation_init(&generation, &bus);
	for (uint8_t i = 0; i < GENERATION_SIZE; i++)
		generation.state.id[i] = (uint8_t)(0x10 + i);
	ck_assert_uint_eq(bus_read(&bus, PORT_GENERATION, 1) & 0xff, 0x10);
	ck_assert_uint_eq(bus_read(&bus, PORT_GENERATION + 2, 2) & 0xffff, 0x1312);
	ck_assert_uint_eq(bus_read(&bus, PORT_GENERATION + 12, 4), 0x1f1e1d1c);
	ck_assert_uint_eq(bus_read(&bus, PORT_GENERATION + 14, 4), 0xffff1f1e);
	bus_write(&bus, PORT_GENERATION, 4, 0);
	ck_assert_uint_eq(bus_read(&bus, PORT_GENERATION, 4), 0x13121110);
}
END_TEST

START_TEST(each_is_another)
{
	struct generation_state a, b;
	generation_renew(&a);
	generation_renew(&b);
	ck_assert_int_ne(memcmp(&a, &b, sizeof(a)), 0);
}
END_TEST

UNIT_MAIN("generation", it_is_read_in_any_width, each_is_another)
