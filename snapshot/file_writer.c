#include "file_writer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc32c.h"
#include "file_layout.h"
#include "ram.h"
#include "vmm/io.h"

#define CHUNK_PAGES     (FORMAT_CHUNK / MEMORY_PAGE)
#define WRITE_PAGES_MAX CHUNK_PAGES /* of one system call */

/* A run of pages that was copied. */
struct held {
	unsigned region;
	uint64_t page, nr;
	const uint8_t *data;
};

struct file_writer {
	const struct memory *memory;
	struct new_file file;
	uint64_t ram_offset;
	uint64_t region_offset[MEMORY_REGIONS_MAX]; /* in the file */
	struct pages has_data;                      /* pages that the file has bytes for */
	/* The checksum of each page, xor that of a page of zeros: what was never written is right. */
	uint32_t *page_crcs[MEMORY_REGIONS_MAX];
	uint32_t zero_page_crc;
	struct crc32c_shift page_shift;
	struct buffer checksums; /* the payload of ram-checksums */
	uint64_t written;        /* bytes */

	uint8_t *copies; /* mapped, copies_size bytes */
	size_t copies_size, copies_used;
	struct held *held; /* room for one a page */
	size_t nr_held;
};

int file_writer_create(struct file_writer **ret, const struct memory *memory, const char *path, uint64_t ram_offset,
		       struct error *err)
{
	struct file_writer *writer = calloc(1, sizeof(*writer));
	if (writer == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for writing a snapshot");
	writer->memory = memory;
	writer->ram_offset = ram_offset;
	writer->zero_page_crc = crc32c_of_zeros(0, MEMORY_PAGE);
	crc32c_shift_init(&writer->page_shift, MEMORY_PAGE);
	bool good = buffer_append(&writer->checksums, NULL, layout_checksums_size(memory)) != NULL;
	for (unsigned i = 0; i < memory->nr_regions; i++) {
		uint64_t size = memory->regions[i].range.size;
		writer->page_crcs[i] = calloc(size / MEMORY_PAGE, sizeof(uint32_t));
		writer->region_offset[i] = ram_offset;
		ram_offset += size;
		good = good && writer->page_crcs[i] != NULL;
	}
	int status = pages_create_for(&writer->has_data, memory, err);
	if (status == 0 && !good)
		status = error_set(err, ERROR_SYSTEM, "no memory for the checksums of RAM");
	if (status == 0)
		status = new_file_create(&writer->file, path, err);
	if (status < 0) {
		file_writer_free(writer);
		return status;
	}
	*ret = writer;
	return 0;
}

static int put(struct file_writer *writer, unsigned region, uint64_t page, const uint8_t *data, uint64_t nr,
	       struct error *err)
{
	uint64_t size = nr * MEMORY_PAGE, offset = writer->region_offset[region] + page * MEMORY_PAGE;
	if (nr == 0)
		return 0;
	if (io_pwrite_full(writer->file.fd, data, size, offset) < 0)
		return error_errno(err, ERROR_IO, "%s: writing RAM", writer->file.path);
	pages_add(&writer->has_data, region, page, nr);
	writer->written += size;
	/* The disk works while we go on; what fails there, the fsync tells. */
	if (nr == WRITE_PAGES_MAX)
		sync_file_range(writer->file.fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
	return 0;
}

/* Does the file need bytes for the page?  Notes its checksum. */
static bool look_at(struct file_writer *writer, unsigned region, uint64_t page, const uint8_t *data)
{
	bool is_zero = bytes_are_zero(data, MEMORY_PAGE);
	writer->page_crcs[region][page] = is_zero ? 0 : crc32c(0, data, MEMORY_PAGE) ^ writer->zero_page_crc;
	return !is_zero || pages_has(&writer->has_data, region, page);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* All at once, and not fault by fault.  Kernels that do not know it fault. */
static void map_ahead(const uint8_t *data, uint64_t nr)
{
	uint64_t pages = nr < WRITE_PAGES_MAX ? nr : WRITE_PAGES_MAX;
	madvise((void *)(uintptr_t)data, pages * MEMORY_PAGE, MADV_POPULATE_READ);
}

/* A run of pages that all stand at data, in pieces: what is looked at is still in the cache when it is written. */
static int put_run(struct file_writer *writer, unsigned region, uint64_t page, const uint8_t *data, uint64_t nr,
		   struct error *err)
{
	uint64_t start = 0, at = 0;
	int status = 0;
	for (; at < nr && status == 0; at++) {
		if (at % WRITE_PAGES_MAX == 0)
			map_ahead(data + at * MEMORY_PAGE, nr - at);
		bool is_wanted = look_at(writer, region, page + at, data + at * MEMORY_PAGE);
		if (is_wanted && at - start < WRITE_PAGES_MAX)
			continue;
		status = put(writer, region, page + start, data + start * MEMORY_PAGE, at - start, err);
		start = is_wanted ? at : at + 1;
	}
	if (status == 0)
		status = put(writer, region, page + start, data + start * MEMORY_PAGE, nr - start, err);
	return status;
}

int file_writer_write(struct file_writer *writer, const struct pages *pages, unsigned region, uint64_t page,
		      uint64_t nr, struct error *err)
{
	const uint8_t *hva = writer->memory->regions[region].hva;
	uint64_t end = page + nr, run = 0;
	int status = 0;
	while (status == 0 && pages_next_run(pages, region, page, end, &page, &run)) {
		status = put_run(writer, region, page, hva + page * MEMORY_PAGE, run, err);
		page += run;
	}
	return status;
}

int file_writer_prepare(struct file_writer *writer, uint64_t nr_pages, struct error *err)
{
	size_t size = nr_pages * MEMORY_PAGE;
	void *copies = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (copies == MAP_FAILED)
		return error_errno(err, ERROR_SYSTEM, "memory for copies of %zu bytes of RAM", size);
	writer->copies = copies;
	writer->copies_size = size;
	writer->held = calloc(nr_pages, sizeof(*writer->held));
	if (writer->held == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for copies of RAM");
	return 0;
}

static int hold_run(struct file_writer *writer, unsigned region, uint64_t page, uint64_t nr, struct error *err)
{
	const uint8_t *hva = writer->memory->regions[region].hva + page * MEMORY_PAGE;
	size_t size = nr * MEMORY_PAGE;
	if (size > writer->copies_size - writer->copies_used)
		return put_run(writer, region, page, hva, nr, err);
	uint8_t *copy = writer->copies + writer->copies_used;
	memcpy(copy, hva, size);
	writer->held[writer->nr_held++] = (struct held){ .region = region, .page = page, .nr = nr, .data = copy };
	writer->copies_used += size;
	return 0;
}

int file_writer_hold(struct file_writer *writer, const struct pages *pages, struct error *err)
{
	int status = 0;
	for (unsigned i = 0; i < pages->nr_regions; i++) {
		uint64_t page = 0, nr = 0;
		while (status == 0 && pages_next_run(pages, i, page, pages->nr_pages[i], &page, &nr)) {
			status = hold_run(writer, i, page, nr, err);
			page += nr;
		}
	}
	return status;
}

/* ---- The end ---- */

static bool has_data(const struct file_writer *writer, unsigned region, uint64_t page, uint64_t end)
{
	uint64_t found, nr;
	return pages_next_run(&writer->has_data, region, page, end, &found, &nr);
}

/* The checksums of chunks from those of their pages; the file need not be read again. */
static void sum_up(struct file_writer *writer)
{
	uint32_t *crc = (uint32_t *)(void *)writer->checksums.data;
	uint32_t zero_chunk = crc32c_of_zeros(0, FORMAT_CHUNK);
	for (unsigned i = 0; i < writer->memory->nr_regions; i++) {
		uint64_t nr_pages = writer->has_data.nr_pages[i];
		for (uint64_t page = 0; page < nr_pages; crc++) {
			uint64_t end = page + CHUNK_PAGES < nr_pages ? page + CHUNK_PAGES : nr_pages;
			bool is_hole = end - page == CHUNK_PAGES && !has_data(writer, i, page, end);
			*crc = is_hole ? zero_chunk : 0;
			for (; page < end && !is_hole; page++)
				*crc = crc32c_append(&writer->page_shift, *crc,
						     writer->page_crcs[i][page] ^ writer->zero_page_crc);
			page = end;
		}
	}
}

static int write_held(struct file_writer *writer, struct error *err)
{
	int status = 0;
	for (size_t i = 0; i < writer->nr_held && status == 0; i++) {
		const struct held *held = &writer->held[i];
		status = put_run(writer, held->region, held->page, held->data, held->nr, err);
	}
	return status;
}

static int write_state(struct file_writer *writer, struct layout *layout, const struct image *image, struct error *err)
{
	struct buffer state = { 0 };
	int status = layout_make(layout, image, FORMAT_FILE, writer->ram_offset, err);
	if (status == 0)
		status = layout_serialize(layout, image, &state, err);
	if (status == 0 && io_pwrite_full(writer->file.fd, state.data, state.size, 0) < 0)
		status = error_errno(err, ERROR_IO, "%s: writing state", writer->file.path);
	/* What is zero at the end is a hole too. */
	if (status == 0 && ftruncate(writer->file.fd, (off_t)layout->size) < 0)
		status = error_errno(err, ERROR_IO, "%s: setting its size to %llu bytes", writer->file.path,
				     (unsigned long long)layout->size);
	buffer_done(&state);
	return status;
}

int file_writer_finish(struct file_writer *writer, const struct image *image, struct error *err)
{
	struct image complete = *image; /* with the checksums of this file; owns nothing */
	complete.memory = writer->memory;
	complete.ram_checksums = writer->checksums;
	struct layout *layout = malloc(sizeof(*layout));
	if (layout == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's layout");
	int status = write_held(writer, err);
	if (status == 0) {
		sum_up(writer);
		status = write_state(writer, layout, &complete, err);
	}
	if (status == 0)
		status = new_file_commit(&writer->file, err);
	free(layout);
	return status;
}

uint64_t file_writer_written(const struct file_writer *writer)
{
	return writer->written;
}

void file_writer_free(struct file_writer *writer)
{
	if (writer == NULL)
		return;
	new_file_done(&writer->file);
	for (unsigned i = 0; i < MEMORY_REGIONS_MAX; i++)
		free(writer->page_crcs[i]);
	if (writer->copies != NULL)
		munmap(writer->copies, writer->copies_size);
	free(writer->held);
	pages_done(&writer->has_data);
	buffer_done(&writer->checksums);
	free(writer);
}
