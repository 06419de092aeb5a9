/*
 * One component's payload: what passes component_validate() can be shown and compared, and no change of one bit of it
 * escapes compare.
 */
#include "image_checks.h"

#define VCPUS 4

static const struct machine machine = {
	.nr_vcpus = VCPUS, .irqchip = IRQCHIP_FULL, .nr_ranges = 1, .ranges = { { .size = MEMORY_RAM_MIN } }
};

static void check_flipped(const struct image *image, const struct component *component, uint32_t bit)
{
	struct compare_options options = { 0 };
	struct report report = { 0 };
	struct image flipped;
	FUZZ_CHECK(image_copy(image, &flipped, NULL) == 0);
	struct section *section = &flipped.sections[0];
	size_t size = section->payload.size;
	if (size > 0) {
		section->payload.data[bit / 8 % size] ^= (uint8_t)(1 << bit % 8);
		compare_images(image, &flipped, &options, &report);
		/* A key that stands twice now is not what compare is given. */
		if (component_validate(component, &machine, section->instance, buffer_bytes(&section->payload), NULL) ==
		    0)
			FUZZ_CHECK(report.counts[FINDING_DIFFERENT] + report.counts[FINDING_VOLATILE] > 0);
	}
	report_done(&report);
	image_done(&flipped);
}

/* Component's id, instance, bit, then the payload. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	const struct component *component = component_by_id((uint16_t)fuzz_take(&input, 1));
	if (component == NULL || component->shape == COMPONENT_RAM)
		return 0;
	uint16_t instance = component->scope == COMPONENT_VCPU ? (uint16_t)(fuzz_take(&input, 1) % VCPUS) : 0;
	uint32_t bit = (uint32_t)fuzz_take(&input, 4);
	struct image image = { 0 };
	struct error err;
	if (component_validate(component, &machine, instance, input, &err) < 0) {
		FUZZ_CHECK(err.code == ERROR_DATA && err.text[0] != '\0');
		return 0;
	}
	FUZZ_CHECK(image_add(&image, component, instance, input, NULL) == 0);
	fuzz_check_shown(&image, false);
	fuzz_check_put(&image, instance);
	check_flipped(&image, component, bit);
	image_done(&image);
	return 0;
}
