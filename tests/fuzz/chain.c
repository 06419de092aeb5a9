/*
 * Incremental snapshots: a child, its parent, and the whole snapshot behind it, each a memory file that the next one
 * names by its descriptor.  The input says which pages each has, and changes bytes.  What can be read after that is
 * held against a second, plainer way to find a page.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc_fix.h"
#include "snapshot/file.h"
#include "vmm/io.h"
#include "zero_image.h"

#define FILES     3
#define FD_FIRST  60 /* the child's descriptor; the parent's is the next one */
#define RAM_PAGES 3
#define RAM_SIZE  (RAM_PAGES * MEMORY_PAGE)
#define ALL_PAGES ((1u << RAM_PAGES) - 1)
#define FILE_MAX  (1u << 17)
#define CHANGES   32

enum flags { FIRST = 3, IS_COPIED = 4, KEEP_CRCS = 8, IS_VERIFIED = 16 };

/* Where bytes are changed: anywhere, or in the parts that tie the files together. */
enum part { PART_ANY, PART_HEADER, PART_TABLE, PART_PARENT, PART_PAGES, PARTS };

static const struct machine machine = {
	.nr_vcpus = 1, .irqchip = IRQCHIP_NONE, .nr_ranges = 1, .ranges = { { .size = RAM_SIZE } }
};

struct file {
	uint8_t *data;
	size_t size;
};

static uint16_t ram_id;

static uint32_t nr_sections(const struct file *file)
{
	struct format_header header;
	memcpy(&header, file->data, sizeof(header));
	return header.nr_sections < IMAGE_SECTIONS_MAX ? header.nr_sections : 0;
}

/* The bytes of a section; none where the file, which may have been changed, has none inside itself. */
static struct file find(const struct file *file, uint16_t id)
{
	uint64_t at = sizeof(struct format_header);
	for (uint32_t i = 0; i < nr_sections(file); i++, at += sizeof(struct format_section)) {
		struct format_section entry;
		if (!bytes_read((struct bytes){ file->data, file->size }, at, &entry, sizeof(entry)))
			break;
		if (entry.component == id && range_is_inside(entry.offset, entry.length, file->size))
			return (struct file){ file->data + entry.offset, (size_t)entry.length };
	}
	return (struct file){ file->data, 0 };
}

static struct file find_part(const struct file *file, enum part part)
{
	switch (part) {
	case PART_HEADER:
		return (struct file){ file->data, sizeof(struct format_header) };
	case PART_TABLE:
		return (struct file){ file->data + sizeof(struct format_header),
				      nr_sections(file) * sizeof(struct format_section) };
	case PART_PARENT:
		return find(file, FORMAT_PARENT);
	case PART_PAGES:
		return find(file, FORMAT_RAM_PAGES);
	default:
		return *file;
	}
}

/* ---- the files before they are changed ---- */

static void write_file(struct image *image, unsigned index, const char *path)
{
	uint8_t *ram = image->ram.regions[0].hva;
	struct pages pages;
	FUZZ_CHECK(pages_create_for(&pages, image->memory, NULL) == 0);
	pages_add(&pages, 0, 0, RAM_PAGES);
	for (unsigned page = 0; page < RAM_PAGES; page++)
		memset(ram + page * MEMORY_PAGE, (int)(16 * index + page + 1), MEMORY_PAGE);
	image->header.id[0] = (uint8_t)(index + 1);
	if (index + 1 < FILES) {
		const uint8_t parent_id[IMAGE_ID_SIZE] = { (uint8_t)(index + 2) };
		char name[16];
		snprintf(name, sizeof(name), "%u", FD_FIRST + index + 1);
		FUZZ_CHECK(image_set_parent(image, parent_id, name, &pages, NULL) == 0);
	}
	FUZZ_CHECK(file_write(image, path, NULL) == 0);
	image_drop_parent(image);
	pages_done(&pages);
}

static void make_files(struct buffer files[FILES])
{
	char folder[] = P_tmpdir "/stasis-fuzz-XXXXXX", path[sizeof(folder) + 2];
	struct image image = { 0 };
	image.memory = &image.ram;
	FUZZ_CHECK(mkdtemp(folder) != NULL);
	snprintf(path, sizeof(path), "%s/f", folder);
	FUZZ_CHECK(memory_add(&image.ram, &machine.ranges[0], NULL) == 0);
	fuzz_add_zero_state(&image, &machine);
	for (unsigned i = 0; i < FILES; i++) {
		int fd = memfd_create("fuzz", MFD_CLOEXEC);
		write_file(&image, i, path);
		FUZZ_CHECK(io_read_file(path, FILE_MAX, &files[i], NULL) == 0);
		FUZZ_CHECK(fd >= 0 && dup3(fd, (int)(FD_FIRST + i), O_CLOEXEC) >= 0);
		FUZZ_CHECK(ftruncate(fd, (off_t)files[i].size) == 0);
		close(fd);
	}
	unlink(path);
	rmdir(folder);
	image_done(&image);
}

/* ---- an input ---- */

