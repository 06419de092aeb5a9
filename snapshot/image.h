/*
 * A snapshot in memory: what it is (header), its sections, and the RAM that belongs to it.  Taken from a machine by
 * save.h, from a file or stream by file.h; compared, inspected, checked, restored without knowing where it came from.
 * A section's payload is byte for byte what stands in the file.
 */
#ifndef STASIS_SNAPSHOT_IMAGE_H
#define STASIS_SNAPSHOT_IMAGE_H

#include <stdint.h>

#include "component.h"
#include "vmm/bytes.h"
#include "vmm/memory.h"

#define IMAGE_SECTIONS_MAX (COMPONENTS_MAX * VM_VCPUS_MAX)
#define IMAGE_ID_SIZE      16

/* Where a snapshot comes from: for people and for check. */
struct image_header {
	uint8_t id[IMAGE_ID_SIZE];        /* random */
	uint8_t parent_id[IMAGE_ID_SIZE]; /* of the snapshot that this one is a difference to; zero: it is whole */
	uint64_t created_ns;              /* CLOCK_REALTIME */
	char writer[32];                  /* "stasis 0.1.0" */
	char kernel[96];                  /* "Linux 6.18.44" */
	char cpu_vendor[16];              /* "AuthenticAMD" */
	char cpu_brand[64];
};

struct section {
	const struct component *component;
	uint16_t instance;
	uint64_t offset;       /* in the file or stream that it was read from; 0: it was not */
	struct buffer payload; /* owned */
};

struct image {
	struct image_header header;
	struct section *sections; /* owned; in the order of the file */
	size_t nr_sections;
	struct buffer ram_checksums; /* the file's (format.h); empty where the image did not come from a file */
	struct memory ram;           /* the file's, mapped privately; empty where RAM is still a machine's */
	const struct memory *memory; /* &ram, or the memory of the machine that the image was taken from */
};

/* Appends a section; its payload is copied. */
int image_add(struct image *image, const struct component *component, uint16_t instance, struct bytes payload,
	      struct error *err);

/* The section of a component's instance, or NULL. */
const struct section *image_find(const struct image *image, const struct component *component, unsigned instance);
const struct section *image_find_named(const struct image *image, const char *component, unsigned instance);

/* What the machine is.  An image that was read or taken always has one. */
const struct machine *image_machine(const struct image *image);

/* The CPUID of a vCPU as a table; false where the image has none. */
bool image_cpuid(const struct image *image, unsigned vcpu, struct cpuid *ret);

/*
 * Is every section that the machine needs there once, nothing that it cannot have, every payload valid?
 * Errors name the component.
 */
int image_validate(const struct image *image, struct error *err);

/* A copy of header and sections; its memory is the original's. */
int image_copy(const struct image *image, struct image *ret, struct error *err);

/* Frees sections and unmaps what is still in ram. */
void image_done(struct image *image);

#endif
