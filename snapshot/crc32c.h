/*
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78; RFC 3720 appendix B.4): the checksum of everything in a
 * snapshot. Chosen over a faster hash because it finds every error of up to 3 bits and every burst of up to 32 in what
 * it covers, and because x86-64 CPUs have had an instruction for it since SSE4.2.
 */
#ifndef STASIS_SNAPSHOT_CRC32C_H
#define STASIS_SNAPSHOT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of size more bytes behind those that gave crc; 0 to start. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* As crc32c(), of size zero bytes. */
uint32_t crc32c_of_zeros(uint32_t crc, uint64_t size);

/*
 * Checksums of parts put together: the CRC is linear, so what so many zero bytes do to each of its bits says what they
 * do to any value, and the checksum of A and B is that of A and zeros, xor that of B.
 */
struct crc32c_shift {
	uint32_t table[4][256]; /* for each byte of the checksum */
};

/* For parts B of size bytes. */
void crc32c_shift_init(struct crc32c_shift *ret, size_t size);

/* The checksum of A and, behind it, B of the shift's size. */
uint32_t crc32c_append(const struct crc32c_shift *shift, uint32_t crc_a, uint32_t crc_b);

#endif
