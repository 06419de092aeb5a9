/*
 * Where everything goes in a snapshot file or stream, and the bytes in front of RAM.
 */
#ifndef STASIS_SNAPSHOT_FILE_LAYOUT_H
#define STASIS_SNAPSHOT_FILE_LAYOUT_H

#include "format.h"
#include "image.h"

struct layout {
	enum format_form form;
	uint32_t nr_sections;
	uint64_t state_size; /* header, table and state sections */
	uint64_t ram_offset; /* of the first RAM section */
	uint64_t size;
	struct format_section table[IMAGE_SECTIONS_MAX + FORMAT_FRAMES + MEMORY_REGIONS_MAX];
	struct bytes payloads[IMAGE_SECTIONS_MAX + FORMAT_FRAMES]; /* of the sections in front of RAM; the image's */
};

/* How many bytes the section ram-checksums has. */
uint64_t layout_checksums_size(const struct memory *memory);

/*
 * An upper bound of the offset at which RAM can start in a file of this machine: header, table, and all state that it
 * can have, incremental or not.
 */
uint64_t layout_ram_offset_max(const struct machine *machine, const struct memory *memory);

/*
 * Lays out the image, which must not change before layout_serialize().  ram_offset is where RAM is to start, or 0:
 * right behind the state.  A stream has no RAM sections.  In a file, the image must have its ram_checksums, of the
 * right size.
 */
int layout_make(struct layout *ret, const struct image *image, enum format_form form, uint64_t ram_offset,
		struct error *err);

/* The bytes in front of RAM, with their checksums. */
int layout_serialize(struct layout *layout, const struct image *image, struct buffer *ret, struct error *err);

#endif
