#include "unit.h"

#include <stdint.h>
#include <string.h>

#include "vmm/bytes.h"

START_TEST(range_inside_does_not_wrap)
{
	ck_assert(range_is_inside(0, 0, 0));
	ck_assert(range_is_inside(4, 6, 10));
	ck_assert(!range_is_inside(4, 7, 10));
	ck_assert(!range_is_inside(11, 0, 10));
	ck_assert(!range_is_inside(UINT64_MAX, 2, 10));
	ck_assert(!range_is_inside(2, UINT64_MAX, 10));
}
END_TEST

START_TEST(overlap_counts_shared_bytes_only)
{
	ck_assert(ranges_overlap(0, 10, 9, 1));
	ck_assert(!ranges_overlap(0, 10, 10, 1));
	ck_assert(!ranges_overlap(10, 1, 0, 10));
	ck_assert(ranges_overlap(5, 1, 0, 10));
}
END_TEST

START_TEST(slice_and_read_stay_inside)
{
	static const uint8_t data[] = { 1, 2, 3, 4 };
	struct bytes all = { data, sizeof(data) }, part = { NULL, 77 };
	ck_assert(bytes_slice(all, 1, 3, &part));
	ck_assert(part.data == data + 1 && part.size == 3);
	ck_assert(!bytes_slice(all, 2, 3, &part));
	ck_assert_uint_eq(part.size, 3);
	uint16_t value = 9;
	ck_assert(!bytes_read(all, 3, &value, sizeof(value)));
	ck_assert_uint_eq(value, 9);
	ck_assert(bytes_read(all, 2, &value, sizeof(value)));
	ck_assert_uint_eq(value, 0x0403);
}
END_TEST

START_TEST(zero_looks_at_every_byte)
{
	uint8_t data[64] = { 0 };
	ck_assert(bytes_are_zero(data, 0));
	ck_assert(bytes_are_zero(data, sizeof(data)));
	for (size_t i = 0; i < sizeof(data); i++) {
		data[i] = 1;
		ck_assert(!bytes_are_zero(data, sizeof(data)));
		data[i] = 0;
	}
}
END_TEST

START_TEST(what_is_the_same_ends_at_the_first_other_byte)
{
	uint8_t a[200], b[200];
	memset(a, 1, sizeof(a));
	memset(b, 1, sizeof(b));
	ck_assert_uint_eq(bytes_same(a, b, 0), 0);
	ck_assert_uint_eq(bytes_same(a, b, sizeof(a)), sizeof(a));
	for (size_t at = sizeof(a); at-- > 0;) {
		b[at] = 2;
		ck_assert_uint_eq(bytes_same(a, b, sizeof(a)), at);
		ck_assert_uint_eq(bytes_same(a, b, at), at);
	}
}
END_TEST

START_TEST(buffer_keeps_what_it_was_given)
{
	struct buffer buffer = { 0 };
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_ptr_nonnull(buffer_append(&buffer, &i, sizeof(i)));
	ck_assert_uint_eq(buffer.size, 4000);
	for (uint32_t i = 0, value; i < 1000; i++) {
		memcpy(&value, buffer.data + i * 4, 4);
		ck_assert_uint_eq(value, i);
	}
	ck_assert_ptr_null(buffer_append(&buffer, NULL, SIZE_MAX - 10));
	buffer_done(&buffer);
	ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(borrowed_bytes_are_left_alone)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct buffer buffer = buffer_borrow((struct bytes){ bytes, sizeof(bytes) });
	ck_assert_ptr_eq(buffer.data, bytes);
	ck_assert(buffer_own(&buffer) && buffer_own(&buffer));
	ck_assert_ptr_ne(buffer.data, bytes);
	ck_assert_uint_eq(buffer.size, sizeof(bytes));
	buffer.data[0] = 9;
	buffer_done(&buffer);
	buffer = buffer_borrow((struct bytes){ bytes, sizeof(bytes) });
	ck_assert_ptr_nonnull(buffer_append(&buffer, bytes, 1));
	ck_assert_uint_eq(buffer.size, sizeof(bytes) + 1);
	ck_assert_uint_eq(buffer.data[3], 4);
	buffer_done(&buffer);
	buffer = buffer_borrow((struct bytes){ bytes, sizeof(bytes) });
	buffer_done(&buffer);
	ck_assert_ptr_null(buffer.data);
	ck_assert_uint_eq(bytes[0], 1);
}
END_TEST

UNIT_MAIN("bytes", range_inside_does_not_wrap, overlap_counts_shared_bytes_only, slice_and_read_stay_inside,
	  zero_looks_at_every_byte, what_is_the_same_ends_at_the_first_other_byte, buffer_keeps_what_it_was_given,
	  borrowed_bytes_are_left_alone)
