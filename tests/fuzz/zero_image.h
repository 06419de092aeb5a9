/* The least that image_validate() takes, for targets that are about RAM. */
#ifndef STASIS_TESTS_FUZZ_ZERO_IMAGE_H
#define STASIS_TESTS_FUZZ_ZERO_IMAGE_H

#include "fuzz.h"
#include "snapshot/image.h"

/* Adds all sections that the machine must have; its state is all zero. */
static inline void fuzz_add_zero_state(struct image *image, const struct machine *machine)
{
	static const uint8_t zeros[1 << 14];
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		struct bytes payload = { zeros, 0 };
		if (component->shape == COMPONENT_RAM || component->is_optional ||
		    component_instances(component, machine) == 0)
			continue;
		if (component->shape == COMPONENT_STRUCT)
			payload.size = component->schema->size;
		if (strcmp(component->name, "machine") == 0)
			payload.data = (const uint8_t *)machine;
		FUZZ_CHECK(payload.size <= sizeof(zeros) && image_add(image, component, 0, payload, NULL) == 0);
	}
	FUZZ_CHECK(image_validate(image, NULL) == 0);
}

#endif
