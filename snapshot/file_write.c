#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
#include "ram.h"
#include "vmm/io.h"

/* Where everything goes, and the bytes in front of RAM. */
struct layout {
	enum format_form form;
	uint32_t nr_sections;
	uint64_t state_size; /* header, table and state sections */
	uint64_t size;
	struct format_section table[IMAGE_SECTIONS_MAX + 1 + MEMORY_REGIONS_MAX];
	struct buffer checksums; /* the payload of "ram-checksums" */
};

static uint64_t layout_add(struct layout *layout, uint16_t component, uint16_t version, uint16_t instance,
			   uint64_t offset, uint64_t length)
{
	assert(layout->nr_sections < sizeof(layout->table) / sizeof(layout->table[0]));
	layout->table[layout->nr_sections++] = (struct format_section){
		.component = component, .instance = instance, .version = version, .offset = offset, .length = length
	};
	return offset + length;
}

static int layout_make(struct layout *layout, const struct image *image, enum format_form form, struct error *err)
{
	const struct memory *memory = image->memory;
	size_t nr_sections = image->nr_sections + (form == FORMAT_FILE ? 1 + memory->nr_regions : 0);
	uint64_t chunks = 0;
	layout->form = form;
	for (unsigned i = 0; i < memory->nr_regions; i++)
		chunks += ram_chunks(memory->regions[i].range.size);
	uint64_t at = sizeof(struct format_header) + nr_sections * sizeof(struct format_section);
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		at = layout_add(layout, section->component->id, section->component->version, section->instance,
				align_up(at, FORMAT_ALIGNMENT), section->payload.size);
	}
	if (form == FORMAT_FILE) {
		if (buffer_append(&layout->checksums, NULL, chunks * sizeof(uint32_t)) == NULL)
			return error_set(err, ERROR_SYSTEM, "no memory for the checksums of RAM");
		at = layout_add(layout, FORMAT_RAM_CHECKSUMS, FORMAT_RAM_CHECKSUMS_VERSION, 0,
				align_up(at, FORMAT_ALIGNMENT), layout->checksums.size);
	}
	layout->state_size = layout->size = at;
	if (form == FORMAT_FILE) {
		const struct component *ram = component_by_name("ram");
		for (unsigned i = 0; i < memory->nr_regions; i++)
			layout->size = layout_add(layout, ram->id, ram->version, (uint16_t)i,
						  align_up(layout->size, MEMORY_PAGE), memory->regions[i].range.size);
	}
	return 0;
}

