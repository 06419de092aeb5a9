/*
 * Bounds-checked reading of bytes that came from outside: images, snapshot files, streams.
 * Every offset and length is 64 bits wide and is checked without wrapping.
 */
#ifndef STASIS_VMM_BYTES_H
#define STASIS_VMM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A view of bytes that somebody else owns. */
struct bytes {
	const uint8_t *data;
	size_t size;
};

/* Is [offset, offset + size) inside a thing of total bytes? */
bool range_is_inside(uint64_t offset, uint64_t size, uint64_t total);

/* Do [a, a + a_size) and [b, b + b_size) share a byte?  Neither may wrap. */
bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size);

/* The part [offset, offset + size) of bytes; false, and *ret_part unchanged, where it is not all inside. */
bool bytes_slice(struct bytes bytes, uint64_t offset, uint64_t size, struct bytes *ret_part);

/* Copies size bytes at offset to ret; false, and ret unchanged, where they are not all inside. */
bool bytes_read(struct bytes bytes, uint64_t offset, void *ret, size_t size);

/* Are all bytes zero? */
bool bytes_are_zero(const void *data, size_t size);

/* How many bytes are the same, from the first one on. */
size_t bytes_same(const void *a, const void *b, size_t size);

/* Rounds up to a power of two; a wrap gives 0. */
uint64_t align_up(uint64_t value, uint64_t alignment);

/*
 * Bytes that we own and that grow.  A buffer of all zero is empty; buffer_done() frees its contents.
 * One without capacity has borrowed its bytes, which must stay as long as it has them: it is read only.
 */
struct buffer {
	uint8_t *data;
	size_t size, capacity;
};

/* Appends size bytes (zero bytes where data is NULL) and returns where they stand now; NULL without memory. */
void *buffer_append(struct buffer *buffer, const void *data, size_t size);

/* Borrows bytes. */
struct buffer buffer_borrow(struct bytes bytes);

/* Makes borrowed bytes the buffer's own, to be written to; false without memory. */
bool buffer_own(struct buffer *buffer);

struct bytes buffer_bytes(const struct buffer *buffer);
void buffer_done(struct buffer *buffer);

#endif
