#include "guests.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "images.h"

#define NEEDS_LAPIC                                                                                                    \
	{                                                                                                              \
		[IRQCHIP_NONE] = "it needs local APICs"                                                                \
	}

/* clang-format off */
static const struct guest table[] = {
	{ .name = "hello", .description = "real mode: prints a line and ends",
	  .vcpus_min = 1, .vcpus_max = 1, .image = "hello" },
	{ .name = "counter", .description = "real mode: counts for ever, with a checkpoint at each number",
	  .is_endless = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .image = "counter" },
	{ .name = "regs", .description = "a pattern in every register, verified in 20 rounds",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .image = "regs" },
	{ .name = "interrupt", .description = "timers armed and interrupts on their way across snapshots",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .cannot = NEEDS_LAPIC, .image = "interrupt" },
	{ .name = "smp", .description = "a token round all CPUs, by memory and by interrupt",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, .image = "smp" },
	{ .name = "memory", .description = "dirties pages: pages=N rounds=M seed=S delay=MS (rounds=0: for ever)",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .image = "memory" },
	{ .name = "exception", .description = "snapshots at the edge of and inside exceptions",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .image = "exception" },
	{ .name = "shadow", .description = "shadow stacks in use at both privilege levels; says so where there are none",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .image = "shadow" },
	{ .name = "clock", .description = "all CPUs watch TSC and KVM's clock, alarms set across snapshots: delay=MS start=MS gaps",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, .image = "clock" },
	{ .name = "memory-smp", .description = "memory, of which each CPU has a share",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, .image = "memory" },
	{ .name = NULL },
};
/* clang-format on */

const struct guest *guests(void)
{
	return table;
}

const struct guest *guest_find(const char *name)
{
	for (const struct guest *guest = table; guest->name != NULL; guest++)
		if (strcmp(guest->name, name) == 0)
			return guest;
	return NULL;
}

static size_t take_length(const uint8_t **at, unsigned start)
{
	size_t length = start;
	for (unsigned more = start == IMAGES_LONG ? 255 : 0; more == 255; length += more)
		more = *(*at)++;
	return length;
}

/* Undoes pack.c. */
static void unpack(const uint8_t *at, uint8_t *to, const uint8_t *end)
{
	for (;;) {
		unsigned token = *at++;
		size_t nr = take_length(&at, token >> 4);
		memcpy(to, at, nr);
		to += nr;
		at += nr;
		if (to == end)
			return;
		const uint8_t *from = to - (at[0] | at[1] << 8);
		at += 2;
		/* It may overlap what it makes. */
		for (nr = take_length(&at, token & 15) + IMAGES_MATCH_MIN; nr > 0; nr--)
			*to++ = *from++;
	}
}

bool guest_image(const struct guest *guest, struct buffer *ret)
{
	const struct image_place *place = image_places;
	uint8_t *all = malloc(images_size);
	if (all == NULL)
		return false;
	unpack(images_packed, all, all + images_size);
	while (strcmp(place->name, guest->image) != 0)
		place++;
	bool is_there = buffer_append(ret, all + place->offset, place->size) != NULL;
	free(all);
	return is_there;
}