/* The bytes in front of RAM, with their checksums. */
static int layout_serialize(struct layout *layout, const struct image *image, struct buffer *ret, struct error *err)
{
	uint8_t *state = buffer_append(ret, NULL, layout->state_size);
	if (state == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's state");
	for (size_t i = 0; i < layout->nr_sections; i++) {
		struct format_section *entry = &layout->table[i];
		if (entry->offset >= layout->state_size)
			continue; /* RAM */
		struct bytes payload = i < image->nr_sections ? buffer_bytes(&image->sections[i].payload)
							      : buffer_bytes(&layout->checksums);
		memcpy(state + entry->offset, payload.data, payload.size);
		entry->crc = crc32c(0, payload.data, payload.size);
	}
	size_t table_size = layout->nr_sections * sizeof(layout->table[0]);
	struct format_header header = {
		.magic = FORMAT_MAGIC,
		.version = FORMAT_VERSION,
		.header_size = sizeof(header),
		.form = layout->form,
		.nr_sections = layout->nr_sections,
		.size = layout->size,
		.image = image->header,
		.table_crc = crc32c(0, layout->table, table_size),
	};
	header.header_crc = crc32c(0, &header, offsetof(struct format_header, header_crc));
	memcpy(state, &header, sizeof(header));
	memcpy(state + sizeof(header), layout->table, table_size);
	return 0;
}

/* A file, with the offset that the current region's RAM has in it. */
struct ram_writer {
	int fd;
	uint64_t offset;
};

static int write_pages(const struct memory_region *region, uint64_t offset, uint64_t size, void *context)
{
	const struct ram_writer *writer = context;
	return io_pwrite_full(writer->fd, region->hva + offset, size, writer->offset + offset);
}

static int write_ram(struct layout *layout, const struct image *image, int fd, const char *name, struct error *err)
{
	uint32_t *crc = (uint32_t *)(void *)layout->checksums.data;
	for (unsigned i = 0; i < image->memory->nr_regions; i++) {
		const struct memory_region *region = &image->memory->regions[i];
		const struct format_section *entry = &layout->table[image->nr_sections + 1 + i];
		struct ram_writer writer = { .fd = fd, .offset = entry->offset };
		for (uint64_t chunk = 0; chunk < ram_chunks(region->range.size); chunk++)
			if (ram_visit_chunk(region, chunk, write_pages, &writer, crc++) < 0)
				return error_errno(err, ERROR_IO, "%s: writing RAM", name);
	}
	/* What is zero at the end is a hole too. */
	if (ftruncate(fd, (off_t)layout->size) < 0)
		return error_errno(err, ERROR_IO, "%s: setting its size to %llu bytes", name,
				   (unsigned long long)layout->size);
	return 0;
}

static int write_file(const struct image *image, struct layout *layout, const struct new_file *file, struct error *err)
{
	struct buffer state = { 0 };
	int status = layout_make(layout, image, FORMAT_FILE, err);
	if (status == 0)
		status = write_ram(layout, image, file->fd, file->path, err);
	if (status == 0)
		status = layout_serialize(layout, image, &state, err);
	if (status == 0 && io_pwrite_full(file->fd, state.data, state.size, 0) < 0)
		status = error_errno(err, ERROR_IO, "%s: writing state", file->path);
	buffer_done(&state);
	return status;
}

int file_write(const struct image *image, const char *path, struct error *err)
{
	struct new_file file;
	struct layout *layout = calloc(1, sizeof(*layout));
	if (layout == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's layout");
	int status = new_file_create(&file, path, err);
	if (status == 0) {
		status = write_file(image, layout, &file, err);
		if (status == 0)
			status = new_file_commit(&file, err);
		new_file_done(&file);
	}
	buffer_done(&layout->checksums);
	free(layout);
	return status;
}

/* ---- Streams ---- */

static int send_record(int fd, uint64_t gpa, const void *data, uint32_t size)
{
	struct format_pages record = { .gpa = gpa, .length = size };
	record.crc = crc32c(crc32c(0, &record, offsetof(struct format_pages, crc)), data, size);
	return io_write_full(fd, &record, sizeof(record)) < 0 ? -1 : io_write_full(fd, data, size);
}

static int send_pages(const struct memory_region *region, uint64_t offset, uint64_t size, void *context)
{
	return send_record(*(const int *)context, region->range.gpa + offset, region->hva + offset, (uint32_t)size);
}

static int send_ram(const struct memory *memory, int fd)
{
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		const struct memory_region *region = &memory->regions[i];
		for (uint64_t chunk = 0; chunk < ram_chunks(region->range.size); chunk++)
			if (ram_visit_chunk(region, chunk, send_pages, &fd, NULL) < 0)
				return -1;
	}
	return send_record(fd, 0, NULL, 0);
}

int file_write_stream(const struct image *image, int fd, const char *name, struct error *err)
{
	struct buffer state = { 0 };
	struct layout *layout = calloc(1, sizeof(*layout));
	if (layout == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's layout");
	int status = layout_make(layout, image, FORMAT_STREAM, err);
	if (status == 0)
		status = layout_serialize(layout, image, &state, err);
	if (status == 0 && (io_write_full(fd, state.data, state.size) < 0 || send_ram(image->memory, fd) < 0))
		status = error_errno(err, ERROR_IO, "%s: writing the snapshot", name);
	buffer_done(&state);
	free(layout);
	return status;
}
