#include "guests.h"

#include <stddef.h>
#include <string.h>

/* Of the generated images.S. */
#define IMAGE(name) extern const uint8_t guest_##name[], guest_##name##_end[]
IMAGE(hello);
IMAGE(counter);
IMAGE(regs);
IMAGE(interrupt);
IMAGE(smp);
IMAGE(memory);
IMAGE(exception);
IMAGE(shadow);
IMAGE(clock);

#define NEEDS_LAPIC                                                                                                    \
	{                                                                                                              \
		[IRQCHIP_NONE] = "it needs local APICs"                                                                \
	}
#define CONTENTS(name) .image = guest_##name, .image_end = guest_##name##_end

/* clang-format off */
static const struct guest table[] = {
	{ .name = "hello", .description = "real mode: prints a line and ends",
	  .vcpus_min = 1, .vcpus_max = 1, CONTENTS(hello) },
	{ .name = "counter", .description = "real mode: counts for ever, with a checkpoint at each number",
	  .is_endless = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, CONTENTS(counter) },
	{ .name = "regs", .description = "a pattern in every register, verified in 20 rounds",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, CONTENTS(regs) },
	{ .name = "interrupt", .description = "timers armed and interrupts on their way across snapshots",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, .cannot = NEEDS_LAPIC, CONTENTS(interrupt) },
	{ .name = "smp", .description = "a token round all CPUs, by memory and by interrupt",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, CONTENTS(smp) },
	{ .name = "memory", .description = "dirties pages: pages=N rounds=M seed=S delay=MS (rounds=0: for ever)",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, CONTENTS(memory) },
	{ .name = "exception", .description = "snapshots at the edge of and inside exceptions",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, CONTENTS(exception) },
	{ .name = "shadow", .description = "shadow stacks in use at both privilege levels; says so where there are none",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 1, CONTENTS(shadow) },
	{ .name = "clock", .description = "all CPUs watch TSC and KVM's clock, alarms set across snapshots: delay=MS start=MS gaps",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, CONTENTS(clock) },
	{ .name = "memory-smp", .description = "memory, of which each CPU has a share",
	  .is_long = true, .has_checkpoints = true, .vcpus_min = 1, .vcpus_max = 16, .cannot = NEEDS_LAPIC, CONTENTS(memory) },
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

struct bytes guest_image(const struct guest *guest)
{
	return (struct bytes){ .data = guest->image, .size = (size_t)(guest->image_end - guest->image) };
}
