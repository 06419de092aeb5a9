/*
 * Whole reads and writes, and files that appear whole or not at all.
 */
#ifndef STASIS_VMM_IO_H
#define STASIS_VMM_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bytes.h"
#include "error.h"

/* Reads until size bytes are there or the file ends; returns how many there were, or -1 with errno set. */
ssize_t io_read_full(int fd, void *ret, size_t size);

/* Writes all size bytes; 0, or -1 with errno set. */
int io_write_full(int fd, const void *data, size_t size);
int io_pwrite_full(int fd, const void *data, size_t size, uint64_t offset);

/* As io_read_full(), from offset on, without moving the file's position. */
ssize_t io_pread_full(int fd, void *ret, size_t size, uint64_t offset);

/* Reads all size bytes if the page cache has them.  False where it has not, and where the file system cannot tell. */
bool io_pread_cached(int fd, void *ret, size_t size, uint64_t offset);

/* Are the bytes a hole of the file?  Moves the file's position.  False where the file system cannot tell. */
bool io_is_hole(int fd, uint64_t offset, uint64_t size);

/*
 * The next stretch of the file, at or behind offset, that is no hole; all of the rest where the file system cannot
 * tell.  False where there is none.  Moves the file's position.
 */
bool io_next_data(int fd, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end);

/*
 * Reads a whole file of at most size_max bytes.  Errors name the path.
 * The caller owns *ret (buffer_done()).
 */
int io_read_file(const char *path, size_t size_max, struct buffer *ret, struct error *err);

/*
 * A file that takes its name only when all of it is on the disk: written without a name (O_TMPFILE), fsync, a temporary
 * name in the same folder, rename, fsync of the folder.  Whatever stood under that name stays whole until the rename,
 * and a file that is open or mapped under that name keeps its contents.
 *
 * Killed at any moment before the link, it leaves nothing; between link and rename, or where the file system knows no
 * nameless files, a file PATH.stasis-unfinished, which the next one that is written to PATH removes.
 */
struct new_file {
	int fd;
	char *path, *temporary; /* owned */
	bool is_named;          /* it stands in the folder as temporary */
};

/* Refuses a path that is a folder, a device or a dangling link, by name. */
int new_file_create(struct new_file *ret, const char *path, struct error *err);
int new_file_commit(struct new_file *file, struct error *err);
/* Removes the temporary file if the file was not committed.  Takes NULL and all zero. */
void new_file_done(struct new_file *file);

#endif
