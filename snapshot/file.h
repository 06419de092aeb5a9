/*
 * Snapshot files and streams: writing an image, reading one.  Everything that is read is checked before it is believed.
 */
#ifndef STASIS_SNAPSHOT_FILE_H
#define STASIS_SNAPSHOT_FILE_H

#include "format.h"
#include "image.h"

/*
 * Writes the image and its RAM to a file under a temporary name, brings it to the disk and renames it: at every moment
 * either what stood at path before or the whole new snapshot is there.  The machine that the RAM belongs to must be
 * paused.
 */
int file_write(const struct image *image, const char *path, struct error *err);

/*
 * As file_write(), with these pages of RAM only: of an image that is incremental its image_pages(), of a whole one all
 * that are not zero.
 */
int file_write_pages(const struct image *image, const struct pages *pages, const char *path, struct error *err);

/* Writes the image as a stream to a descriptor that need not be seekable.  name is for errors. */
int file_write_stream(const struct image *image, int fd, const char *name, struct error *err);

/* The bytes of such a stream in front of its RAM.  The caller ends *ret. */
int file_write_state(const struct image *image, struct buffer *ret, struct error *err);

/*
 * Reads a snapshot: a file, whose RAM is mapped privately, page by page on demand, or a stream, whose RAM is read.
 * path "-" is standard input.  All of the state is checked: layout, checksums, versions, every section's size and
 * rules. The caller frees *ret (image_done()). Errors: ERROR_DATA damaged or no snapshot, ERROR_VERSION newer than this
 * program, ERROR_NO_INPUT, ERROR_IO.
 *
 * Of an incremental snapshot, its parents are read with it (chain_complete()), and RAM is mapped from all of them.
 */
int file_read(const char *path, struct image *ret, struct error *err);

/*
 * As file_read(), but RAM of a file is read, too, into memory of its own, and held against the checksums on the way:
 * what happens to the file afterwards does not matter.  ERROR_DATA names the range that is damaged.
 */
int file_read_copy(const char *path, struct image *ret, struct error *err);

/* As file_read(), without RAM: of an incremental snapshot, the parent need not be there. */
int file_read_state(const char *path, struct image *ret, struct error *err);

/*
 * Reads the bytes of file_write_state(), which are copied: an image without RAM.  name is for errors.
 */
int file_read_state_of(struct bytes bytes, const char *name, struct image *ret, struct error *err);

/*
 * Reads all RAM of the image that came from path, and that of its parents, and holds it against the checksums.
 * ERROR_DATA names the range.
 */
int file_verify_ram(const struct image *image, struct error *err);

/* file_read() and file_verify_ram() in one: where RAM is not good, *ret is empty. */
int file_read_verified(const char *path, struct image *ret, struct error *err);

#endif
