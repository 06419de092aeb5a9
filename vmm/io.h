/*
 * Whole reads and writes, and files that appear whole or not at all.
 */
#ifndef STASIS_VMM_IO_H
#define STASIS_VMM_IO_H

#include <stdint.h>
#include <sys/types.h>

#include "bytes.h"
#include "error.h"

/* Reads until size bytes are there or the file ends; returns how many there were, or -1 with errno set. */
ssize_t io_read_full(int fd, void *ret, size_t size);

/* Writes all size bytes; 0, or -1 with errno set. */
int io_write_full(int fd, const void *data, size_t size);
int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset);

/*
 * Reads a whole file of at most size_max bytes.  Errors name the path.
 * The caller owns *ret (buffer_done()).
 */
int io_read_file(const char *path, size_t size_max, struct buffer *ret, struct error *err);

/*
 * A file that is written under a temporary name in the same folder and takes its own name only when all of
 * it is on the disk: fsync, rename, fsync of the folder.  Whatever stood under that name stays whole until then;
 * a file that is open or mapped under that name keeps its contents.
 */
struct new_file {
	int fd;
	char *path, *temporary; /* owned */
};

/* Refuses a path that is a folder or a device, by name. */
int new_file_create(struct new_file *ret, const char *path, struct error *err);
int new_file_commit(struct new_file *file, struct error *err);
/* Removes the temporary file if the file was not committed.  Takes NULL and all zero. */
void new_file_done(struct new_file *file);

#endif
