/*
 * Seeds from real snapshots: fuzz_seed SNAPSHOT NAME FOLDER cuts the snapshot's RAM down to its first page and puts it,
 * and each of its sections, among the inputs of the targets in FOLDER.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "crc_fix.h"
#include "fuzz.h"
#include "snapshot/file.h"
#include "vmm/io.h"

#define FILE_MAX   (1u << 20)
#define SHORT_LIST 8 /* entries: the same code runs for the others */

static void write_seed(const char *folder, const char *name, const void *head, size_t head_size, struct bytes rest)
{
	char path[4096];
	struct buffer seed = { 0 };
	struct new_file file;
	FUZZ_CHECK(snprintf(path, sizeof(path), "%s/%s", folder, name) < (int)sizeof(path));
	FUZZ_CHECK(buffer_append(&seed, head, head_size) != NULL);
	FUZZ_CHECK(rest.size == 0 || buffer_append(&seed, rest.data, rest.size) != NULL);
	FUZZ_CHECK(new_file_create(&file, path, NULL) == 0);
	FUZZ_CHECK(io_write_full(file.fd, seed.data, seed.size) == 0 && new_file_commit(&file, NULL) == 0);
	new_file_done(&file);
	buffer_done(&seed);
}

/* One page of RAM, and of each list the first entries. */
static void shrink(struct image *image, struct memory *ret_memory)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		struct section *section = &image->sections[i];
		size_t size = SHORT_LIST * (size_t)section->component->schema->size;
		if (section->component->shape == COMPONENT_LIST && section->payload.size > size)
			section->payload.size = size;
	}
	const struct section *section = image_find_named(image, "machine", 0);
	struct machine *machine = (struct machine *)(void *)section->payload.data;
	machine->nr_ranges = 1;
	memset(machine->ranges, 0, sizeof(machine->ranges));
	machine->ranges[0].size = MEMORY_PAGE;
	*ret_memory = *image->memory;
	ret_memory->nr_regions = 1;
	ret_memory->regions[0].range = machine->ranges[0];
	image->memory = ret_memory;
}

#define FILE_FLAGS (FUZZ_FIX_CRCS | FUZZ_FIX_PLACES | FUZZ_SHOW)

/* What the image is in a file, behind the target's flags; zeros at its end are left to the target. */
static void write_file(const struct image *image, const char *folder, const char *name, const char *kind)
{
	const uint8_t flags = FILE_FLAGS;
	char path[4096], seed[128];
	struct buffer file = { 0 };
	snprintf(seed, sizeof(seed), "%s-%s", name, kind);
	FUZZ_CHECK(snprintf(path, sizeof(path), "%s/%s", folder, seed) < (int)sizeof(path));
	FUZZ_CHECK(file_write(image, path, NULL) == 0 && io_read_file(path, FILE_MAX, &file, NULL) == 0);
	while (file.size > 0 && file.data[file.size - 1] == 0)
		file.size--;
	write_seed(folder, seed, &flags, 1, buffer_bytes(&file));
	buffer_done(&file);
}

/* A difference to a parent that is not there. */
static void write_child(struct image *image, const char *folder, const char *name)
{
	const uint8_t parent_id[IMAGE_ID_SIZE] = "a parent";
	struct pages pages;
	FUZZ_CHECK(pages_create_for(&pages, image->memory, NULL) == 0);
	pages_add(&pages, 0, 0, 1);
	FUZZ_CHECK(image_set_parent(image, parent_id, "parent", &pages, NULL) == 0);
	write_file(image, folder, name, "child");
	image_drop_parent(image);
	pages_done(&pages);
}

/* What the image is in a file and in a stream. */
static void write_snapshot(const struct image *image, const char *folder, const char *name)
{
	const uint8_t stream_flags = FILE_FLAGS | FUZZ_IS_PIPE;
	char seed[128];
	struct buffer stream = { 0 };
	write_file(image, folder, name, "file");

	int fd = memfd_create("stream", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && file_write_stream(image, fd, "stream", NULL) == 0);
	off_t size = lseek(fd, 0, SEEK_CUR);
	FUZZ_CHECK(buffer_append(&stream, NULL, (size_t)size) != NULL && lseek(fd, 0, SEEK_SET) == 0);
	FUZZ_CHECK(io_read_full(fd, stream.data, stream.size) == size);
	snprintf(seed, sizeof(seed), "%s-stream", name);
	write_seed(folder, seed, &stream_flags, 1, buffer_bytes(&stream));
	close(fd);
	buffer_done(&stream);
}

/* Each payload once, behind what the target component takes: id, instance where there are several, bit. */
static void write_components(const struct image *image, const char *folder, const char *name)
{
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		uint8_t head[6] = { (uint8_t)section->component->id };
		size_t head_size = section->component->scope == COMPONENT_VCPU ? sizeof(head) : sizeof(head) - 1;
		char seed[128];
		if (section->instance != 0)
			continue;
		snprintf(seed, sizeof(seed), "%s-%s", name, section->component->name);
		write_seed(folder, seed, head, head_size, buffer_bytes(&section->payload));
	}
}

int main(int argc, char **argv)
{
	struct image image;
	struct memory memory;
	struct error err;
	char folder[4000];
	if (argc != 4) {
		fprintf(stderr, "usage: fuzz_seed SNAPSHOT NAME FOLDER\n");
		return EXIT_FAILURE;
	}
	if (file_read(argv[1], &image, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	shrink(&image, &memory);
	snprintf(folder, sizeof(folder), "%s/component", argv[3]);
	write_components(&image, folder, argv[2]);
	snprintf(folder, sizeof(folder), "%s/snapshot", argv[3]);
	write_snapshot(&image, folder, argv[2]);
	write_child(&image, folder, argv[2]);
	image_done(&image);
	return EXIT_SUCCESS;
}
