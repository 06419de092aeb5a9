#include "mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io.h"

/* Of one process: two chains of up to 32 snapshots (CHAIN_MAX) of four regions each are compared. */
#define MAPPED_MAX 256

struct mapped_file {
	const uint8_t *address;
	uint64_t size, offset;
	int fd;
	char *lost;
	struct mapped_file *below;
};

/* A handler of SIGBUS is given nothing but the address, so what is mapped stands here. */
static _Atomic(const struct mapped_file *) mapped_files[MAPPED_MAX];

static bool replace(const struct mapped_file *old, const struct mapped_file *new)
{
	for (size_t i = 0; i < MAPPED_MAX; i++) {
		const struct mapped_file *expected = old;
		if (atomic_compare_exchange_strong(&mapped_files[i], &expected, new))
			return true;
	}
	return false;
}

struct mapped_file *mapped_file_create(const char *path, int fd, const void *address, uint64_t size, uint64_t offset,
				       struct mapped_file *below)
{
	struct mapped_file *file = malloc(sizeof(*file));
	if (file == NULL)
		return NULL;
	*file = (struct mapped_file){ .address = address, .size = size, .offset = offset };
	file->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (asprintf(
		    &file->lost,
		    "%s: RAM cannot be read from it any more: the file was truncated while it was mapped, or its disk failed "
		    "or is full; take a whole copy of it (restore --copy reads RAM at the start and maps nothing)",
		    path) < 0)
		file->lost = NULL;
	if (file->fd >= 0 && file->lost != NULL) {
		if (replace(NULL, file)) {
			file->below = below;
			return file;
		}
		errno = EMFILE;
	}
	mapped_file_free(file);
	return NULL;
}

void mapped_file_free(struct mapped_file *file)
{
	while (file != NULL) {
		struct mapped_file *below = file->below;
		replace(file, NULL);
		if (file->fd >= 0)
			close(file->fd);
		free(file->lost);
		free(file);
		file = below;
	}
}

static bool has_shrunk(const struct mapped_file *file)
{
	struct stat st;
	return fstat(file->fd, &st) == 0 && (uint64_t)st.st_size < file->offset + file->size;
}

const struct mapped_file *mapped_file_at(const void *address)
{
	const uint8_t *at = address;
	const struct mapped_file *found = NULL;
	for (size_t i = 0; i < MAPPED_MAX; i++) {
		const struct mapped_file *file = atomic_load(&mapped_files[i]);
		if (file == NULL || at < file->address || (uint64_t)(at - file->address) >= file->size)
			continue;
		if (found == NULL || has_shrunk(file))
			found = file;
	}
	return found;
}

const char *mapped_file_lost(const struct mapped_file *file)
{
	return file->lost;
}

bool mapped_file_is_hole(const struct mapped_file *file, uint64_t offset, uint64_t size)
{
	return io_is_hole(file->fd, file->offset + offset, size);
}

const struct mapped_file *mapped_file_shrunk(const struct mapped_file *file)
{
	while (file != NULL && !has_shrunk(file))
		file = file->below;
	return file;
}

bool mapped_file_read(const struct mapped_file *file, uint64_t offset, void *ret, size_t size)
{
	return io_pread_full(file->fd, ret, size, file->offset + offset) == (ssize_t)size;
}

const struct mapped_file *mapped_file_below(const struct mapped_file *file)
{
	return file->below;
}

bool mapped_file_next_data(const struct mapped_file *file, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end)
{
	const uint64_t page = 4096;
	uint64_t start, end;
	if (offset >= file->size || !io_next_data(file->fd, file->offset + offset, &start, &end) ||
	    start >= file->offset + file->size)
		return false;
	if (end > file->offset + file->size)
		end = file->offset + file->size;
	*ret_start = (start - file->offset) & ~(page - 1);
	*ret_end = align_up(end - file->offset, page);
	return true;
}
