/*
 * A snapshot file that is being written, RAM first: each page goes to its place in the file, again and again while the
 * guest changes it, until the machine's state says which instant the file is of.
 */
#ifndef STASIS_SNAPSHOT_FILE_WRITER_H
#define STASIS_SNAPSHOT_FILE_WRITER_H

#include "image.h"

struct file_writer;

/*
 * Starts a file that takes the name path when it is finished (new_file_commit()).  RAM starts at ram_offset, a multiple
 * of a page that leaves room for the state (layout_ram_offset_max()), or that of the image's own layout.  The memory
 * must stay where it is until file_writer_free().
 */
int file_writer_create(struct file_writer **ret, const struct memory *memory, const char *path, uint64_t ram_offset,
		       struct error *err);

/*
 * Writes those of the set's pages that lie in [page, page + nr) of a region.  Pages of zeros take no room, unless they
 * were written with something else in them before.  A page that the guest changes meanwhile must be written again.
 */
int file_writer_write(struct file_writer *writer, const struct pages *pages, unsigned region, uint64_t page,
		      uint64_t nr, struct error *err);

/* Makes ready for file_writer_hold() of so many pages, so that it need not ask for memory. */
int file_writer_prepare(struct file_writer *writer, uint64_t nr_pages, struct error *err);

/*
 * Copies the set's pages, which file_writer_finish() writes: the guest may then change them.  Those for which nothing
 * was prepared are written at once.
 */
int file_writer_hold(struct file_writer *writer, const struct pages *pages, struct error *err);

/*
 * Writes what was held, checksums and state, brings the file to the disk and gives it its name.  Needs no machine, and
 * may be called by another thread than the rest.
 */
int file_writer_finish(struct file_writer *writer, const struct image *image, struct error *err);

/* Bytes of RAM that were written, pages that were written twice counted twice. */
uint64_t file_writer_written(const struct file_writer *writer);

/* Without file_writer_finish(), nothing of the file stays.  Takes NULL. */
void file_writer_free(struct file_writer *writer);

#endif
