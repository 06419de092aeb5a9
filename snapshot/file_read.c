#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
#include "file_link.h"
#include "ram.h"
#include "vmm/io.h"

static int source_go(struct source *source, uint64_t offset, struct error *err)
{
	if (lseek(source->fd, (off_t)offset, SEEK_SET) < 0)
		return error_errno(err, ERROR_IO, "%s: going to offset %" PRIu64, source->name, offset);
	source->offset = offset;
	return 0;
}

static int skip_zeros(struct source *source, uint64_t offset, struct error *err)
{
	uint8_t bytes[MEMORY_PAGE];
	/* Where state ends early, the pages up to RAM are a hole. */
	uint64_t page = align_up(source->offset, MEMORY_PAGE);
	if (source->is_file && page < offset && io_is_hole(source->fd, page, offset - page)) {
		int status = source_go(source, source->offset, err);
		if (status == 0 && page > source->offset)
			status = skip_zeros(source, page, err);
		return status == 0 ? source_go(source, offset, err) : status;
	}
	while (source->offset < offset) {
		uint64_t left = offset - source->offset;
		size_t size = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
		int status = source_read(source, bytes, size, "what lies in front of RAM", err);
		if (status < 0)
			return status;
		if (!bytes_are_zero(bytes, size))
			return error_set(err, ERROR_DATA, "%s: damaged: the bytes in front of RAM are not zero",
					 source->name);
	}
	return 0;
}

/* Pages of zeros are not kept. */
static void keep_pages(struct memory *memory, uint64_t gpa, const uint8_t *data, size_t size)
{
	for (size_t at = 0; at < size; at += MEMORY_PAGE)
		if (!bytes_are_zero(data + at, MEMORY_PAGE))
			memory_write(memory, gpa + at, data + at, MEMORY_PAGE);
}

/* Reads a chunk through data, or steps over it where it is a hole: reading that would fill the page cache with zeros.
 */
static int read_chunk(struct source *source, const struct memory_range *range, uint64_t chunk, uint8_t *data,
		      struct memory *memory, uint32_t *ret_crc, struct error *err)
{
	size_t size = (size_t)ram_chunk_size(range->size, chunk);
	if (source->is_file) {
		bool is_hole = io_is_hole(source->fd, source->offset, size);
		int status = source_go(source, source->offset + (is_hole ? size : 0), err);
		if (status < 0)
			return status;
		if (is_hole) {
			*ret_crc = crc32c_of_zeros(0, size);
			return 0;
		}
	}
	int status = source_read(source, data, size, "RAM", err);
	if (status < 0)
		return status;
	*ret_crc = crc32c(0, data, size);
	keep_pages(memory, range->gpa + chunk * FORMAT_CHUNK, data, size);
	return 0;
}

/* RAM of a file that comes through a pipe, or is not to be mapped: all of it is read and checked. */
static int read_ram_section(struct source *source, const struct memory_range *range, const uint32_t *expected,
			    struct memory *memory, struct error *err)
{
	int status = memory_add(memory, range, err);
	uint8_t *data = malloc(ram_chunk_size(range->size, 0));
	uint32_t crc = 0;
	if (status == 0 && data == NULL)
		status = error_set(err, ERROR_SYSTEM, "%s: no memory for a chunk of RAM", source->name);
	for (uint64_t chunk = 0; chunk < ram_chunks(range->size) && status == 0; chunk++) {
		status = read_chunk(source, range, chunk, data, memory, &crc, err);
		if (status == 0 && ram_check_chunk(range, chunk, crc, expected[chunk], err) < 0)
			status = error_prefix(err, "%s", source->name);
	}
	free(data);
	return status;
}

/* Takes the pages of own, of those that the file has, out of a chunk that was read. */
static void keep_own(struct memory *memory, const struct pages *own, unsigned region, uint64_t first_page,
		     const uint8_t *data, size_t size)
{
	uint8_t *target = memory->regions[region].hva;
	for (uint64_t page = first_page, nr, end = page + size / MEMORY_PAGE;
	     pages_next_run(own, region, page, end, &page, &nr); page += nr)
		memcpy(target + page * MEMORY_PAGE, data + (page - first_page) * MEMORY_PAGE, nr * MEMORY_PAGE);
}

