#include "guests.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/coder.h"

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

/* The build makes them of the images (vmm/pack.c), in one piece, for most begin alike. */
extern const struct coder_place images_places[];
extern const uint8_t images_packed[];

bool guest_image(const struct guest *guest, struct buffer *ret)
{
	const struct coder_place *place = images_places;
	while (strcmp(place->name, guest->image) != 0)
		place++;
	size_t size = place->offset + place->size;
	uint8_t *all = malloc(size);
	if (all == NULL)
		return false;
	coder_unpack(images_packed, all, size);
	bool is_there = buffer_append(ret, all + place->offset, place->size) != NULL;
	free(all);
	return is_there;
}
