/*
 * From a paused machine to an image, in the order in which reading disturbs nothing.
 */
#ifndef STASIS_SNAPSHOT_SAVE_H
#define STASIS_SNAPSHOT_SAVE_H

#include "image.h"

/* The rows of the table in the order in which they are read, RAM included; returns their number. */
size_t save_plan(const struct component *ret[COMPONENTS_MAX]);

/*
 * Takes all state of a paused machine; RAM stays the machine's (ret->memory points to it).  The guest is not changed.
 * The caller frees *ret (image_done()).  Errors name the component and what KVM said.
 */
int save_image(struct vm *vm, struct image *ret, struct error *err);

/* Reads the components back that have a stage in stages (bits 1 << STAGE_*), for comparing only. */
int save_read_back(struct vm *vm, uint8_t stages, struct image *ret, struct error *err);

#endif
