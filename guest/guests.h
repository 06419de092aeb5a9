/*
 * The built-in guests: small images that check themselves, part of the program.
 */
#ifndef STASIS_GUEST_GUESTS_H
#define STASIS_GUEST_GUESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/abi.h"
#include "vmm/bytes.h"

#define GUEST_IRQCHIPS (IRQCHIP_FULL + 1)

struct guest {
	const char *name, *description;
	bool is_long;    /* a flat long-mode image; else a boot sector */
	bool is_endless; /* it goes on until it is stopped; else it ends with 0, or with 1 if it found a fault */
	bool has_checkpoints;
	unsigned vcpus_min, vcpus_max;      /* how many it makes use of; any more stay asleep */
	const char *cannot[GUEST_IRQCHIPS]; /* by IRQCHIP_*: why it cannot run there; NULL: it can */
	const char *image;                  /* the name of its source */
};

/* All of them, ended by one without a name. */
const struct guest *guests(void);

/* The guest of that name, or NULL. */
const struct guest *guest_find(const char *name);

/* Appends its image, which boot_request.image.contents wants; false without memory. */
bool guest_image(const struct guest *guest, struct buffer *ret);

#endif
