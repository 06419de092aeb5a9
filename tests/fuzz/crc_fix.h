/* Checksums and places made right again, so that fuzzing gets behind them. */
#ifndef STASIS_TESTS_FUZZ_CRC_FIX_H
#define STASIS_TESTS_FUZZ_CRC_FIX_H

#include <stddef.h>
#include <string.h>

#include "snapshot/crc32c.h"
#include "snapshot/format.h"
#include "vmm/bytes.h"

/* The first byte of the target snapshot's input. */
enum fuzz_snapshot_flags {
	FUZZ_IS_PIPE = 1,    /* it cannot be mapped */
	FUZZ_FIX_CRCS = 2,   /* checksums are made right */
	FUZZ_FIX_PLACES = 4, /* and so are the sections' places */
	FUZZ_COPY = 8,       /* RAM of a file is read, not mapped */
	FUZZ_SHOW = 16,      /* what was read is shown and compared, which takes most of the time */
};

/* Of a page record and size bytes of its pages. */
static inline uint32_t fuzz_record_crc(const struct format_pages *record, const void *pages, size_t size)
{
	return crc32c(crc32c(0, record, offsetof(struct format_pages, crc)), pages, size);
}

/* Of the sections that are all there, the table and the header.  Nothing but lengths that fit is believed. */
static inline void fuzz_fix_crcs(uint8_t *file, size_t size)
{
	struct format_header header;
	if (size < sizeof(header))
		return;
	memcpy(&header, file, sizeof(header));
	uint64_t table_size = (uint64_t)header.nr_sections * sizeof(struct format_section);
	if (range_is_inside(sizeof(header), table_size, size)) {
		for (uint64_t at = sizeof(header); at < sizeof(header) + table_size;
		     at += sizeof(struct format_section)) {
			struct format_section entry;
			memcpy(&entry, file + at, sizeof(entry));
			const struct component *component = component_by_id(entry.component);
			bool is_ram = component != NULL && component->shape == COMPONENT_RAM;
			if (!is_ram && range_is_inside(entry.offset, entry.length, size))
				entry.crc = crc32c(0, file + entry.offset, entry.length);
			memcpy(file + at, &entry, sizeof(entry));
		}
		header.table_crc = crc32c(0, file + sizeof(header), table_size);
	}
	header.header_crc = crc32c(0, &header, offsetof(struct format_header, header_crc));
	memcpy(file, &header, sizeof(header));
}

/* Puts the sections where their lengths ask for, and says so in table and header.  Bytes are not moved. */
static inline void fuzz_fix_places(uint8_t *file, size_t size)
{
	struct format_header header;
	if (size < sizeof(header))
		return;
	memcpy(&header, file, sizeof(header));
	uint64_t end = sizeof(header) + (uint64_t)header.nr_sections * sizeof(struct format_section);
	if (end > size)
		return;
	for (uint64_t at = sizeof(header), table_end = end; at < table_end; at += sizeof(struct format_section)) {
		struct format_section entry;
		memcpy(&entry, file + at, sizeof(entry));
		const struct component *component = component_by_id(entry.component);
		bool is_ram = component != NULL && component->shape == COMPONENT_RAM;
		entry.offset = align_up(end, is_ram ? MEMORY_PAGE : FORMAT_ALIGNMENT);
		end = entry.offset + entry.length;
		memcpy(file + at, &entry, sizeof(entry));
	}
	header.size = end;
	memcpy(file, &header, sizeof(header));
}

#endif
