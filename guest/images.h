/*
 * The images of the built-in guests as they stand in the program: one behind the other, then packed in one piece, for
 * most begin alike.  The build makes images.c of them, by pack.c, in LZ4's block format
 * (https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md).
 */
#ifndef STASIS_GUEST_IMAGES_H
#define STASIS_GUEST_IMAGES_H

#include <stdint.h>

#define IMAGES_MATCH_MIN 4  /* bytes of the shortest repetition */
#define IMAGES_LONG      15 /* a length of so much goes on in the next bytes, up to one that is not 255 */

/* Where an image lies in what is unpacked. */
struct image_place {
	char name[16];
	uint32_t offset, size;
};

extern const struct image_place image_places[]; /* the last one ends it all; then one without a name */
extern const uint8_t images_packed[];
extern const uint32_t images_size; /* unpacked */

#endif
