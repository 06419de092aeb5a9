/*
 * An image for people: every component, every field, with its bits decoded.
 */
#ifndef STASIS_SNAPSHOT_INSPECT_H
#define STASIS_SNAPSHOT_INSPECT_H

#include "image.h"

/* One line of state. */
struct inspect_line {
	const char *where, *component; /* "vcpu0", "sregs" */
	const char *name;              /* "cs.base", "IA32_LSTAR (0xc0000082)" */
	char id[24];                   /* of a register: its ONE_REG id, "0x20300002c0000082"; else empty */
	char value[80];
	char bits[256];   /* decoded; empty where there are none */
	const char *note; /* why it is volatile, or that it is unknown; NULL: neither */
};

/*
 * Calls visit for each field of each component whose name is filter, or each register of that name (any case); for all
 * where filter is NULL.  Padding is left out while it is zero.  Returns how many lines there were.
 */
size_t inspect_image(const struct image *image, const char *filter,
		     void (*visit)(const struct inspect_line *line, void *context), void *context);

/* Calls visit for each section whose component is called filter (any case), or for all where filter is NULL. */
void inspect_sections(const struct image *image, const char *filter,
		      void (*visit)(const char *where, const struct section *section, void *context), void *context);

#endif
