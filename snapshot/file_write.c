#include <stdlib.h>

#include "crc32c.h"
#include "file.h"
#include "file_layout.h"
#include "file_writer.h"
#include "ram.h"
#include "vmm/io.h"

/* Where RAM starts right behind the state of the image. */
static int ram_offset_of(const struct image *image, uint64_t *ret, struct error *err)
{
	struct image complete = *image; /* owns nothing */
	struct buffer checksums = { .size = layout_checksums_size(image->memory) };
	struct layout *layout = malloc(sizeof(*layout));
	if (layout == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's layout");
	complete.ram_checksums = checksums;
	int status = layout_make(layout, &complete, FORMAT_FILE, 0, err);
	if (status == 0)
		*ret = layout->ram_offset;
	free(layout);
	return status;
}

int file_write_pages(const struct image *image, const struct pages *pages, const char *path, struct error *err)
{
	struct file_writer *writer = NULL;
	uint64_t ram_offset = 0;
	int status = ram_offset_of(image, &ram_offset, err);
	if (status == 0)
		status = file_writer_create(&writer, image->memory, path, ram_offset, err);
	for (unsigned i = 0; i < image->memory->nr_regions && status == 0; i++)
		status = file_writer_write(writer, pages, i, 0, pages->nr_pages[i], err);
	if (status == 0)
		status = file_writer_finish(writer, image, err);
	file_writer_free(writer);
	return status;
}

int file_write(const struct image *image, const char *path, struct error *err)
{
	struct pages pages;
	bool is_incremental = image_is_incremental(image);
	int status = is_incremental ? image_pages(image, &pages, err) : pages_create_for(&pages, image->memory, err);
	if (status < 0)
		return status;
	for (unsigned i = 0; i < pages.nr_regions && !is_incremental; i++)
		ram_add_data(image->memory, i, 0, pages.nr_pages[i], &pages);
	status = file_write_pages(image, &pages, path, err);
	pages_done(&pages);
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

int file_write_state(const struct image *image, struct buffer *ret, struct error *err)
{
	struct layout *layout = calloc(1, sizeof(*layout));
	if (layout == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's layout");
	int status = layout_make(layout, image, FORMAT_STREAM, 0, err);
	if (status == 0)
		status = layout_serialize(layout, image, ret, err);
	free(layout);
	return status;
}

int file_write_stream(const struct image *image, int fd, const char *name, struct error *err)
{
	struct buffer state = { 0 };
	int status = file_write_state(image, &state, err);
	if (status == 0 && (io_write_full(fd, state.data, state.size) < 0 || send_ram(image->memory, fd) < 0))
		status = error_errno(err, ERROR_IO, "%s: writing the snapshot", name);
	buffer_done(&state);
	return status;
}
