/*
 * Files that guest memory is mapped from.  Such a file can shrink, and its disk can fail, while a guest runs on it: the
 * host then raises SIGBUS where we touch the memory, and KVM gives an error, or goes astray, where the guest does. Here
 * stands which file lies where, so that whoever meets that can name it.
 */
#ifndef STASIS_VMM_MAPPED_FILE_H
#define STASIS_VMM_MAPPED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapped_file;

/*
 * Notes that size bytes from address on, or some pages of them, are a file's, from offset on; below is the file that
 * the other pages are from, or NULL: it belongs to the new one from now on.  The descriptor is duplicated, the name
 * copied.  NULL with errno set where that fails.
 */
struct mapped_file *mapped_file_create(const char *path, int fd, const void *address, uint64_t size, uint64_t offset,
				       struct mapped_file *below);

/* Those below it, too.  Takes NULL.  To be called before the memory is unmapped. */
void mapped_file_free(struct mapped_file *file);

/*
 * The file that address is mapped from, or NULL; where several may be, one that has shrunk.  For signal handlers, too.
 */
const struct mapped_file *mapped_file_at(const void *address);

/* The sentence for the user whose file cannot be read any more: it names the file and what to do. */
const char *mapped_file_lost(const struct mapped_file *file);

/* Is the file a hole where size bytes are mapped from offset of the mapping on? */
bool mapped_file_is_hole(const struct mapped_file *file, uint64_t offset, uint64_t size);

/* Reads from the file itself; false where that fails. */
bool mapped_file_read(const struct mapped_file *file, uint64_t offset, void *ret, size_t size);

/* The file that pages which this one does not have are from, or NULL. */
const struct mapped_file *mapped_file_below(const struct mapped_file *file);

/*
 * The next stretch of the file's own part of the mapping, at or behind offset, that is no hole: whole pages of 4096
 * bytes.  False where there is none.
 */
bool mapped_file_next_data(const struct mapped_file *file, uint64_t offset, uint64_t *ret_start, uint64_t *ret_end);

/* The file, or that of those below it, that ends before what is mapped of it; NULL: none.  Takes NULL. */
const struct mapped_file *mapped_file_shrunk(const struct mapped_file *file);

#endif
