#include "image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/kvm_uapi.h"

int image_give(struct image *image, const struct component *component, uint16_t instance, struct buffer *payload,
	       struct error *err)
{
	struct section *grown = realloc(image->sections, (image->nr_sections + 1) * sizeof(*grown));
	if (grown == NULL)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's section %s", component->name);
	image->sections = grown;
	image->sections[image->nr_sections++] =
		(struct section){ .component = component, .instance = instance, .payload = *payload };
	*payload = (struct buffer){ 0 };
	return 0;
}

int image_add(struct image *image, const struct component *component, uint16_t instance, struct bytes payload,
	      struct error *err)
{
	struct buffer copy = { 0 };
	int status = 0;
	if (buffer_append(&copy, payload.data, payload.size) == NULL)
		status = error_set(err, ERROR_SYSTEM, "no memory for a snapshot's section %s of %zu bytes",
				   component->name, payload.size);
	if (status == 0)
		status = image_give(image, component, instance, &copy, err);
	buffer_done(&copy);
	return status;
}

const uint32_t *image_ram_checksums(const struct image *image)
{
	return (const uint32_t *)(const void *)image->ram_checksums.data;
}

unsigned image_instances(const struct image *image)
{
	unsigned nr = 0;
	for (size_t i = 0; i < image->nr_sections; i++)
		if (image->sections[i].instance >= nr)
			nr = image->sections[i].instance + 1u;
	return nr;
}

struct section *image_find_writable(struct image *image, const struct component *component, unsigned instance)
{
	for (size_t i = 0; i < image->nr_sections; i++)
		if (image->sections[i].component == component && image->sections[i].instance == instance)
			return &image->sections[i];
	return NULL;
}

const struct section *image_find(const struct image *image, const struct component *component, unsigned instance)
{
	return image_find_writable((struct image *)(uintptr_t)image, component, instance);
}

const struct section *image_find_named(const struct image *image, const char *component, unsigned instance)
{
	return image_find(image, component_by_name(component), instance);
}

const struct machine *image_machine(const struct image *image)
{
	const struct section *section = image_find_named(image, "machine", 0);
	return section != NULL ? (const struct machine *)(const void *)section->payload.data : NULL;
}

bool image_cpuid(const struct image *image, unsigned vcpu, struct cpuid *ret)
{
	const struct section *section = image_find_named(image, "cpuid", vcpu);
	if (section == NULL)
		return false;
	ret->nent = (uint32_t)(section->payload.size / sizeof(ret->entries[0]));
	memcpy(ret->entries, section->payload.data, section->payload.size);
	return true;
}

static int misplaced(const struct component *component, unsigned instance, const char *what, struct error *err)
{
	char where[16];
	component_where(component, instance, where, sizeof(where));
	return error_set(err, ERROR_DATA, "section %s of %s %s", component->name, where, what);
}

static int validate_component(const struct image *image, const struct component *component,
			      const struct machine *machine, struct error *err)
{
	unsigned instances = component_instances(component, machine), nr = image_instances(image);
	for (unsigned i = 0; i < nr || i < instances; i++) {
		const struct section *section = image_find(image, component, i);
		if (section == NULL && i < instances && !component->is_optional)
			return misplaced(component, i, "is missing", err);
		if (section != NULL && i >= instances)
			return misplaced(component, i, "belongs to nothing in this machine", err);
		if (section == NULL)
			continue;
		if (component_validate(component, machine, i, buffer_bytes(&section->payload), err) < 0) {
			char where[16];
			component_where(component, i, where, sizeof(where));
			return error_prefix(err, "section %s of %s", component->name, where);
		}
	}
	return 0;
}

int image_validate(const struct image *image, struct error *err)
{
	const struct section *first = image_find_named(image, "machine", 0);
	if (first == NULL || first->payload.size != sizeof(struct machine))
		return error_set(err, ERROR_DATA, "section machine is missing or not of %zu bytes",
				 sizeof(struct machine));
	const struct machine *machine = image_machine(image);
	if (machine_check(machine, err) < 0)
		return error_prefix(err, "section machine");
	for (size_t i = 0; i < component_table_size; i++) {
		const struct component *component = &component_table[i];
		if (component->shape == COMPONENT_RAM)
			continue;
		int status = validate_component(image, component, machine, err);
		if (status < 0)
			return status;
	}
	return 0;
}

