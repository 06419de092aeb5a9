#include "memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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

/*
 * A page by itself that is in the page cache is read in the time of mapping it, and then the guest has no fault there.
 * The read is not waited for, and its failure is no error: then the page is mapped as others are.
 */
static bool read_single(struct memory_region *region, uint64_t start, uint64_t size, int fd, uint64_t offset)
{
	if (size != MEMORY_PAGE || region->nr_singles == MEMORY_SINGLES_MAX ||
	    !io_pread_cached(fd, region->hva + start, size, offset + start))
		return false;
	region->nr_singles++;
	return true;
}

/* What is mapped costs nothing until it is touched; where that would be too many mappings, the pages are read. */
static int overlay_run(struct memory_region *region, uint64_t start, uint64_t size, int fd, uint64_t offset)
{
	if (read_single(region, start, size, fd, offset))
		return 0;
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

/* An entry of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_OF_FILE (1ull << 61)
#define PAGEMAP_AT_ONCE 512

/* A page of a private mapping that was written is no longer the file's. */
static bool is_own(uint64_t entry)
{
	return (entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0 && (entry & PAGEMAP_OF_FILE) == 0;
}

/* Reads the entries of nr pages; what cannot be told is our own. */
static void read_pagemap(int fd, const uint8_t *hva, uint64_t *ret_entries, size_t nr)
{
	uint64_t place = (uintptr_t)hva / MEMORY_PAGE * sizeof(*ret_entries);
	size_t size = nr * sizeof(*ret_entries);
	if (fd < 0 || io_pread_full(fd, ret_entries, size, place) != (ssize_t)size)
		for (size_t i = 0; i < nr; i++)
			ret_entries[i] = PAGEMAP_PRESENT;
}

/* The next run of pages that are our own, from offset on and before limit. */
static bool next_own(const struct memory_region *region, uint64_t offset, uint64_t limit, uint64_t *ret_start,
		     uint64_t *ret_end)
{
	uint64_t entries[PAGEMAP_AT_ONCE], start = limit, at = offset & ~(uint64_t)(MEMORY_PAGE - 1);
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	bool is_over = false;
	while (at < limit && !is_over) {
		uint64_t left = (limit - at + MEMORY_PAGE - 1) / MEMORY_PAGE;
		size_t nr = left < PAGEMAP_AT_ONCE ? (size_t)left : PAGEMAP_AT_ONCE;
		read_pagemap(fd, region->hva + at, entries, nr);
		for (size_t i = 0; i < nr && !is_over; i++) {
			if (is_own(entries[i]) && start == limit)
				start = at < offset ? offset : at;
			is_over = start < limit && !is_own(entries[i]);
			at += is_over ? 0 : MEMORY_PAGE;
		}
	}
	if (fd >= 0)
		close(fd);
	*ret_start = start;
	*ret_end = at;
	return start < limit;
}

/* Of a region that is mapped from files, each of which may have some of it. */
static bool next_mapped(const struct memory_region *region, uint64_t offset, uint64_t limit, uint64_t *ret_start,
			uint64_t *ret_end)
{
	uint64_t start = limit, end = limit, file_start, file_end;
	for (const struct mapped_file *file = region->file; file != NULL; file = mapped_file_below(file)) {
		if (!mapped_file_next_data(file, offset, &file_start, &file_end) || file_start >= start)
			continue;
		start = file_start < offset ? offset : file_start;
		end = file_end;
	}
	if (start > offset && next_own(region, offset, start, ret_start, ret_end))
		return true;
	*ret_start = start;
	*ret_end = end;
	return start < limit;
}

bool memory_next_data(const struct memory_region *region, uint64_t offset, uint64_t limit, uint64_t *ret_start,
		      uint64_t *ret_end)
{
	bool has_data = true;
	if (limit > region->range.size)
		limit = region->range.size;
	if (offset >= limit)
		return false;
	uint64_t start = offset, end = limit;
	if (region->fd >= 0)
		has_data = io_next_data(region->fd, offset, &start, &end) && start < limit;
	else if (region->file != NULL && mapped_file_shrunk(region->file) == NULL)
		has_data = next_mapped(region, offset, limit, &start, &end);
	if (!has_data)
		return false;
	*ret_start = start;
	*ret_end = end < limit ? end : limit;
	return true;
}

uint64_t memory_ram_low(const struct memory *memory)
{
	return memory->nr_regions > 0 ? memory->regions[0].range.size : 0;
}

uint64_t memory_size(const struct memory *memory)
{
	uint64_t size = 0;
	for (unsigned i = 0; i < memory->nr_regions; i++)
		size += memory->regions[i].range.size;
	return size;
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
