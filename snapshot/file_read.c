#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
#include "file_link.h"
#include "ram.h"
#include "vmm/io.h"

#define STATE_PIECE (64u << 10) /* bytes of state that are read at once: few snapshots have more */

/* As io_read_full(). */
static ssize_t read_bytes(const struct source *source, void *ret, size_t size)
{
	size_t left = source->offset < source->bytes.size ? source->bytes.size - (size_t)source->offset : 0;
	size_t n = size < left ? size : left;
	if (n > 0)
		memcpy(ret, source->bytes.data + source->offset, n);
	return (ssize_t)n;
}

static int source_read(struct source *source, void *ret, size_t size, const char *what, struct error *err)
{
	ssize_t n = source->fd < 0 ? read_bytes(source, ret, size) : io_read_full(source->fd, ret, size);
	if (n < 0)
		return error_errno(err, ERROR_IO, "%s: reading %s at offset %" PRIu64, source->name, what,
				   source->offset);
	if ((size_t)n < size)
		return error_set(err, ERROR_DATA,
				 "%s: truncated: %s at offset %" PRIu64 " needs %zu bytes, %zd are there", source->name,
				 what, source->offset, size, n);
	source->offset += size;
	return 0;
}

static int check_header(const struct source *source, const struct format_header *header, struct error *err)
{
	const char *name = source->name;
	if (memcmp(header->magic, FORMAT_MAGIC, FORMAT_MAGIC_SIZE) != 0)
		return error_set(err, ERROR_DATA, "%s: not a Stasis snapshot (its first bytes are others)", name);
	if (header->version != FORMAT_VERSION)
		return error_set(err, ERROR_VERSION,
				 "%s: format version %u, written by %.32s; this program reads version %d", name,
				 header->version, header->image.writer, FORMAT_VERSION);
	uint32_t crc = crc32c(0, header, offsetof(struct format_header, header_crc));
	if (crc != header->header_crc)
		return error_set(err, ERROR_DATA, "%s: damaged header: checksum 0x%08x, expected 0x%08x", name, crc,
				 header->header_crc);
	if (header->header_size != sizeof(*header))
		return error_set(err, ERROR_DATA, "%s: header of %u bytes, expected %zu", name, header->header_size,
				 sizeof(*header));
	if (header->form != FORMAT_FILE && header->form != FORMAT_STREAM)
		return error_set(err, ERROR_DATA, "%s: form %u, expected 1 (file) or 2 (stream)", name, header->form);
	if (!bytes_are_zero(header->reserved, sizeof(header->reserved)))
		return error_set(err, ERROR_DATA, "%s: reserved bytes of the header are not zero", name);
	if (header->nr_sections == 0 || header->nr_sections > IMAGE_SECTIONS_MAX)
		return error_set(err, ERROR_DATA, "%s: %u sections, expected 1 to %d", name, header->nr_sections,
				 IMAGE_SECTIONS_MAX);
	if (header->size > FORMAT_SIZE_MAX)
		return error_set(err, ERROR_DATA, "%s: size of %" PRIu64 " bytes, expected at most %llu", name,
				 header->size, FORMAT_SIZE_MAX);
	if (source->is_file && source->size < header->size)
		return error_set(err, ERROR_DATA, "%s: truncated: %" PRIu64 " bytes, expected %" PRIu64, name,
				 source->size, header->size);
	if (source->is_file && header->form == FORMAT_FILE && source->size != header->size)
		return error_set(err, ERROR_DATA, "%s: %" PRIu64 " bytes, expected %" PRIu64, name, source->size,
				 header->size);
	return 0;
}

static bool is_ram(const struct format_section *entry)
{
	const struct component *component = component_by_id(entry->component);
	return component != NULL && component->shape == COMPONENT_RAM;
}