/* As read_ram_section(), of a difference, over memory that is there.  Chunks of which it has nothing are left out. */
static int read_ram_difference(struct source *source, unsigned region, const struct memory_range *range,
			       const uint32_t *expected, const struct pages *pages, const struct pages *own,
			       struct memory *memory, struct error *err)
{
	uint64_t start = source->offset, found, nr;
	uint8_t *data = malloc(ram_chunk_size(range->size, 0));
	int status = data != NULL ? 0 : error_set(err, ERROR_SYSTEM, "%s: no memory for a chunk of RAM", source->name);
	for (uint64_t chunk = 0; chunk < ram_chunks(range->size) && status == 0; chunk++) {
		size_t size = (size_t)ram_chunk_size(range->size, chunk);
		uint64_t page = chunk * (FORMAT_CHUNK / MEMORY_PAGE);
		if (!pages_next_run(pages, region, page, page + size / MEMORY_PAGE, &found, &nr))
			continue;
		status = source_go(source, start + chunk * FORMAT_CHUNK, err);
		if (status == 0)
			status = source_read(source, data, size, "RAM", err);
		if (status == 0 && ram_check_chunk(range, chunk, crc32c(0, data, size), expected[chunk], err) < 0)
			status = error_prefix(err, "%s", source->name);
		if (status == 0)
			keep_own(memory, own, region, page, data, size);
	}
	free(data);
	return status;
}

/* What of a snapshot's RAM is taken: all that it has, and that part of it which no later snapshot has. */
struct share {
	const struct pages *pages, *own; /* NULL: all of it */
};

static int place_region(struct link *link, const struct share *share, const struct format_section *entry,
			unsigned region, const uint32_t *checksums, struct memory *memory, struct error *err)
{
	struct source *source = &link->source;
	const struct memory_range *range = &image_machine(&link->image)->ranges[region];
	int status = skip_zeros(source, entry->offset, err);
	if (status < 0)
		return status;
	if (share->pages != NULL && source->can_map)
		status = memory_overlay_file(memory, region, share->own, source->name, source->fd, entry->offset, err);
	else if (share->pages != NULL)
		status = read_ram_difference(source, region, range, checksums, share->pages, share->own, memory, err);
	else if (source->can_map)
		status = memory_add_file(memory, range, source->name, source->fd, entry->offset, err);
	else
		status = read_ram_section(source, range, checksums, memory, err);
	if (source->is_file)
		source->offset = entry->offset + entry->length;
	return status;
}

/* Every region has one RAM section, in order. */
static int check_ram_sections(const struct link *link, struct error *err)
{
	const struct machine *machine = image_machine(&link->image);
	unsigned nr_regions = 0;
	for (uint32_t i = 0; i < link->header.nr_sections; i++) {
		const struct format_section *entry = &link->table[i];
		if (!format_is_ram(entry))
			continue;
		if (nr_regions >= machine->nr_ranges || entry->instance != nr_regions ||
		    entry->length != machine->ranges[nr_regions].size)
			return error_set(err, ERROR_DATA,
					 "%s: RAM section %u of %" PRIu64 " bytes does not belong to this machine",
					 link->source.name, entry->instance, entry->length);
		nr_regions++;
	}
	if (nr_regions != machine->nr_ranges)
		return error_set(err, ERROR_DATA, "%s: %u RAM sections, expected %u", link->source.name, nr_regions,
				 machine->nr_ranges);
	return 0;
}

static int place_ram(struct link *link, const struct share *share, struct memory *memory, struct error *err)
{
	const uint32_t *checksums = image_ram_checksums(&link->image);
	unsigned region = 0;
	int status = check_ram_sections(link, err);
	assert(checksums != NULL); /* check_checksums() */
	for (uint32_t i = 0; i < link->header.nr_sections && status == 0; i++) {
		if (!format_is_ram(&link->table[i]))
			continue;
		status = place_region(link, share, &link->table[i], region++, checksums, memory, err);
		checksums += ram_chunks(link->table[i].length);
	}
	return status;
}

/*
 * Lays the differences from number i on over the whole snapshot, the oldest first.  Of each it takes what no later one
 * has, which is what hidden says.
 */
static int place_differences(struct chain *chain, unsigned i, struct pages *hidden, struct memory *memory,
			     struct error *err)
{
	struct pages pages = { 0 }, own = { 0 };
	if (i + 1 == chain->nr)
		return 0;
	int status = image_pages(&chain->links[i].image, &pages, err);
	if (status == 0)
		status = image_pages(&chain->links[i].image, &own, err);
	if (status == 0) {
		pages_subtract(&own, hidden);
		pages_unite(hidden, &pages);
		status = place_differences(chain, i + 1, hidden, memory, err);
	}
	if (status == 0)
		status = place_ram(&chain->links[i], &(struct share){ &pages, &own }, memory, err);
	pages_done(&pages);
	pages_done(&own);
	return status;
}

/* RAM of a file: that of the whole snapshot at the chain's end, with the differences over it. */
static int read_ram_of_chain(struct chain *chain, struct memory *memory, struct error *err)
{
	struct link *whole = &chain->links[chain->nr - 1];
	const struct machine *machine = image_machine(&whole->image);
	struct pages hidden = { 0 };
	int status = place_ram(whole, &(struct share){ 0 }, memory, err);
	if (status == 0 && chain->nr > 1)
		status = pages_create(&hidden, machine->ranges, machine->nr_ranges, err);
	if (status == 0 && chain->nr > 1)
		status = place_differences(chain, 0, &hidden, memory, err);
	pages_done(&hidden);
	return status;
}

