#include "crc32c.h"

#include <stdbool.h>
#include <string.h>
#if __has_include(<sys/platform/x86.h>)
#include <sys/platform/x86.h> /* glibc from 2.33 on */
#endif

#define POLYNOMIAL 0x82f63b78u

/* Four bits at a time: for CPUs without the instruction, of which there are few. */
static uint32_t crc_by_table(uint32_t crc, const uint8_t *data, size_t size)
{
	/* clang-format off */
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};
	/* clang-format on */
	for (size_t i = 0; i < size; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const uint8_t *data, size_t size)
{
	uint64_t wide = crc, word;
	for (; size >= sizeof(word); size -= sizeof(word), data += sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
	}
	crc = (uint32_t)wide;
	while (size-- > 0)
		crc = __builtin_ia32_crc32qi(crc, *data++);
	return crc;
}

/*
 * glibc has asked the CPU already.  The compiler's own function asks it again before main(), which costs 40 us in a
 * virtual machine, where each CPUID instruction is an exit.
 */
static bool has_instruction(void)
{
#if __has_include(<sys/platform/x86.h>)
	return CPU_FEATURE_ACTIVE(SSE4_2);
#else
	return __builtin_cpu_supports("sse4.2");
#endif
}

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	crc = ~crc;
	crc = has_instruction() ? crc_by_instruction(crc, data, size) : crc_by_table(crc, data, size);
	return ~crc;
}

uint32_t crc32c_of_zeros(uint32_t crc, uint64_t size)
{
	static const uint8_t zeros[512];
	for (; size > sizeof(zeros); size -= sizeof(zeros))
		crc = crc32c(crc, zeros, sizeof(zeros));
	return crc32c(crc, zeros, (size_t)size);
}

void crc32c_shift_init(struct crc32c_shift *ret, size_t size)
{
	uint32_t from_nothing = crc32c_of_zeros(0, size); /* of the inversions at both ends: not linear, so taken out */
	for (unsigned byte = 0; byte < 4; byte++) {
		ret->table[byte][0] = 0;
		for (unsigned bit = 0; bit < 8; bit++) {
			unsigned place = 1u << bit;
			uint32_t column = crc32c_of_zeros(1u << (8 * byte + bit), size) ^ from_nothing;
			for (unsigned low = 0; low < place; low++)
				ret->table[byte][place + low] = ret->table[byte][low] ^ column;
		}
	}
}

uint32_t crc32c_append(const struct crc32c_shift *shift, uint32_t crc_a, uint32_t crc_b)
{
	return shift->table[0][crc_a & 0xff] ^ shift->table[1][crc_a >> 8 & 0xff] ^
	       shift->table[2][crc_a >> 16 & 0xff] ^ shift->table[3][crc_a >> 24] ^ crc_b;
}
