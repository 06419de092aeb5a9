/*
 * RAM by chunks: which pages hold anything, and the checksum of each chunk.
 */
#ifndef STASIS_SNAPSHOT_RAM_H
#define STASIS_SNAPSHOT_RAM_H

#include <stdint.h>

#include "vmm/memory.h"
#include "vmm/pages.h"

/* How many chunks (format.h) a region has, the last of which may be short. */
uint64_t ram_chunks(uint64_t region_size);

/* Bytes of chunk number chunk of a region. */
uint64_t ram_chunk_size(uint64_t region_size, uint64_t chunk);

/* Is the checksum of a chunk of the region what it should be?  ERROR_DATA names the range. */
int ram_check_chunk(const struct memory_range *range, uint64_t chunk, uint32_t crc, uint32_t expected,
		    struct error *err);

/*
 * Calls visit for each run of pages of the chunk that are not all zero, in ascending order, until it returns non-zero;
 * returns that value, or 0.  offset is in the region.  *ret_crc, where it is not NULL, gets the CRC-32C of the whole
 * chunk.
 */
int ram_visit_chunk(const struct memory_region *region, uint64_t chunk,
		    int (*visit)(const struct memory_region *region, uint64_t offset, uint64_t size, void *context),
		    void *context, uint32_t *ret_crc);

/* Adds those pages in [page, page + nr) of a region that may hold anything but zeros (memory_next_data()). */
void ram_add_data(const struct memory *memory, unsigned region, uint64_t page, uint64_t nr, struct pages *pages);

/* Adds all pages that the files which memory is mapped from have data for.  Nobody must have written to it. */
void ram_add_file_data(const struct memory *memory, struct pages *pages);

#endif