static int read_record(struct source *source, struct memory *memory, bool *ret_end, struct error *err)
{
	struct format_pages record;
	uint64_t offset = source->offset;
	int status = source_read(source, &record, sizeof(record), "a page record", err);
	if (status < 0)
		return status;
	uint8_t *at = memory_at(memory, record.gpa, record.length);
	if (record.length > FORMAT_CHUNK || (record.gpa | record.length) % MEMORY_PAGE != 0 || at == NULL)
		return error_set(err, ERROR_DATA,
				 "%s: page record at offset %" PRIu64 ": %u bytes at 0x%" PRIx64
				 " are not RAM of this machine",
				 source->name, offset, record.length, record.gpa);
	status = source_read(source, at, record.length, "pages", err);
	if (status < 0)
		return status;
	uint32_t crc = crc32c(crc32c(0, &record, offsetof(struct format_pages, crc)), at, record.length);
	if (crc != record.crc)
		return error_set(err, ERROR_DATA,
				 "%s: damaged: page record at offset %" PRIu64 ", checksum 0x%08x, expected 0x%08x",
				 source->name, offset, crc, record.crc);
	*ret_end = record.length == 0;
	return 0;
}

/* RAM that is mapped costs nothing until it is used; RAM that is read must fit this host. */
static int check_host_memory(const struct source *source, const struct machine *machine, struct error *err)
{
	struct sysinfo host;
	uint64_t size = 0;
	for (unsigned i = 0; i < machine->nr_ranges; i++)
		size += machine->ranges[i].size;
	if (sysinfo(&host) < 0)
		return error_errno(err, ERROR_SYSTEM, "asking how much memory this host has");
	uint64_t host_size = ((uint64_t)host.totalram + host.totalswap) * host.mem_unit;
	if (size > host_size)
		return error_set(err, ERROR_SYSTEM,
				 "%s: RAM of %" PRIu64 " bytes; this host has %" PRIu64
				 " bytes of memory and swap to read it into",
				 source->name, size, host_size);
	return 0;
}

static int read_ram_records(struct source *source, struct image *image, struct error *err)
{
	const struct machine *machine = image_machine(image);
	bool end = false;
	int status = 0;
	for (unsigned i = 0; i < machine->nr_ranges && status == 0; i++)
		status = memory_add(&image->ram, &machine->ranges[i], err);
	while (status == 0 && !end)
		status = read_record(source, &image->ram, &end, err);
	/* A pipe may go on with something else; a file that does so is not what was written. */
	if (status == 0 && source->is_file && source->offset != source->size)
		status = error_set(err, ERROR_DATA,
				   "%s: %" PRIu64 " bytes, expected %" PRIu64 ": the stream in it has ended there",
				   source->name, source->size, source->offset);
	return status;
}

static int read_ram(struct chain *chain, bool may_map, struct image *image, struct error *err)
{
	struct link *first = &chain->links[0];
	bool is_mapped = first->header.form == FORMAT_FILE && first->source.is_file && may_map;
	for (unsigned i = 0; i < chain->nr; i++)
		chain->links[i].source.can_map = is_mapped;
	int status = is_mapped ? 0 : check_host_memory(&first->source, image_machine(image), err);
	if (status == 0)
		status = first->header.form == FORMAT_FILE ? read_ram_of_chain(chain, &image->ram, err)
							   : read_ram_records(&first->source, image, err);
	return status;
}

static int read_from(const char *path, bool may_map, struct image *ret, struct error *err)
{
	struct chain *chain = malloc(sizeof(*chain)); /* long, and mostly not used: link_read() makes each link */
	if (chain == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for reading it", path);
	struct link *first = &chain->links[0];
	chain->nr = 1;
	int status = link_read(path, first, err);
	if (status == 0 && image_is_incremental(&first->image) && strcmp(path, "-") == 0)
		status = error_set(err, ERROR_DATA,
				   "standard input: an incremental snapshot, whose parent is found by the file's own "
				   "name; name the file, or flatten it");
	if (status == 0)
		status = chain_complete(chain, err);
	if (status == 0)
		status = read_ram(chain, may_map, &first->image, err);
	if (status == 0) {
		*ret = first->image;
		ret->memory = &ret->ram;
		first->image = (struct image){ 0 };
	}
	chain_free(chain);
	return status;
}

int file_read(const char *path, struct image *ret, struct error *err)
{
	return read_from(path, true, ret, err);
}

int file_read_copy(const char *path, struct image *ret, struct error *err)
{
	return read_from(path, false, ret, err);
}
