/*
 * One number for all of RAM, made of the checksums of its pages: the sum, over all pages that are not zero, of a mix of
 * the page's address and its CRC-32C.  It is kept up to date page by page, so that at the end of a migration both sides
 * know whether they mean the same RAM without reading it.
 */
#ifndef STASIS_SNAPSHOT_RAM_DIGEST_H
#define STASIS_SNAPSHOT_RAM_DIGEST_H

#include "vmm/memory.h"

struct ram_digest {
	struct memory_range ranges[MEMORY_REGIONS_MAX];
	uint32_t *crcs[MEMORY_REGIONS_MAX]; /* owned; of each page, xor that of a page of zeros */
	unsigned nr_ranges;
	uint32_t zero_crc;
	uint64_t sum;
};

/* Of RAM that is all zero.  The caller ends it with ram_digest_done(). */
int ram_digest_create(struct ram_digest *ret, const struct memory_range *ranges, unsigned nr_ranges, struct error *err);

/* Takes all zero. */
void ram_digest_done(struct ram_digest *digest);

/* A page of a region now holds this, or zeros.  True: what it held before has the same checksum. */
bool ram_digest_set(struct ram_digest *digest, unsigned region, uint64_t page, const uint8_t *data);
void ram_digest_set_zero(struct ram_digest *digest, unsigned region, uint64_t page);

/* The number, made from memory itself. */
uint64_t ram_digest_of(const struct memory *memory);

#endif