/* What an entry says of itself, without the file around it. */
static int check_entry(const struct source *source, const struct format_header *header, uint32_t index,
		       const struct format_section *entry, struct error *err)
{
	const struct component *component = component_by_id(entry->component);
	const struct format_frame *frame = format_frame_by_id(entry->component);
	if (component == NULL && frame == NULL)
		return error_set(
			err, ERROR_VERSION,
			"%s: section %u is of component %u, version %u, which this program does not know; it was "
			"written by %.32s",
			source->name, index, entry->component, entry->version, header->image.writer);
	uint16_t version = frame != NULL ? frame->version : component->version;
	const char *name = frame != NULL ? frame->name : component->name;
	int instances = frame != NULL ? 1 : VM_VCPUS_MAX;
	if (entry->version == 0 || entry->version > version)
		return error_set(err, ERROR_VERSION,
				 "%s: section %s has version %u, written by %.32s; this program reads up to version %u",
				 source->name, name, entry->version, header->image.writer, version);
	if (entry->reserved != 0 || entry->reserved2 != 0 || (is_ram(entry) && entry->crc != 0))
		return error_set(err, ERROR_DATA, "%s: section %s: reserved fields are not zero", source->name, name);
	if ((is_ram(entry) || frame != NULL) && header->form == FORMAT_STREAM)
		return error_set(err, ERROR_DATA, "%s: section %s in a stream, which has page records instead",
				 source->name, name);
	if (entry->instance >= instances)
		return error_set(err, ERROR_DATA, "%s: section %s has instance %u, expected less than %d", source->name,
				 name, entry->instance, instances);
	return 0;
}

/* A section starts right behind the one before it, and so does RAM, unless it was placed before the state was known. */
static bool is_in_place(const struct format_section *entry, uint64_t end, bool is_first_ram)
{
	uint64_t next = align_up(end, is_ram(entry) ? MEMORY_PAGE : FORMAT_ALIGNMENT);
	if (is_first_ram && entry->version >= FORMAT_RAM_PLACED_VERSION)
		return entry->offset >= next && entry->offset % MEMORY_PAGE == 0 && entry->offset <= FORMAT_STATE_MAX;
	return entry->offset == next;
}

/* Entries must stand in the order of their offsets, state before RAM, aligned, apart from each other, unique. */
static int check_table(const struct source *source, const struct format_header *header,
		       const struct format_section *table, uint64_t *ret_state_end, struct error *err)
{
	uint64_t end = sizeof(*header) + header->nr_sections * sizeof(table[0]), state_end = end;
	bool ram_seen = false;
	for (uint32_t i = 0; i < header->nr_sections; i++) {
		const struct format_section *entry = &table[i];
		int status = check_entry(source, header, i, entry, err);
		if (status < 0)
			return status;
		if (!is_in_place(entry, end, !ram_seen && is_ram(entry)) || (ram_seen && !is_ram(entry)))
			return error_set(err, ERROR_DATA,
					 "%s: section %u (component %u) at offset %" PRIu64 ", expected %" PRIu64,
					 source->name, i, entry->component, entry->offset,
					 align_up(end, is_ram(entry) ? MEMORY_PAGE : FORMAT_ALIGNMENT));
		if (!range_is_inside(entry->offset, entry->length, header->size))
			return error_set(err, ERROR_DATA,
					 "%s: section %u (component %u) of %" PRIu64
					 " bytes ends behind the file's %" PRIu64,
					 source->name, i, entry->component, entry->length, header->size);
		for (uint32_t k = 0; k < i; k++)
			if (table[k].component == entry->component && table[k].instance == entry->instance)
				return error_set(err, ERROR_DATA,
						 "%s: sections %u and %u are both component %u, instance %u",
						 source->name, k, i, entry->component, entry->instance);
		end = entry->offset + entry->length;
		ram_seen |= is_ram(entry);
		if (!is_ram(entry))
			state_end = end;
	}
	if (end != header->size)
		return error_set(err, ERROR_DATA, "%s: sections end at %" PRIu64 ", expected %" PRIu64, source->name,
				 end, header->size);
	if (state_end > FORMAT_STATE_MAX)
		return error_set(err, ERROR_DATA, "%s: state of %" PRIu64 " bytes, expected at most %u", source->name,
				 state_end, FORMAT_STATE_MAX);
	*ret_state_end = state_end;
	return 0;
}

