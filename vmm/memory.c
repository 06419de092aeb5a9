#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bytes.h"
#include "io.h"
#include "pages.h"

static int add(struct memory *memory, const struct memory_range *range, int fd, bool owned, int flags, uint64_t offset,
	       struct error *err)
{
	assert(memory->nr_regions < MEMORY_REGIONS_MAX);
	void *hva = mmap(NULL, range->size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, fd, (off_t)offset);
	if (hva == MAP_FAILED)
		return error_errno(err, ERROR_SYSTEM, "guest memory at 0x%" PRIx64 ": mapping %" PRIu64 " bytes",
				   range->gpa, range->size);
	memory->regions[memory->nr_regions++] =
		(struct memory_region){ .range = *range, .hva = hva, .fd = owned ? fd : -1 };
	return 0;
}

int memory_add(struct memory *memory, const struct memory_range *range, struct error *err)
{
	int fd = memfd_create("stasis-ram", MFD_CLOEXEC);
	if (fd < 0)
		return error_errno(err, ERROR_SYSTEM, "guest memory at 0x%" PRIx64 ": memfd_create", range->gpa);
	int status = 0;
	if (ftruncate(fd, (off_t)range->size) < 0)
		status = error_errno(err, ERROR_SYSTEM, "guest memory at 0x%" PRIx64 ": reserving %" PRIu64 " bytes",
				     range->gpa, range->size);
	if (status == 0)
		status = add(memory, range, fd, true, MAP_SHARED, 0, err);
	if (status < 0)
		close(fd);
	return status;
}

int memory_add_copy(struct memory *memory, const struct memory_range *range, struct error *err)
{
	return add(memory, range, -1, false, MAP_PRIVATE | MAP_ANONYMOUS, 0, err);
}

int memory_add_file(struct memory *memory, const struct memory_range *range, const char *path, int fd, uint64_t offset,
		    struct error *err)
{
	int status = add(memory, range, fd, false, MAP_PRIVATE, offset, err);
	if (status < 0)
		return status;
	struct memory_region *region = &memory->regions[memory->nr_regions - 1];
	region->file = mapped_file_create(path, fd, region->hva, range->size, offset, NULL);
	if (region->file == NULL) {
		status = error_errno(err, ERROR_SYSTEM, "%s: keeping watch over what is mapped of it", path);
		munmap(region->hva, range->size);
		memory->nr_regions--;
	}
	return status;
}

/* What is mapped costs nothing until it is touched; where that would be too many mappings, the pages are read. */
static int overlay_run(struct memory_region *region, uint64_t start, uint64_t size, int fd, uint64_t offset)
{
	if (region->nr_overlays == MEMORY_OVERLAYS_MAX)
		return io_pread_full(fd, region->hva + start, size, offset + start) == (ssize_t)size ? 0 : -1;
	region->nr_overlays++;
	const void *at = mmap(region->hva + start, size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, (off_t)(offset + start));
	return at == MAP_FAILED ? -1 : 0; /* cppcheck-suppress memleak; it is part of the region from then on */
}

int memory_overlay_file(struct memory *memory, unsigned region, const struct pages *pages, const char *path, int fd,
			uint64_t offset, struct error *err)
{
	struct memory_region *target = &memory->regions[region];
	struct mapped_file *file = mapped_file_create(path, fd, target->hva, target->range.size, offset, target->file);
	if (file == NULL)
		return error_errno(err, ERROR_SYSTEM, "%s: keeping watch over what is mapped of it", path);
	target->file = file;
	for (uint64_t page = 0, nr; pages_next_run(pages, region, page, pages->nr_pages[region], &page, &nr);
	     page += nr)
		if (overlay_run(target, page * MEMORY_PAGE, nr * MEMORY_PAGE, fd, offset) < 0)
			return error_errno(err, ERROR_SYSTEM, "%s: mapping %" PRIu64 " pages of RAM at 0x%" PRIx64,
					   path, nr, target->range.gpa + page * MEMORY_PAGE);
	return 0;
}

int memory_add_ram(struct memory *memory, uint64_t size, struct error *err)
{
	if (size < MEMORY_RAM_MIN || size > MEMORY_RAM_MAX || size % MEMORY_PAGE != 0)
		return error_set(err, ERROR_USAGE,
				 "RAM of %" PRIu64 " bytes: expected whole 4 KiB pages, from 1 MiB to 1 TiB", size);
	struct memory_range low = { .gpa = 0, .size = size < MEMORY_LOW_MAX ? size : MEMORY_LOW_MAX };
	int status = memory_add(memory, &low, err);
	if (status == 0 && size > MEMORY_LOW_MAX) {
		struct memory_range high = { .gpa = MEMORY_HIGH_GPA, .size = size - MEMORY_LOW_MAX };
		status = memory_add(memory, &high, err);
	}
	return status;
}