int image_borrow(const struct image *image, struct image *ret, struct error *err)
{
	struct image copy = { .header = image->header, .memory = image->memory };
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		struct buffer payload = buffer_borrow(buffer_bytes(&section->payload));
		int status = image_give(&copy, section->component, section->instance, &payload, err);
		if (status < 0) {
			image_done(&copy);
			return status;
		}
	}
	*ret = copy;
	return 0;
}

uint64_t image_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t image_moment_ns(const struct image *image)
{
	const struct section *section = image_find_named(image, "clock", 0);
	struct kvm_clock_data clock = { 0 };
	if (section != NULL)
		memcpy(&clock, section->payload.data, sizeof(clock));
	return clock.realtime != 0 ? clock.realtime : image->header.created_ns;
}

void image_format_id(const uint8_t id[IMAGE_ID_SIZE], char ret[IMAGE_ID_TEXT])
{
	for (size_t i = 0; i < IMAGE_ID_SIZE; i++)
		snprintf(ret + 2 * i, 3, "%02x", id[i]);
}

bool image_is_incremental(const struct image *image)
{
	return !bytes_are_zero(image->header.parent_id, IMAGE_ID_SIZE);
}

int image_set_parent(struct image *image, const uint8_t id[IMAGE_ID_SIZE], const char *name, const struct pages *pages,
		     struct error *err)
{
	image_drop_parent(image);
	bool good = buffer_append(&image->parent_name, name, strlen(name)) != NULL;
	for (unsigned i = 0; i < pages->nr_regions && good; i++)
		good = buffer_append(&image->ram_pages, pages->words[i],
				     pages_words(pages->nr_pages[i]) * sizeof(uint64_t)) != NULL;
	if (!good)
		return error_set(err, ERROR_SYSTEM, "no memory for a snapshot's list of pages");
	memcpy(image->header.parent_id, id, IMAGE_ID_SIZE);
	return 0;
}

void image_drop_parent(struct image *image)
{
	memset(image->header.parent_id, 0, IMAGE_ID_SIZE);
	buffer_done(&image->parent_name);
	buffer_done(&image->ram_pages);
	free(image->parent_path);
	image->parent_path = NULL;
}

int image_pages(const struct image *image, struct pages *ret, struct error *err)
{
	const struct machine *machine = image_machine(image);
	struct bytes payload = buffer_bytes(&image->ram_pages);
	struct pages pages;
	uint64_t at = 0;
	int status = pages_create(&pages, machine->ranges, machine->nr_ranges, err);
	for (unsigned i = 0; i < machine->nr_ranges && status == 0; i++) {
		size_t size = pages_words(pages.nr_pages[i]) * sizeof(uint64_t);
		unsigned spare = (unsigned)(pages.nr_pages[i] % PAGES_WORD);
		if (!bytes_read(payload, at, pages.words[i], size) ||
		    (spare != 0 && pages.words[i][pages_words(pages.nr_pages[i]) - 1] >> spare != 0))
			status = error_set(err, ERROR_DATA, "section ram-pages is not that of the machine's RAM");
		at += size;
	}
	if (status == 0 && at != payload.size)
		status = error_set(err, ERROR_DATA, "section ram-pages of %zu bytes, expected %llu", payload.size,
				   (unsigned long long)at);
	if (status < 0) {
		pages_done(&pages);
		return status;
	}
	*ret = pages;
	return 0;
}

int image_copy(const struct image *image, struct image *ret, struct error *err)
{
	struct image copy;
	int status = image_borrow(image, &copy, err);
	if (status < 0)
		return status;
	for (size_t i = 0; i < copy.nr_sections; i++) {
		if (!buffer_own(&copy.sections[i].payload)) {
			image_done(&copy);
			return error_set(err, ERROR_SYSTEM, "no memory for a copy of a snapshot");
		}
	}
	*ret = copy;
	return 0;
}

void image_done(struct image *image)
{
	image_drop_parent(image);
	for (size_t i = 0; i < image->nr_sections; i++)
		buffer_done(&image->sections[i].payload);
	free(image->sections);
	buffer_done(&image->ram_checksums);
	buffer_done(&image->state);
	memory_done(&image->ram);
	*image = (struct image){ 0 };
}
