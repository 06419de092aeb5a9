/*
 * The guest's physical memory: regions of host memory, one KVM slot each, and the one checked way to them.
 * RAM is split at 3 GiB, so that the space below 4 GiB stays free for the APICs and PCI.
 */
#ifndef STASIS_VMM_MEMORY_H
#define STASIS_VMM_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "mapped_file.h"

#define MEMORY_REGIONS_MAX  4
#define MEMORY_PAGE         4096u
#define MEMORY_LOW_MAX      0xc0000000ull  /* RAM from 0 goes at most up to here */
#define MEMORY_HIGH_GPA     0x100000000ull /* and goes on here */
#define MEMORY_RAM_MIN      (1ull << 20)
#define MEMORY_RAM_MAX      (1ull << 40)
#define MEMORY_OVERLAYS_MAX 8192 /* runs of pages of one region; each splits a mapping (vm.max_map_count: 65530) */
#define MEMORY_SINGLES_MAX  1024 /* such runs of one page that are read instead: 4 MiB that clones do not share */
#define MEMORY_ROM_MAX      (16ull << 20) /* a ROM ends at 4 GiB and stays clear of the APICs at 0xfec00000 */

enum memory_flags {
	MEMORY_ROM = 1, /* the guest may read and execute, not write */
};

/* Where a region lies; part of a snapshot. */
struct memory_range {
	uint64_t gpa, size; /* bytes, whole pages */
	uint32_t flags, reserved;
};

struct pages; /* pages.h */

struct memory_region {
	struct memory_range range;
	uint8_t *hva;             /* mapped by memory_*, unmapped by memory_done() */
	int fd;                   /* the memfd behind it, or -1 where it is mapped from a snapshot */
	struct mapped_file *file; /* the snapshot that it is mapped from, the last overlay first, or NULL; owned */
	unsigned nr_overlays;     /* runs of pages that are mapped from other files than the rest */
	unsigned nr_singles;      /* single pages of such files that were read instead */
	uint64_t *written;        /* a bit a page, which memory_write() sets (dirty.h), or NULL */
};

struct memory {
	struct memory_region regions[MEMORY_REGIONS_MAX];
	unsigned nr_regions;
};

/* Adds a region of zero bytes, backed by a memfd and taken from the host page by page as it is touched. */
int memory_add(struct memory *memory, const struct memory_range *range, struct error *err);

/* Likewise, of anonymous memory: for copies, which no file stands behind. */
int memory_add_copy(struct memory *memory, const struct memory_range *range, struct error *err);

/* Adds a region that is a private, copy-on-write view of the file at path, open as fd, from offset (whole pages) on. */
int memory_add_file(struct memory *memory, const struct memory_range *range, const char *path, int fd, uint64_t offset,
		    struct error *err);

/*
 * Lays pages of another file over a region that memory_add_file() added: those of the set, which stand in the file at
 * offset plus their place in the region.  The region then belongs to both files.  Most are mapped; a page by itself
 * that is in the page cache is read, for that takes no longer.
 */
int memory_overlay_file(struct memory *memory, unsigned region, const struct pages *pages, const char *path, int fd,
			uint64_t offset, struct error *err);

/* Adds size bytes of RAM: one region, or two around the hole below 4 GiB. */
int memory_add_ram(struct memory *memory, uint64_t size, struct error *err);

/* Are the ranges whole pages, inside what KVM can map, and apart from each other?  Errors name the range. */
int memory_check_ranges(const struct memory_range *ranges, unsigned nr_ranges, struct error *err);

/* The region that has gpa, or NULL. */
const struct memory_region *memory_region_at(const struct memory *memory, uint64_t gpa);

/* The file that memory is mapped from, or NULL where there is none. */
const struct mapped_file *memory_file(const struct memory *memory);

/*
 * The bytes [gpa, gpa + size) of the guest, or NULL where they are not all inside one region.
 * The only way from a guest address to a host address.
 */
uint8_t *memory_at(const struct memory *memory, uint64_t gpa, uint64_t size);

/* Copies to and from the guest; false, and nothing done, where the range is not all memory. */
bool memory_write(const struct memory *memory, uint64_t gpa, const void *data, uint64_t size);
bool memory_read(const struct memory *memory, uint64_t gpa, void *ret, uint64_t size);

/*
 * The next stretch of a region, from offset on and before limit (whole pages), that may hold anything but zeros:
 * *ret_start and *ret_end are offsets in the region.  False where there is none.  What it leaves out was never touched,
 * and reading it would take memory.
 *
 * Of a region that is mapped from files, that is what they have, and the pages that are this process's own, which
 * /proc/self/pagemap tells.
 */
bool memory_next_data(const struct memory_region *region, uint64_t offset, uint64_t limit, uint64_t *ret_start,
		      uint64_t *ret_end);

/* Bytes of all regions. */
uint64_t memory_size(const struct memory *memory);

/* Bytes of RAM (not ROM) below and above 4 GiB. */
uint64_t memory_ram_low(const struct memory *memory);
uint64_t memory_ram_high(const struct memory *memory);

void memory_done(struct memory *memory);

#endif
