#include <stdlib.h>
#include <string.h>

#include "crc32c.h"
#include "file.h"
#include "format.h"
#include "ram.h"
#include "vmm/mapped_file.h"

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
	const uint32_t *expected = image_ram_checksums(image);
	for (unsigned i = 0; i < image->ram.nr_regions; i++) {
		const struct memory_region *region = &image->ram.regions[i];
		for (uint64_t chunk = 0; chunk < ram_chunks(region->range.size); chunk++, expected++) {
			uint32_t crc = crc_of_chunk(region, i, chunk, pages);
			int status = ram_check_chunk(&region->range, chunk, crc, *expected, err);
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

int file_read_verified(const char *path, struct image *ret, struct error *err)
{
	int status = file_read(path, ret, err);
	if (status == 0 && file_verify_ram(ret, err) < 0) {
		status = error_prefix(err, "%s", path);
		image_done(ret);
	}
	return status;
}
