/*
 * The images of the built-in guests as they stand in the program: one behind the other, then packed in one piece
 * (coder.h), for most begin alike.  The build makes images.c of them, by pack.c.
 */
#ifndef STASIS_GUEST_IMAGES_H
#define STASIS_GUEST_IMAGES_H

#include <stdint.h>

/* Where an image lies in what is unpacked. */
struct image_place {
	char name[16];
	uint32_t offset, size;
};

extern const struct image_place image_places[]; /* the last one ends it all; then one without a name */
extern const uint8_t images_packed[];

#endif
