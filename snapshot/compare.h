/*
 * Two images, field by field, by name.
 */
#ifndef STASIS_SNAPSHOT_COMPARE_H
#define STASIS_SNAPSHOT_COMPARE_H

#include "image.h"
#include "report.h"

/* The values of a finding about something that only one of the two has. */
#define COMPARE_PRESENT "present"
#define COMPARE_ABSENT  "absent"

struct compare_options {
	uint8_t stages;   /* bits 1 << STAGE_*: only what is put at these; 0: all */
	bool with_ram;    /* the pages too */
	bool no_volatile; /* differences of volatile fields are left out */
	/* Is a difference of this component and name (without the part in brackets) let through?  NULL: none is. */
	bool (*is_allowed)(void *context, const char *component, const char *name);
	void *context;
};

/*
 * Adds the differences to the report: first those that matter, then the volatile ones, each in the order of the
 * component table.  left is a's value, right b's.
 */
void compare_images(const struct image *a, const struct image *b, const struct compare_options *options,
		    struct report *report);

#endif