/* Takes one section out of the bytes in front of RAM; everything between the last one and it must be zero. */
static int take_section(const struct source *source, const struct format_section *entry, struct bytes state,
			uint64_t *end, struct image *image, struct error *err)
{
	const struct component *component = component_by_id(entry->component);
	const struct format_frame *frame = format_frame_by_id(entry->component);
	const char *name = component != NULL ? component->name : frame->name;
	struct bytes payload = { .data = state.data + entry->offset, .size = (size_t)entry->length };
	uint32_t crc = crc32c(0, payload.data, payload.size);
	if (!bytes_are_zero(state.data + *end, entry->offset - *end))
		return error_set(err, ERROR_DATA, "%s: damaged: the bytes in front of section %s are not zero",
				 source->name, name);
	*end = entry->offset + entry->length;
	if (crc != entry->crc)
		return error_set(err, ERROR_DATA,
				 "%s: damaged: section %s, instance %u, checksum 0x%08x, expected 0x%08x", source->name,
				 name, entry->instance, crc, entry->crc);
	if (component != NULL) {
		struct buffer borrowed = buffer_borrow(payload);
		int status = image_give(image, component, entry->instance, &borrowed, err);
		if (status == 0)
			image->sections[image->nr_sections - 1].offset = entry->offset;
		return status;
	}
	/* The image is ours. */
	*(struct buffer *)(uintptr_t)format_frame_payload(frame, image) = buffer_borrow(payload);
	return 0;
}

/* Reads on up to end; offsets in the buffer are the file's.  Memory is taken as bytes arrive, not as a header asks for
 * it. */
