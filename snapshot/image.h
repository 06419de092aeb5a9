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
#include "vmm/pages.h"

#define IMAGE_SECTIONS_MAX (COMPONENTS_MAX * VM_VCPUS_MAX)
#define IMAGE_ID_SIZE      16
#define IMAGE_ID_TEXT      (2 * IMAGE_ID_SIZE + 1)

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
	struct buffer payload; /* owned, or borrowed: buffer_own() before it is changed */
};

struct image {
	struct image_header header;
	struct section *sections; /* owned; in the order of the file */
	size_t nr_sections;
	struct buffer state;         /* what stands in front of RAM in a file; the sections have borrowed from it */
	struct buffer ram_checksums; /* the file's (format.h); empty where the image did not come from a file */
	/* Of an incremental snapshot (header.parent_id is not zero); else empty. */
	struct buffer parent_name;   /* of the parent's file, not zero-terminated */
	struct buffer ram_pages;     /* what RAM this file has: format.h */
	char *parent_path;           /* where the parent was found, or NULL; owned */
	struct memory ram;           /* the file's, mapped privately; empty where RAM is still a machine's */
	const struct memory *memory; /* &ram, or the memory of the machine that the image was taken from */
};

/* Appends a section; its payload is copied. */
int image_add(struct image *image, const struct component *component, uint16_t instance, struct bytes payload,
	      struct error *err);

/* As image_add(); *payload becomes the image's, and empty. */
int image_give(struct image *image, const struct component *component, uint16_t instance, struct buffer *payload,
	       struct error *err);

/* The section of a component's instance, or NULL. */
const struct section *image_find(const struct image *image, const struct component *component, unsigned instance);
struct section *image_find_writable(struct image *image, const struct component *component, unsigned instance);
const struct section *image_find_named(const struct image *image, const char *component, unsigned instance);

/* CLOCK_REALTIME. */
uint64_t image_now_ns(void);

/*
 * The moment at which the guest's clocks were read, by CLOCK_REALTIME of the host that it ran on.  Snapshots of version
 * 0.1.0 have only created_ns, some milliseconds later.
 */
uint64_t image_moment_ns(const struct image *image);

/* An id in hexadecimal digits. */
void image_format_id(const uint8_t id[IMAGE_ID_SIZE], char ret[IMAGE_ID_TEXT]);

/* Is it a difference to another snapshot? */
bool image_is_incremental(const struct image *image);

/*
 * Makes the image a difference: to the snapshot of that id in the file of that name, with these pages of RAM.
 */
int image_set_parent(struct image *image, const uint8_t id[IMAGE_ID_SIZE], const char *name, const struct pages *pages,
		     struct error *err);

/* Makes the image a whole one again. */
void image_drop_parent(struct image *image);

/* The pages that the file of an incremental image has, over the machine's ranges.  The caller ends *ret. */
int image_pages(const struct image *image, struct pages *ret, struct error *err);

/* The checksums of all chunks of RAM in the file of the image, region by region; NULL where it has none. */
const uint32_t *image_ram_checksums(const struct image *image);

/* One more than the highest instance of any section: looking for others finds nothing. */
unsigned image_instances(const struct image *image);

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

/* As image_copy(), with payloads that are borrowed from the original. */
int image_borrow(const struct image *image, struct image *ret, struct error *err);

/* Frees sections and unmaps what is still in ram. */
void image_done(struct image *image);

#endif
