#include "ram.h"

#include <inttypes.h>

#include "crc32c.h"
#include "format.h"

uint64_t ram_chunks(uint64_t region_size)
{
	return (region_size + FORMAT_CHUNK - 1) / FORMAT_CHUNK;
}

uint64_t ram_chunk_size(uint64_t region_size, uint64_t chunk)
{
	uint64_t start = chunk * FORMAT_CHUNK, left = region_size - start;
	return left < FORMAT_CHUNK ? left : FORMAT_CHUNK;
}

int ram_check_chunk(const struct memory_range *range, uint64_t chunk, uint32_t crc, uint32_t expected,
		    struct error *err)
{
	uint64_t gpa = range->gpa + chunk * FORMAT_CHUNK;
	if (crc == expected)
		return 0;
	return error_set(err, ERROR_DATA, "damaged: RAM 0x%" PRIx64 "-0x%" PRIx64 ", checksum 0x%08x, expected 0x%08x",
			 gpa, gpa + ram_chunk_size(range->size, chunk) - 1, crc, expected);
}

/* A run of pages that is being collected. */
struct run {
	int (*visit)(const struct memory_region *region, uint64_t offset, uint64_t size, void *context);
	void *context;
	uint64_t start, size;
};

static int run_end(struct run *run, const struct memory_region *region)
{
	int result = run->size > 0 && run->visit != NULL ? run->visit(region, run->start, run->size, run->context) : 0;
	run->size = 0;
	return result;
}

static int run_page(struct run *run, const struct memory_region *region, uint64_t offset)
{
	int result = 0;
	if (bytes_are_zero(region->hva + offset, MEMORY_PAGE))
		return run_end(run, region);
	if (run->size == 0 || run->start + run->size != offset) {
		result = run_end(run, region);
		run->start = offset;
	}
	run->size += MEMORY_PAGE;
	return result;
}

int ram_visit_chunk(const struct memory_region *region, uint64_t chunk,
		    int (*visit)(const struct memory_region *region, uint64_t offset, uint64_t size, void *context),
		    void *context, uint32_t *ret_crc)
{
	struct run run = { .visit = visit, .context = context };
	uint64_t at = chunk * FORMAT_CHUNK, end = at + ram_chunk_size(region->range.size, chunk);
	uint64_t data, data_end;
	uint32_t crc = 0;
	int result = 0;
	while (at < end && result == 0) {
		if (!memory_next_data(region, at, end, &data, &data_end))
			data = data_end = end;
		if (ret_crc != NULL)
			crc = crc32c(crc32c_of_zeros(crc, data - at), region->hva + data, data_end - data);
		for (at = data; at < data_end && result == 0; at += MEMORY_PAGE)
			result = run_page(&run, region, at);
	}
	if (result == 0)
		result = run_end(&run, region);
	if (ret_crc != NULL)
		*ret_crc = crc;
	return result;
}

void ram_add_data(const struct memory *memory, unsigned region, uint64_t page, uint64_t nr, struct pages *pages)
{
	uint64_t at = page * MEMORY_PAGE, end = (page + nr) * MEMORY_PAGE, data, data_end;
	while (memory_next_data(&memory->regions[region], at, end, &data, &data_end)) {
		at = data_end < end ? align_up(data_end, MEMORY_PAGE) : end;
		pages_add(pages, region, data / MEMORY_PAGE, at / MEMORY_PAGE - data / MEMORY_PAGE);
	}
}

void ram_add_file_data(const struct memory *memory, struct pages *pages)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct memory_region *region = &memory->regions[i];
		const struct mapped_file *file = region->file;
		if (file == NULL) /* it was read from a stream */
			ram_add_data(memory, i, 0, pages->nr_pages[i], pages);
		for (; file != NULL; file = mapped_file_below(file)) {
			uint64_t start, end = 0;
			while (mapped_file_next_data(file, end, &start, &end))
				pages_add(pages, i, start / MEMORY_PAGE, end / MEMORY_PAGE - start / MEMORY_PAGE);
		}
	}
}