static int read_up_to(struct source *source, uint64_t end, struct buffer *state, struct error *err)
{
	int status = 0;
	if (buffer_append(state, NULL, source->offset) == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its state", source->name);
	while (state->size < end && status == 0) {
		uint64_t left = end - state->size;
		size_t size = left < STATE_PIECE ? (size_t)left : STATE_PIECE;
		void *at = buffer_append(state, NULL, size);
		if (at == NULL)
			return error_set(err, ERROR_SYSTEM, "%s: no memory for its state", source->name);
		status = source_read(source, at, size, "state", err);
	}
	return status;
}

/* Reads header, table and state sections; *ret_table and its number are the caller's. */
static int read_state(struct source *source, struct image *image, struct format_header *header,
		      struct format_section **ret_table, struct error *err)
{
	struct buffer *state = &image->state;
	uint64_t state_end = 0, end;
	int status = source_read(source, header, sizeof(*header), "the header", err);
	if (status == 0)
		status = check_header(source, header, err);
	if (status < 0)
		return status;
	size_t table_size = header->nr_sections * sizeof(struct format_section);
	struct format_section *table = malloc(table_size);
	if (table == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its section table", source->name);
	status = source_read(source, table, table_size, "the section table", err);
	if (status == 0 && crc32c(0, table, table_size) != header->table_crc)
		status = error_set(err, ERROR_DATA, "%s: damaged section table: its checksum does not match",
				   source->name);
	if (status == 0)
		status = check_table(source, header, table, &state_end, err);
	end = source->offset;
	if (status == 0)
		status = read_up_to(source, state_end, state, err);
	for (uint32_t i = 0; i < header->nr_sections && status == 0; i++)
		if (!is_ram(&table[i]))
			status = take_section(source, &table[i], buffer_bytes(state), &end, image, err);
	if (status == 0)
		image->header = header->image;
	if (status == 0)
		*ret_table = table;
	else
		free(table);
	return status;
}

/* ---- RAM ---- */

static const uint32_t *ram_checksums(const struct image *image)
{
	return (const uint32_t *)(const void *)image->ram_checksums.data;
}

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

static int check_chunk(const struct memory_range *range, uint64_t chunk, uint32_t crc, uint32_t expected,
		       struct error *err)
{
	uint64_t gpa = range->gpa + chunk * FORMAT_CHUNK;
	if (crc == expected)
		return 0;
	return error_set(err, ERROR_DATA, "damaged: RAM 0x%" PRIx64 "-0x%" PRIx64 ", checksum 0x%08x, expected 0x%08x",
			 gpa, gpa + ram_chunk_size(range->size, chunk) - 1, crc, expected);
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
		if (status == 0 && check_chunk(range, chunk, crc, expected[chunk], err) < 0)
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
		if (status == 0 && check_chunk(range, chunk, crc32c(0, data, size), expected[chunk], err) < 0)
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
		if (!is_ram(entry))
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
	const uint32_t *checksums = ram_checksums(&link->image);
	unsigned region = 0;
	int status = check_ram_sections(link, err);
	assert(checksums != NULL); /* check_checksums() */
	for (uint32_t i = 0; i < link->header.nr_sections && status == 0; i++) {
		if (!is_ram(&link->table[i]))
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

static int check_checksums(const struct source *source, const struct image *image, struct error *err)
{
	const struct machine *machine = image_machine(image);
	uint64_t chunks = 0;
	for (unsigned i = 0; i < machine->nr_ranges; i++)
		chunks += ram_chunks(machine->ranges[i].size);
	if (image->ram_checksums.size != chunks * sizeof(uint32_t))
		return error_set(err, ERROR_DATA, "%s: ram-checksums of %zu bytes, expected %" PRIu64, source->name,
				 image->ram_checksums.size, chunks * sizeof(uint32_t));
	return 0;
}

/* What an incremental snapshot has and a whole one has not. */
static int check_parent_sections(const struct link *link, struct error *err)
{
	const char *name = link->source.name;
	const struct image *image = &link->image;
	struct bytes parent = buffer_bytes(&image->parent_name);
	struct pages pages;
	if (!image_is_incremental(image)) {
		if (parent.size > 0 || image->ram_pages.size > 0)
			return error_set(err, ERROR_DATA, "%s: section %s, but no parent's id in the header", name,
					 parent.size > 0 ? "parent" : "ram-pages");
		return 0;
	}
	if (link->header.form != FORMAT_FILE)
		return error_set(err, ERROR_DATA, "%s: a stream with a parent, expected a whole snapshot", name);
	if (parent.size == 0 || parent.size > FORMAT_PARENT_NAME_MAX || memchr(parent.data, 0, parent.size) != NULL)
		return error_set(err, ERROR_DATA, "%s: section parent of %zu bytes, expected a file's name", name,
				 parent.size);
	if (image_pages(image, &pages, err) < 0)
		return error_prefix(err, "%s", name);
	pages_done(&pages);
	return 0;
}

static int source_open(struct source *ret, const char *path, struct error *err)
{
	struct stat st;
	bool is_input = strcmp(path, "-") == 0;
	struct source source = { .fd = STDIN_FILENO, .name = is_input ? "standard input" : path };
	if (!is_input)
		source.fd = open(path, O_RDONLY | O_CLOEXEC);
	if (source.fd < 0)
		return error_errno(err, error_code_of_open(errno), "%s", path);
	if (fstat(source.fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(source.fd, 0, SEEK_CUR) == 0) {
		source.is_file = true;
		source.size = (uint64_t)st.st_size;
	}
	*ret = source;
	return 0;
}

int link_read(const char *path, struct link *ret, struct error *err)
{
	struct source *source = &ret->source;
	*ret = (struct link){ .path = strdup(path), .source = { .fd = STDIN_FILENO } };
	if (ret->path == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its name", path);
	int status = source_open(source, ret->path, err);
	if (status == 0)
		status = read_state(source, &ret->image, &ret->header, &ret->table, err);
	if (status == 0 && image_validate(&ret->image, err) < 0)
		status = error_prefix(err, "%s", source->name);
	if (status == 0)
		status = check_parent_sections(ret, err);
	if (status == 0 && ret->header.form == FORMAT_FILE)
		status = check_checksums(source, &ret->image, err);
	return status;
}

void link_done(struct link *link)
{
	if (link->source.fd != STDIN_FILENO)
		close(link->source.fd); /* what is mapped stays mapped */
	free(link->table);
	image_done(&link->image);
	free(link->path);
	*link = (struct link){ .source = { .fd = STDIN_FILENO } };
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

int file_read_state(const char *path, struct image *ret, struct error *err)
{
	struct link link;
	int status = link_read(path, &link, err);
	if (status == 0) {
		*ret = link.image;
		link.image = (struct image){ 0 };
	}
	link_done(&link);
	return status;
}

int file_read_state_of(struct bytes bytes, const char *name, struct image *ret, struct error *err)
{
	struct source source = { .fd = -1, .bytes = bytes, .name = name };
	struct format_header header;
	struct format_section *table = NULL;
	struct image image = { 0 };
	int status = read_state(&source, &image, &header, &table, err);
	free(table);
	if (status == 0 && header.form != FORMAT_STREAM)
		status = error_set(err, ERROR_DATA, "%s: form %u, expected 2 (stream)", name, header.form);
	if (status == 0 && image_is_incremental(&image))
		status = error_set(err, ERROR_DATA, "%s: a stream with a parent, expected a whole snapshot", name);
	if (status == 0 && source.offset != bytes.size)
		status =
			error_set(err, ERROR_DATA, "%s: %zu bytes, expected %" PRIu64, name, bytes.size, source.offset);
	if (status == 0 && image_validate(&image, err) < 0)
		status = error_prefix(err, "%s", name);
	if (status < 0) {
		image_done(&image);
		return status;
	}
	*ret = image;
	return 0;
}

int file_read_copy(const char *path, struct image *ret, struct error *err)
{
	return read_from(path, false, ret, err);
}

/* Pages that an incremental snapshot does not have are zero in its own file. */
static uint32_t crc_of_absent(const struct mapped_file *file, uint32_t crc, uint64_t offset, uint64_t size)
{
	uint8_t page[MEMORY_PAGE];
	if (size == 0 || mapped_file_is_hole(file, offset, size))
		return crc32c_of_zeros(crc, size);
	for (uint64_t end = offset + size; offset < end; offset += sizeof(page)) {
		if (!mapped_file_read(file, offset, page, sizeof(page)))
			memset(page, 0xff, sizeof(page)); /* what cannot be read is not right */
		crc = crc32c(crc, page, sizeof(page));
	}
	return crc;
}

/* The checksum of a chunk as it stands in the file. */
static uint32_t crc_of_chunk(const struct memory_region *region, unsigned number, uint64_t chunk,
			     const struct pages *pages)
{
	uint64_t size = ram_chunk_size(region->range.size, chunk), page = chunk * (FORMAT_CHUNK / MEMORY_PAGE);
	uint64_t end = page + size / MEMORY_PAGE, found, nr;
	uint32_t crc = 0;
	if (pages == NULL) {
		if (region->file != NULL && mapped_file_is_hole(region->file, chunk * FORMAT_CHUNK, size))
			return crc32c_of_zeros(0, size);
		ram_visit_chunk(region, chunk, NULL, NULL, &crc);
		return crc;
	}
	while (pages_next_run(pages, number, page, end, &found, &nr)) {
		crc = crc_of_absent(region->file, crc, page * MEMORY_PAGE, (found - page) * MEMORY_PAGE);
		crc = crc32c(crc, region->hva + found * MEMORY_PAGE, nr * MEMORY_PAGE);
		page = found + nr;
	}
	return crc_of_absent(region->file, crc, page * MEMORY_PAGE, (end - page) * MEMORY_PAGE);
}

static int verify_own(const struct image *image, const struct pages *pages, struct error *err)
{
	const uint32_t *expected = ram_checksums(image);
	for (unsigned i = 0; i < image->ram.nr_regions; i++) {
		const struct memory_region *region = &image->ram.regions[i];
		for (uint64_t chunk = 0; chunk < ram_chunks(region->range.size); chunk++, expected++) {
			uint32_t crc = crc_of_chunk(region, i, chunk, pages);
			int status = check_chunk(&region->range, chunk, crc, *expected, err);
			if (status < 0)
				return status;
		}
	}
	return 0;
}

static int verify_link(const struct image *image, struct error *err)
{
	struct pages pages;
	if (!image_is_incremental(image))
		return verify_own(image, NULL, err);
	int status = image_pages(image, &pages, err);
	if (status < 0)
		return status;
	status = verify_own(image, &pages, err);
	pages_done(&pages);
	return status;
}

/* What is hidden under later pages is seen only by reading each parent by itself, one at a time. */
static int verify_parents(const struct image *image, struct error *err)
{
	struct image parent = { 0 };
	char *path = strdup(image->parent_path);
	int status = path != NULL ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a parent's name");
	while (status == 0 && path != NULL) {
		status = file_read(path, &parent, err);
		if (status == 0 && verify_link(&parent, err) < 0)
			status = error_prefix(err, "its parent %s", path);
		free(path);
		path = parent.parent_path != NULL ? strdup(parent.parent_path) : NULL;
		image_done(&parent);
	}
	free(path);
	return status;
}

int file_verify_ram(const struct image *image, struct error *err)
{
	if (image->ram_checksums.size == 0)
		return 0; /* a stream's records were checked as they came */
	/* Of a chain that is not mapped, all pages were checked as they were read. */
	if (image_is_incremental(image) && memory_file(&image->ram) == NULL)
		return 0;
	int status = verify_link(image, err);
	return status == 0 && image_is_incremental(image) ? verify_parents(image, err) : status;
}
