/*
 * How what most runs do not need is packed into the program, the guests' images and most of its texts: as literals, and
 * repetitions of what was there before, in bits that take the less room the better they were foreseen.  A range coder,
 * as LZMA has one: what is possible yet lies from low to high, and a bit divides that by how probable it was; the
 * leading bytes on which both ends agree are put out.  Packing (pack.c) and unpacking go through the same steps, in
 * which a bit is either given or found, and learn alike from it.
 */
#ifndef STASIS_VMM_CODER_H
#define STASIS_VMM_CODER_H

#include <stddef.h>
#include <stdint.h>

#define CODER_REPEAT_MIN 2 /* bytes of the shortest repetition */
#define CODER_BITS_MAX   16
#define CODER_END_SIZE   4 /* bytes that coder_end() puts out */

/* Where a file that was packed lies in what is unpacked.  The last place has no name, and is the end of it all. */
struct coder_place {
	char name[16];
	uint32_t offset, size;
};

/* How much more probable than not it is that a bit is 1, of 32768. */
typedef int16_t coder_chance;

/* Of a number below 2^16: how many bits follow its first one, and these. */
struct coder_number {
	coder_chance nr_bits[CODER_BITS_MAX], bits[CODER_BITS_MAX];
};

struct coder {
	uint8_t *to;         /* packing: where the next byte goes; else NULL */
	const uint8_t *from; /* unpacking: the next byte */
	uint32_t low, high;
	uint32_t code; /* unpacking: where from low to high the packed bytes are */
	uint32_t distance;
	coder_chance is_repeat, is_same_distance, literal[256];
	struct coder_number lengths, distances;
};

/* A byte; or so many bytes as stand so far back. */
struct coder_step {
	uint32_t length; /* 1: a byte */
	uint32_t distance;
	uint8_t byte;
};

/* Begins to pack to a buffer, which has room for whatever comes. */
void coder_pack(struct coder *ret, uint8_t *to);

/* Packs the step, or gives the next one. */
void coder_take(struct coder *coder, struct coder_step *step);

/* The end of packing. */
void coder_end(struct coder *coder);

/* Unpacks the first so many bytes of what was packed; no repetition goes over their end where a place (pack.c) ends. */
void coder_unpack(const uint8_t *from, uint8_t *to, size_t size);

#endif