int memory_check_ranges(const struct memory_range *ranges, unsigned nr_ranges, struct error *err)
{
	if (nr_ranges == 0 || nr_ranges > MEMORY_REGIONS_MAX)
		return error_set(err, ERROR_DATA, "%u memory regions: expected 1 to %u", nr_ranges, MEMORY_REGIONS_MAX);
	for (unsigned i = 0; i < nr_ranges; i++) {
		const struct memory_range *r = &ranges[i];
		if (r->size == 0 || (r->gpa | r->size) % MEMORY_PAGE != 0 || r->size > MEMORY_RAM_MAX ||
		    r->gpa > 2 * MEMORY_RAM_MAX)
			return error_set(err, ERROR_DATA,
					 "memory region %u at 0x%" PRIx64 " of 0x%" PRIx64
					 " bytes: expected whole pages, at most 1 TiB",
					 i, r->gpa, r->size);
		if ((r->flags & ~(uint32_t)MEMORY_ROM) != 0 || r->reserved != 0)
			return error_set(err, ERROR_DATA, "memory region %u at 0x%" PRIx64 ": unknown flags 0x%x", i,
					 r->gpa, r->flags);
		for (unsigned j = 0; j < i; j++)
			if (ranges_overlap(r->gpa, r->size, ranges[j].gpa, ranges[j].size))
				return error_set(err, ERROR_DATA,
						 "memory regions %u at 0x%" PRIx64 " and %u at 0x%" PRIx64 " overlap",
						 j, ranges[j].gpa, i, r->gpa);
	}
	return 0;
}

const struct memory_region *memory_region_at(const struct memory *memory, uint64_t gpa)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct memory_range *range = &memory->regions[i].range;
		if (gpa >= range->gpa && gpa - range->gpa < range->size)
			return &memory->regions[i];
	}
	return NULL;
}

const struct mapped_file *memory_file(const struct memory *memory)
{
	return memory->nr_regions > 0 ? memory->regions[0].file : NULL;
}

uint8_t *memory_at(const struct memory *memory, uint64_t gpa, uint64_t size)
{
	const struct memory_region *region = memory_region_at(memory, gpa);
	if (region == NULL || !range_is_inside(gpa - region->range.gpa, size, region->range.size))
		return NULL;
	return region->hva + (gpa - region->range.gpa);
}

static void mark_written(const struct memory_region *region, uint64_t offset, uint64_t size)
{
	if (region->written == NULL || size == 0)
		return;
	for (uint64_t page = offset / MEMORY_PAGE; page <= (offset + size - 1) / MEMORY_PAGE; page++)
		region->written[page / 64] |= 1ull << page % 64;
}

bool memory_write(const struct memory *memory, uint64_t gpa, const void *data, uint64_t size)
{
	const struct memory_region *region = memory_region_at(memory, gpa);
	uint8_t *at = memory_at(memory, gpa, size);
	if (at == NULL)
		return false;
	memcpy(at, data, size);
	mark_written(region, gpa - region->range.gpa, size);
	return true;
}

bool memory_read(const struct memory *memory, uint64_t gpa, void *ret, uint64_t size)
{
	const uint8_t *at = memory_at(memory, gpa, size);
	if (at == NULL)
		return false;
	memcpy(ret, at, size);
	return true;
}

bool memory_next_data(const struct memory_region *region, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	if (offset >= region->range.size)
		return false;
	uint64_t start = offset, end = region->range.size;
	if (region->fd >= 0 && !io_next_data(region->fd, offset, &start, &end))
		return false;
	*ret_start = start;
	*ret_end = end < region->range.size ? end : region->range.size;
	return true;
}

uint64_t memory_ram_low(const struct memory *memory)
{
	return memory->nr_regions > 0 ? memory->regions[0].range.size : 0;
}

uint64_t memory_ram_high(const struct memory *memory)
{
	for (unsigned i = 0; i < memory->nr_regions; i++)
		if (memory->regions[i].range.gpa == MEMORY_HIGH_GPA)
			return memory->regions[i].range.size;
	return 0;
}

void memory_done(struct memory *memory)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		mapped_file_free(memory->regions[i].file);
		munmap(memory->regions[i].hva, memory->regions[i].range.size);
		if (memory->regions[i].fd >= 0)
			close(memory->regions[i].fd);
	}
	*memory = (struct memory){ 0 };
}
