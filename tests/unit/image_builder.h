/*
 * Snapshots made by hand: images whose values come from a pattern instead of a machine, and the bytes of files and
 * streams with what it takes to damage them and make their checksums right again.
 */
#ifndef STASIS_TESTS_IMAGE_BUILDER_H
#define STASIS_TESTS_IMAGE_BUILDER_H

#include "snapshot/file.h"
#include "snapshot/image.h"

#define BUILD_RAM     (1u << 20)
#define BUILD_ROM_GPA 0xffff0000ull
#define BUILD_ROM     (64u << 10)

/*
 * A machine with all the state that it can have, 1 MiB of RAM and a ROM.  Every field has a value other than zero,
 * padding is zero.  RAM is untouched.  image_done() frees it.
 */
void image_build(struct image *ret, uint32_t nr_vcpus, uint32_t irqchip);

/* Fills a page of the image's memory. */
void image_build_page(const struct image *image, uint64_t gpa, uint8_t seed);

/* The section of a component's instance, which must be there. */
struct section *image_section(struct image *image, const char *component, unsigned instance);

/* The bytes of a field, "cs.base", in a section that holds one struct. */
uint8_t *image_field(struct image *image, const char *component, unsigned instance, const char *field);

/* What file_write() and file_write_stream() make of it.  buffer_done() frees it. */
struct buffer image_to_file(const struct image *image);
struct buffer image_to_stream(const struct image *image);

/* The parts of a file or stream in memory. */
struct format_header *file_header(const struct buffer *file);
struct format_section *file_entry(const struct buffer *file, uint32_t index);
/* The entry of a component's instance; FORMAT_RAM_CHECKSUMS is one.  It must be there. */
struct format_section *file_find(const struct buffer *file, uint16_t component, uint16_t instance);

/* Makes all checksums right again. */
void file_seal(const struct buffer *file);

/* Gives the sections the places that their lengths ask for, and the header the size; the file grows. */
void file_place(struct buffer *file);

/* How the bytes reach file_read(). */
enum read_way { READ_FILE, READ_PIPE, READ_WAYS };

/* file_read() of the bytes: as a file that can be mapped, or as standard input that is a pipe. */
int file_read_bytes(struct bytes bytes, enum read_way way, struct image *ret, struct error *err);

#endif
