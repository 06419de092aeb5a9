#include "unit.h"

#include <stdlib.h>
#include <string.h>

/* Both ways of computing it are internal: the source itself is part of this test. */
#include "snapshot/crc32c.c"

/* RFC 3720, appendix B.4, and the check value that catalogues of CRCs give. */
START_TEST(the_vectors_of_the_standard)
{
	uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];
	/* An iSCSI SCSI read (10) command. */
	static const uint8_t command[48] = {
		[0] = 0x01, [1] = 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, [32] = 0x28, [40] = 0x02
	};
	memset(ones, 0xff, sizeof(ones));
	for (unsigned i = 0; i < sizeof(up); i++) {
		up[i] = (uint8_t)i;
		down[i] = (uint8_t)(31 - i);
	}
	ck_assert_uint_eq(crc32c(0, zeros, sizeof(zeros)), 0x8a9136aa);
	ck_assert_uint_eq(crc32c(0, ones, sizeof(ones)), 0x62a8ab43);
	ck_assert_uint_eq(crc32c(0, up, sizeof(up)), 0x46dd794e);
	ck_assert_uint_eq(crc32c(0, down, sizeof(down)), 0x113fdb5c);
	ck_assert_uint_eq(crc32c(0, command, sizeof(command)), 0xd9963a56);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(0, NULL, 0), 0);
}
END_TEST

START_TEST(table_and_instruction_agree)
{
	uint8_t data[300];
	uint32_t crc = 0x12345678;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * i + 11 * i);
	if (!__builtin_cpu_supports("sse4.2"))
		return; /* the other test has then seen the table */
	for (size_t start = 0; start < 9; start++) {
		for (size_t size = 0; size < sizeof(data) - start; size++) {
			uint32_t by_table = crc_by_table(crc, data + start, size);
			ck_assert_uint_eq(by_table, crc_by_instruction(crc, data + start, size));
			crc = by_table;
		}
	}
	ck_assert_uint_eq(~crc_by_table(~0u, (const uint8_t *)"123456789", 9), 0xe3069283);
}
END_TEST

START_TEST(a_checksum_goes_on)
{
	static const char text[] = "the bytes behind those that gave a checksum";
	uint32_t whole = crc32c(0, text, sizeof(text));
	for (size_t cut = 0; cut <= sizeof(text); cut++)
		ck_assert_uint_eq(crc32c(crc32c(0, text, cut), text + cut, sizeof(text) - cut), whole);
}
END_TEST

UNIT_MAIN("crc32c", the_vectors_of_the_standard, table_and_instruction_agree, a_checksum_goes_on)