/* Pages that a file has not are zeros in it. */
static void take_pages(const struct file *file, unsigned pages)
{
	struct file words = find(file, FORMAT_RAM_PAGES), ram = find(file, ram_id);
	if (words.size > 0)
		words.data[0] = (uint8_t)pages;
	for (unsigned page = 0; page < RAM_PAGES; page++)
		if ((pages & 1u << page) == 0)
			memset(ram.data + page * MEMORY_PAGE, 0, MEMORY_PAGE);
}

static void fix_crcs(const struct file *file)
{
	struct file checksums = find(file, FORMAT_RAM_CHECKSUMS), ram = find(file, ram_id);
	uint32_t crc = crc32c(0, ram.data, ram.size);
	if (checksums.size >= sizeof(crc))
		memcpy(checksums.data, &crc, sizeof(crc));
	fuzz_fix_crcs(file->data, file->size);
}

static void change(struct file files[FILES], struct bytes *input)
{
	for (unsigned i = 0; i < CHANGES && input->size > 0; i++) {
		unsigned where = (unsigned)fuzz_take(input, 1);
		uint64_t at = fuzz_take(input, 2);
		struct file part = find_part(&files[where % FILES], where / FILES % PARTS);
		uint8_t value = (uint8_t)fuzz_take(input, 1);
		if (part.size > 0)
			part.data[at % part.size] ^= value;
	}
}

/* ---- what must come out ---- */

/* The file that a snapshot's parent name is that of: descriptors have two digits.  Its id is the one that is asked for.
 */
static unsigned parent_of(const struct file files[FILES], unsigned child)
{
	struct file name = find(&files[child], FORMAT_PARENT);
	FUZZ_CHECK(name.size >= 2);
	unsigned fd = (unsigned)(name.data[name.size - 2] - '0') * 10 + (unsigned)(name.data[name.size - 1] - '0');
	FUZZ_CHECK(fd >= FD_FIRST && fd < FD_FIRST + FILES);
	unsigned parent = fd - FD_FIRST;
	FUZZ_CHECK(memcmp(files[parent].data + offsetof(struct format_header, image.id),
			  files[child].data + offsetof(struct format_header, image.parent_id), IMAGE_ID_SIZE) == 0);
	return parent;
}

static const uint8_t *expected_page(const struct file files[FILES], unsigned index, unsigned page)
{
	for (unsigned i = 0; i < FILES; i++) {
		struct format_header header;
		struct file words = find(&files[index], FORMAT_RAM_PAGES), ram = find(&files[index], ram_id);
		memcpy(&header, files[index].data, sizeof(header));
		bool is_whole = bytes_are_zero(header.image.parent_id, IMAGE_ID_SIZE);
		if (is_whole || (words.data[0] & 1u << page) != 0)
			return ram.data + page * MEMORY_PAGE;
		index = parent_of(files, index);
	}
	FUZZ_CHECK(false); /* they go round in a circle */
	return NULL;
}

static void check_image(const struct image *image, const struct file files[FILES], unsigned first)
{
	FUZZ_CHECK(image->memory->nr_regions == 1 && memory_ram_low(image->memory) == RAM_SIZE);
	uint64_t gpa = image->memory->regions[0].range.gpa; /* the input may have moved it */
	for (unsigned page = 0; page < RAM_PAGES; page++)
		FUZZ_CHECK(memcmp(memory_at(image->memory, gpa + page * MEMORY_PAGE, MEMORY_PAGE),
				  expected_page(files, first, page), MEMORY_PAGE) == 0);
}

/* Flags, each file's pages, then changes: file and part, place, value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buffer fresh[FILES];
	static uint8_t bytes[FILES][FILE_MAX];
	struct bytes input = { data, size };
	struct file files[FILES];
	struct image image;
	struct error err;
	char path[32];
	if (fresh[0].size == 0)
		make_files(fresh);
	ram_id = component_by_name("ram")->id;
	unsigned flags = (unsigned)fuzz_take(&input, 1), first = (flags & FIRST) % FILES;
	bool is_fixed = (flags & KEEP_CRCS) == 0;
	for (unsigned i = 0; i < FILES; i++) {
		files[i] = (struct file){ bytes[i], fresh[i].size };
		memcpy(bytes[i], fresh[i].data, fresh[i].size);
		take_pages(&files[i], i + 1 < FILES ? (unsigned)fuzz_take(&input, 1) & ALL_PAGES : ALL_PAGES);
	}
	change(files, &input);
	for (unsigned i = 0; i < FILES; i++) {
		if (is_fixed)
			fix_crcs(&files[i]);
		FUZZ_CHECK(io_pwrite_full((int)(FD_FIRST + i), files[i].data, files[i].size, 0) == 0);
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%u", FD_FIRST + first);
	int status = (flags & IS_COPIED) != 0 ? file_read_copy(path, &image, &err) : file_read(path, &image, &err);
	if (status == 0) {
		check_image(&image, files, first);
		if ((flags & IS_VERIFIED) != 0)
			FUZZ_CHECK(file_verify_ram(&image, NULL) == 0 || !is_fixed);
		image_done(&image);
	} else {
		FUZZ_CHECK(err.text[0] != '\0');
		FUZZ_CHECK(err.code == ERROR_DATA || err.code == ERROR_VERSION || err.code == ERROR_NO_INPUT);
	}
	return 0;
}
