/*
 * How the guests' images are packed (images.h): as literals, and repetitions of what was there before, in bits that
 * take the less room the better they were foreseen.  A range coder, as LZMA has one: what is possible yet lies from low
 * to high, and a bit divides that by how probable it was; the leading bytes on which both ends agree are put out.
 * Packing and unpacking go through the same steps, in which a bit is either given or found, and learn alike from it.
 */
#ifndef STASIS_GUEST_CODER_H
#define STASIS_GUEST_CODER_H

#include <stdint.h>

#define CODER_REPEAT_MIN 2 /* bytes of the shortest repetition */
#define CODER_BITS_MAX   16
#define CODER_END_SIZE   4 /* bytes that coder_end() puts out */

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

void coder_pack(struct coder *ret, uint8_t *to);
void coder_unpack(struct coder *ret, const uint8_t *from);

/* Packs the step, or gives the next one. */
void coder_take(struct coder *coder, struct coder_step *step);

/* The end of packing. */
void coder_end(struct coder *coder);

#endif
