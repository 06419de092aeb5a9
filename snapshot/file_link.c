#include "file_link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
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

int source_read(struct source *source, void *ret, size_t size, const char *what, struct error *err)
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
		return error_set(
			err, ERROR_VERSION,
			"%s: format version %u, written by %.32s; this program reads version %d; a newer stasis may read it",
			name, header->version, header->image.writer, FORMAT_VERSION);
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
			"written by %.32s: a newer stasis may read it",
			source->name, index, entry->component, entry->version, header->image.writer);
	uint16_t version = frame != NULL ? frame->version : component->version;
	const char *name = frame != NULL ? frame->name : component->name;
	int instances = frame != NULL ? 1 : VM_VCPUS_MAX;
	if (entry->version == 0 || entry->version > version)
		return error_set(
			err, ERROR_VERSION,
			"%s: section %s has version %u, written by %.32s; this program reads up to version %u; a newer stasis may read it",
			source->name, name, entry->version, header->image.writer, version);
	if (entry->reserved != 0 || entry->reserved2 != 0 || (format_is_ram(entry) && entry->crc != 0))
		return error_set(err, ERROR_DATA, "%s: section %s: reserved fields are not zero", source->name, name);
	if ((format_is_ram(entry) || frame != NULL) && header->form == FORMAT_STREAM)
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
	uint64_t next = align_up(end, format_is_ram(entry) ? MEMORY_PAGE : FORMAT_ALIGNMENT);
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
		if (!is_in_place(entry, end, !ram_seen && format_is_ram(entry)) || (ram_seen && !format_is_ram(entry)))
			return error_set(err, ERROR_DATA,
					 "%s: section %u (component %u) at offset %" PRIu64 ", expected %" PRIu64,
					 source->name, i, entry->component, entry->offset,
					 align_up(end, format_is_ram(entry) ? MEMORY_PAGE : FORMAT_ALIGNMENT));
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
		ram_seen |= format_is_ram(entry);
		if (!format_is_ram(entry))
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

/* Reads on up to end; offsets in the buffer are the file's.  Memory is taken as bytes arrive, not as a header asks. */
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

/* Reads header, table and state sections. */
static int read_sections(struct link *link, struct error *err)
{
	struct source *source = &link->source;
	struct format_header *header = &link->header;
	struct buffer *state = &link->image.state;
	uint64_t state_end = 0, end;
	int status = source_read(source, header, sizeof(*header), "the header", err);
	if (status == 0)
		status = check_header(source, header, err);
	if (status < 0)
		return status;
	size_t table_size = header->nr_sections * sizeof(link->table[0]);
	link->table = malloc(table_size);
	if (link->table == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its section table", source->name);
	status = source_read(source, link->table, table_size, "the section table", err);
	if (status == 0 && crc32c(0, link->table, table_size) != header->table_crc)
		status = error_set(err, ERROR_DATA, "%s: damaged section table: its checksum does not match",
				   source->name);
	if (status == 0)
		status = check_table(source, header, link->table, &state_end, err);
	end = source->offset;
	if (status == 0)
		status = read_up_to(source, state_end, state, err);
	for (uint32_t i = 0; i < header->nr_sections && status == 0; i++)
		if (!format_is_ram(&link->table[i]))
			status = take_section(source, &link->table[i], buffer_bytes(state), &end, &link->image, err);
	link->image.header = header->image;
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
	int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	struct source source = { .fd = fd, .name = is_input ? "standard input" : path };
	if (fd < 0)
		return error_errno(err, error_code_of_open(errno), "%s", path);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && lseek(fd, 0, SEEK_CUR) == 0) {
		source.is_file = true;
		source.size = (uint64_t)st.st_size;
	}
	*ret = source;
	return 0;
}

static int read_state(struct link *link, struct error *err)
{
	int status = read_sections(link, err);
	if (status == 0 && image_validate(&link->image, err) < 0)
		status = error_prefix(err, "%s", link->source.name);
	if (status == 0)
		status = check_parent_sections(link, err);
	if (status == 0 && link->header.form == FORMAT_FILE)
		status = check_checksums(&link->source, &link->image, err);
	return status;
}

int link_read(const char *path, struct link *ret, struct error *err)
{
	*ret = (struct link){ .path = strdup(path), .source = { .fd = STDIN_FILENO } };
	if (ret->path == NULL)
		return error_set(err, ERROR_SYSTEM, "%s: no memory for its name", path);
	int status = source_open(&ret->source, ret->path, err);
	return status == 0 ? read_state(ret, err) : status;
}

void link_done(struct link *link)
{
	if (link->source.fd > STDIN_FILENO)
		close(link->source.fd); /* what is mapped stays mapped */
	free(link->table);
	image_done(&link->image);
	free(link->path);
	*link = (struct link){ .source = { .fd = STDIN_FILENO } };
}

/* Ends a link of which only the image is wanted, where it was read well. */
static int keep_image(struct link *link, int status, struct image *ret)
{
	if (status == 0) {
		*ret = link->image;
		link->image = (struct image){ 0 };
	}
	link_done(link);
	return status;
}

int file_read_state(const char *path, struct image *ret, struct error *err)
{
	struct link link;
	int status = link_read(path, &link, err);
	return keep_image(&link, status, ret);
}

int file_read_state_of(struct bytes bytes, const char *name, struct image *ret, struct error *err)
{
	struct link link = { .source = { .fd = -1, .bytes = bytes, .name = name } };
	int status = read_state(&link, err);
	if (status == 0 && link.header.form != FORMAT_STREAM)
		status = error_set(err, ERROR_DATA, "%s: form %u, expected 2 (stream)", name, link.header.form);
	if (status == 0 && link.source.offset != bytes.size)
		status = error_set(err, ERROR_DATA, "%s: %zu bytes, expected %" PRIu64, name, bytes.size,
				   link.source.offset);
	return keep_image(&link, status, ret);
}
