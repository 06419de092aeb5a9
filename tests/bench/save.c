/*
 * How long it takes to bring a machine's RAM to the disk: as a snapshot, or by nothing but write() and fsync().
 *
 *   save snapshot|plain MIB FILE
 *
 * RAM is filled, so that no page is left out.  Prints microseconds, up to the return of the last fsync().
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"
#include "snapshot/file.h"
#include "snapshot/save.h"
#include "vmm/io.h"

#define PIECE (1u << 20) /* bytes that one write() of the plain way is given */

static void fill(const struct memory_region *region)
{
	uint64_t *words = (uint64_t *)(void *)region->hva, value = 1;
	for (uint64_t i = 0; i < region->range.size / sizeof(*words); i++) {
		value = value * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
		words[i] = value;
	}
}

static void save_snapshot(struct vm *vm, const char *path)
{
	struct image image;
	struct error err;
	if (save_image(vm, &image, &err) < 0 || file_write(&image, path, &err) < 0)
		die(err.text);
	image_done(&image);
}

static void save_plain(struct vm *vm, const char *path)
{
	const struct memory_region *region = &vm->memory.regions[0];
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (uint64_t at = 0; at < region->range.size && fd >= 0; at += PIECE)
		if (io_write_full(fd, region->hva + at, PIECE) < 0)
			die("write() failed");
	if (fd < 0 || fsync(fd) < 0 || close(fd) < 0)
		die("the file could not be written");
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	if (argc != 4)
		die("usage: save snapshot|plain MIB FILE");
	struct vm *vm = make_machine(strtoul(argv[2], NULL, 0) << 20);
	fill(&vm->memory.regions[0]);
	unlink(argv[3]);
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (strcmp(argv[1], "snapshot") == 0)
		save_snapshot(vm, argv[3]);
	else
		save_plain(vm, argv[3]);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.0f\n", (double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3);
	unlink(argv[3]);
	vm_free(vm);
	return 0;
}
