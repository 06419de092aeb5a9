#include "bytes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool range_is_inside(uint64_t offset, uint64_t size, uint64_t total)
{
	return offset <= total && size <= total - offset;
}

bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

bool bytes_slice(struct bytes bytes, uint64_t offset, uint64_t size, struct bytes *ret_part)
{
	if (!range_is_inside(offset, size, bytes.size))
		return false;
	*ret_part = (struct bytes){ .data = bytes.data + offset, .size = (size_t)size };
	return true;
}

bool bytes_read(struct bytes bytes, uint64_t offset, void *ret, size_t size)
{
	if (!range_is_inside(offset, size, bytes.size))
		return false;
	memcpy(ret, bytes.data + offset, size);
	return true;
}

bool bytes_are_zero(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	/* The first byte is zero and every byte equals the one before it: memcmp is as fast as the machine allows. */
	return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

size_t bytes_same(const void *a, const void *b, size_t size)
{
	enum { STEP = 64 }; /* which memcmp() compares at once */
	const uint8_t *left = a, *right = b;
	size_t same = 0;
	while (size - same >= STEP && memcmp(left + same, right + same, STEP) == 0)
		same += STEP;
	while (same < size && left[same] == right[same])
		same++;
	return same;
}

uint64_t align_up(uint64_t value, uint64_t alignment)
{
	assert(alignment != 0 && (alignment & (alignment - 1)) == 0);
	return (value + alignment - 1) & ~(alignment - 1);
}

struct buffer buffer_borrow(struct bytes bytes)
{
	return (struct buffer){ .data = (uint8_t *)(uintptr_t)bytes.data, .size = bytes.size };
}

bool buffer_own(struct buffer *buffer)
{
	struct buffer own = { 0 };
	if (buffer->data == NULL || buffer->capacity != 0)
		return true;
	if (buffer_append(&own, buffer->data, buffer->size) == NULL)
		return false;
	*buffer = own;
	return true;
}

void *buffer_append(struct buffer *buffer, const void *data, size_t size)
{
	if (!buffer_own(buffer))
		return NULL;
	if (size > SIZE_MAX / 2 - buffer->size)
		return NULL;
	if (buffer->data == NULL || buffer->size + size > buffer->capacity) {
		size_t capacity = buffer->capacity != 0 ? buffer->capacity : 256;
		while (capacity < buffer->size + size)
			capacity *= 2;
		uint8_t *grown = realloc(buffer->data, capacity);
		if (grown == NULL)
			return NULL;
		buffer->data = grown;
		buffer->capacity = capacity;
	}
	uint8_t *at = buffer->data + buffer->size;
	if (data != NULL)
		memcpy(at, data, size);
	else
		memset(at, 0, size);
	buffer->size += size;
	return at;
}

struct bytes buffer_bytes(const struct buffer *buffer)
{
	return (struct bytes){ .data = buffer->data, .size = buffer->size };
}

void buffer_done(struct buffer *buffer)
{
	if (buffer->capacity != 0)
		free(buffer->data);
	*buffer = (struct buffer){ 0 };
}
