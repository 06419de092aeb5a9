#include "ram_digest.h"

#include <stdlib.h>

#include "crc32c.h"
#include "ram.h"
#include "vmm/bytes.h"

/* The finalizer of splitmix64: one bit of its argument changes half of the result's. */
static uint64_t mix(uint64_t gpa, uint32_t crc)
{
	uint64_t x = gpa / MEMORY_PAGE << 32 | crc;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static uint64_t part(uint64_t gpa, uint32_t crc_xor_zero)
{
	return crc_xor_zero != 0 ? mix(gpa, crc_xor_zero) : 0;
}

int ram_digest_create(struct ram_digest *ret, const struct memory_range *ranges, unsigned nr_ranges, struct error *err)
{
	struct ram_digest digest = { .nr_ranges = nr_ranges, .zero_crc = crc32c_of_zeros(0, MEMORY_PAGE) };
	for (unsigned i = 0; i < nr_ranges; i++) {
		digest.ranges[i] = ranges[i];
		digest.crcs[i] = calloc(ranges[i].size / MEMORY_PAGE, sizeof(uint32_t));
		if (digest.crcs[i] == NULL) {
			ram_digest_done(&digest);
			return error_set(err, ERROR_SYSTEM, "no memory for the checksums of %llu bytes of RAM",
					 (unsigned long long)ranges[i].size);
		}
	}
	*ret = digest;
	return 0;
}

void ram_digest_done(struct ram_digest *digest)
{
	for (unsigned i = 0; i < digest->nr_ranges; i++)
		free(digest->crcs[i]);
	*digest = (struct ram_digest){ 0 };
}

static bool set(struct ram_digest *digest, unsigned region, uint64_t page, uint32_t crc)
{
	uint64_t gpa = digest->ranges[region].gpa + page * MEMORY_PAGE;
	uint32_t *at = &digest->crcs[region][page];
	bool is_same = *at == crc;
	digest->sum += part(gpa, crc) - part(gpa, *at);
	*at = crc;
	return is_same;
}

bool ram_digest_set(struct ram_digest *digest, unsigned region, uint64_t page, const uint8_t *data)
{
	return set(digest, region, page, crc32c(0, data, MEMORY_PAGE) ^ digest->zero_crc);
}

void ram_digest_set_zero(struct ram_digest *digest, unsigned region, uint64_t page)
{
	set(digest, region, page, 0);
}

uint64_t ram_digest_of(const struct memory *memory)
{
	uint32_t zero_crc = crc32c_of_zeros(0, MEMORY_PAGE);
	uint64_t sum = 0, start, end;
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct memory_region *region = &memory->regions[i];
		for (uint64_t at = 0; memory_next_data(region, at, region->range.size, &start, &end); at = end) {
			start -= start % MEMORY_PAGE;
			end = align_up(end, MEMORY_PAGE);
			for (uint64_t page = start; page < end; page += MEMORY_PAGE)
				sum += part(region->range.gpa + page,
					    crc32c(0, region->hva + page, MEMORY_PAGE) ^ zero_crc);
		}
	}
	return sum;
}
