/*
 * The layout of a snapshot on disk and in a stream; docs/FORMAT.md is its description for readers in other languages.
 * All numbers are little-endian.  This is the one place for these structs.
 *
 *   header | section table | state sections ... | RAM
 *
 * State sections follow each other at multiples of FORMAT_ALIGNMENT; the bytes between them are zero.  In a file, RAM
 * sections come last, one for each region, at multiples of a page, so that they can be mapped; pages of zeros are
 * holes. In a stream (form FORMAT_STREAM), page records take the place of the RAM sections.
 */
#ifndef STASIS_SNAPSHOT_FORMAT_H
#define STASIS_SNAPSHOT_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"

/* As in PNG: a byte that is not ASCII, a name, and line ends that a text-mode copy would change. */
#define FORMAT_MAGIC      "\x89STA\r\n\x1a\n"
#define FORMAT_MAGIC_SIZE 8
#define FORMAT_VERSION    1
#define FORMAT_ALIGNMENT  16
#define FORMAT_STATE_MAX  (64u << 20) /* bytes of header, table and state sections */
/* Of all of it: offsets cannot wrap. */
#define FORMAT_SIZE_MAX (FORMAT_STATE_MAX + MEMORY_REGIONS_MAX * MEMORY_RAM_MAX)

enum format_form { FORMAT_FILE = 1, FORMAT_STREAM = 2 };

struct format_header {
	uint8_t magic[FORMAT_MAGIC_SIZE];
	uint32_t version;     /* FORMAT_VERSION */
	uint32_t header_size; /* sizeof(struct format_header); the table follows */
	uint32_t form;
	uint32_t nr_sections;
	uint64_t size; /* of the whole file; of a stream: up to its first page record */
	struct image_header image;
	uint8_t reserved[8];
	uint32_t table_crc;  /* CRC-32C of the table */
	uint32_t header_crc; /* CRC-32C of all bytes before it */
};

struct format_section {
	uint16_t component, instance, version, reserved;
	uint64_t offset, length;
	uint32_t crc; /* of the payload; 0 for a RAM section, which "ram-checksums" covers */
	uint32_t reserved2;
};

/* Is it a section of RAM, not of state? */
bool format_is_ram(const struct format_section *entry);

/*
 * RAM is checked by chunks: the section "ram-checksums" has the CRC-32C of each FORMAT_CHUNK bytes of each region, in
 * order, 4 bytes each; the last chunk of a region may be shorter.  It belongs to the file, not to the machine, so it is
 * no row of the component table.
 */
#define FORMAT_CHUNK         (1u << 20)
#define FORMAT_RAM_CHECKSUMS 0xff01 /* component id */

/*
 * An incremental snapshot has the pages that were written since its parent, at their places in its RAM sections, and
 * two sections more: "parent" is the name of the parent's file, as it stands in the snapshot's own folder, or from the
 * root on; "ram-pages" tells which pages there are: struct pages, the words of one region behind those of the other.
 */
#define FORMAT_PARENT          0xff02
#define FORMAT_RAM_PAGES       0xff03
#define FORMAT_PARENT_NAME_MAX 4095u /* bytes */

/* Sections of the file and not of the machine, in the order in which they stand behind the state. */
struct format_frame {
	const char *name;
	uint16_t id, version;
	size_t offset; /* of the struct buffer in struct image that has its payload */
};

#define FORMAT_FRAMES 3
extern const struct format_frame format_frames[FORMAT_FRAMES];

/* NULL: it is none. */
const struct format_frame *format_frame_by_id(uint16_t id);

/* The payload of a frame section in an image. */
const struct buffer *format_frame_payload(const struct format_frame *frame, const struct image *image);

/*
 * Versions of a RAM section: in the second, RAM starts at any multiple of a page behind the state, so that a writer can
 * begin with RAM before it knows how long the state will be.
 */
#define FORMAT_RAM_VERSION        1
#define FORMAT_RAM_PLACED_VERSION 2

/* A page record of a stream: so many bytes of RAM at gpa follow.  The last record has no bytes. */
struct format_pages {
	uint64_t gpa;
	uint32_t length; /* a multiple of a page, at most FORMAT_CHUNK; 0: the end */
	uint32_t crc;    /* of the members above and the bytes that follow */
};

#endif
