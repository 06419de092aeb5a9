/* What must hold for an image that was found valid, whatever it came from. */
#ifndef STASIS_TESTS_FUZZ_IMAGE_CHECKS_H
#define STASIS_TESTS_FUZZ_IMAGE_CHECKS_H

#include "fuzz.h"
#include "snapshot/compare.h"
#include "snapshot/image.h"
#include "snapshot/inspect.h"
#include "snapshot/xsave_state.h"

static inline void fuzz_check_line(const struct inspect_line *line, void *context)
{
	FUZZ_CHECK(line->where[0] != '\0' && line->component[0] != '\0' && line->name[0] != '\0');
	FUZZ_CHECK(strnlen(line->id, sizeof(line->id)) < sizeof(line->id));
	FUZZ_CHECK(strnlen(line->value, sizeof(line->value)) < sizeof(line->value));
	FUZZ_CHECK(strnlen(line->bits, sizeof(line->bits)) < sizeof(line->bits));
	++*(size_t *)context;
}

/* Can be shown, and does not differ from itself. */
static inline void fuzz_check_shown(const struct image *image, bool with_ram)
{
	struct compare_options options = { .with_ram = with_ram };
	struct report report = { 0 };
	size_t nr = 0;
	FUZZ_CHECK(inspect_image(image, NULL, fuzz_check_line, &nr) == nr);
	compare_images(image, image, &options, &report);
	FUZZ_CHECK(report_bad(&report) == 0);
	for (size_t i = 0; i < report.nr; i++) {
		char text[512];
		finding_format(&report.findings[i], text, sizeof(text));
		FUZZ_CHECK(strnlen(text, sizeof(text)) < sizeof(text));
	}
	report_done(&report);
}

/* What a restore does with a stranger's CPUID and XSAVE before KVM sees them. */
static inline void fuzz_check_put(const struct image *image, unsigned vcpu)
{
	static const struct cpuid nothing;
	static struct cpuid cpuid;
	static uint8_t raw[0x3000];
	char vendor[13];
	const struct section *xsave = image_find_named(image, "xsave", vcpu);
	if (!image_cpuid(image, vcpu, &cpuid))
		return;
	cpuid_vendor(&cpuid, vendor);
	FUZZ_CHECK(strnlen(vendor, sizeof(vendor)) < sizeof(vendor));
	cpuid_missing(&cpuid, &nothing, NULL, NULL);
	if (xsave != NULL) {
		struct xsave_state state;
		memcpy(&state, xsave->payload.data, sizeof(state));
		xsave_from_canonical(&cpuid, &state, raw, sizeof(raw), NULL);
	}
}

#endif
