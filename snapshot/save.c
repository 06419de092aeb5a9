#include "save.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>

/* CPUID leaves 80000002H to 80000004H: the brand, 48 bytes (SDM volume 2, CPUID). */
#define BRAND_LEAF   0x80000002
#define BRAND_LEAVES 3

static void describe_cpu(struct image_header *header)
{
	uint32_t max = (uint32_t)__get_cpuid_max(0x80000000, NULL), regs[4];
	__cpuid(0, regs[0], regs[1], regs[2], regs[3]);
	memcpy(header->cpu_vendor, &regs[1], 4);
	memcpy(header->cpu_vendor + 4, &regs[3], 4);
	memcpy(header->cpu_vendor + 8, &regs[2], 4);
	for (uint32_t i = 0; i < BRAND_LEAVES && max >= BRAND_LEAF + i; i++) {
		__cpuid(BRAND_LEAF + i, regs[0], regs[1], regs[2], regs[3]);
		memcpy(header->cpu_brand + i * sizeof(regs), regs, sizeof(regs));
	}
}

static int describe(struct image_header *header, struct error *err)
{
	struct utsname name;
	if (getrandom(header->id, sizeof(header->id), 0) != (ssize_t)sizeof(header->id))
		return error_errno(err, ERROR_SYSTEM, "an id for the snapshot");
	header->created_ns = image_now_ns();
	snprintf(header->writer, sizeof(header->writer), "stasis " STASIS_VERSION);
	if (uname(&name) == 0)
		snprintf(header->kernel, sizeof(header->kernel), "%.15s %.70s", name.sysname, name.release);
	describe_cpu(header);
	return 0;
}

/* Those with a lower rank first; rows of equal rank as they stand. */
size_t save_plan(const struct component *ret[COMPONENTS_MAX])
{
	for (size_t i = 0; i < component_table_size; i++) {
		size_t at = i;
		for (; at > 0 && ret[at - 1]->save_rank > component_table[i].save_rank; at--)
			ret[at] = ret[at - 1];
		ret[at] = &component_table[i];
	}
	return component_table_size;
}

typedef int reader(const struct component *component, struct vm *vm, unsigned instance, uint8_t stages,
		   struct buffer *ret, struct error *err);

static int read_all(const struct component *component, struct vm *vm, unsigned instance, uint8_t stages,
		    struct buffer *ret, struct error *err)
{
	(void)stages;
	return component_save(component, vm, instance, ret, err);
}

static int save_component(const struct component *component, struct vm *vm, uint8_t stages, reader *read,
			  struct image *image, struct error *err)
{
	unsigned instances = component_instances(component, &vm->machine);
	for (unsigned i = 0; i < instances; i++) {
		struct buffer payload = { 0 };
		int status = read(component, vm, i, stages, &payload, err);
		if (status == 0 && (payload.size > 0 || !component->is_optional))
			status = image_give(image, component, (uint16_t)i, &payload, err);
		buffer_done(&payload);
		if (status < 0) {
			char where[16];
			component_where(component, i, where, sizeof(where));
			return error_prefix(err, "saving %s of %s", component->name, where);
		}
	}
	vm_step(vm, "read", component->name);
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct section *left = a, *right = b;
	if (left->component != right->component)
		return left->component < right->component ? -1 : 1;
	return (int)left->instance - (int)right->instance;
}

static int save_stages(struct vm *vm, uint8_t stages, reader *read, struct image *ret, struct error *err)
{
	const struct component *order[COMPONENTS_MAX];
	struct image image = { .memory = &vm->memory };
	int status = 0;
	size_t nr = save_plan(order);
	for (size_t i = 0; i < nr && status == 0; i++)
		if (order[i]->shape != COMPONENT_RAM && (order[i]->stages & stages) != 0)
			status = save_component(order[i], vm, stages, read, &image, err);
	if (status < 0) {
		image_done(&image);
		return status;
	}
	if (image.nr_sections > 0)
		qsort(image.sections, image.nr_sections, sizeof(image.sections[0]), by_place);
	*ret = image;
	return 0;
}

int save_image(struct vm *vm, struct image *ret, struct error *err)
{
	struct image image = { 0 };
	int status = save_stages(vm, UINT8_MAX, read_all, &image, err);
	if (status == 0)
		status = describe(&image.header, err);
	if (status < 0) {
		image_done(&image);
		return status;
	}
	*ret = image;
	return 0;
}

int save_read_back(struct vm *vm, uint8_t stages, struct image *ret, struct error *err)
{
	return save_stages(vm, stages, component_read_back, ret, err);
}
