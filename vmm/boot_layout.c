#include "boot_layout.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest/abi.h"

/* The IOAPIC's page; from here to 4 GiB stand the APICs and the firmware (memory.h). */
#define APICS_GPA 0xfec00000ull

const struct boot_part boot_long_mode_part = {
	.name = "the boot information and page tables",
	.gpa = BOOT_INFO_GPA,
	.size = BOOT_TABLES_END - BOOT_INFO_GPA,
};

static int refuse_outside_ram(const struct boot_layout *layout, const struct boot_part *part, struct error *err)
{
	char high[64] = "";
	uint64_t high_gpa = MEMORY_HIGH_GPA, high_size = memory_ram_high(layout->memory);
	if (high_size != 0)
		snprintf(high, sizeof(high), " and 0x%" PRIx64 " to 0x%" PRIx64, high_gpa, high_gpa + high_size);
	return error_set(err, ERROR_DATA,
			 "%s: %s at 0x%" PRIx64 " of 0x%" PRIx64 " bytes: expected inside RAM, which is 0 to 0x%" PRIx64
			 "%s (--mem SIZE gives more)",
			 layout->request->image.name, part->name, part->gpa, part->size, memory_ram_low(layout->memory),
			 high);
}

int boot_layout_add(struct boot_layout *layout, const struct boot_part *part, struct error *err)
{
	assert(layout->nr_parts < BOOT_PARTS_MAX && part->contents.size <= part->size);
	if (memory_at(layout->memory, part->gpa, part->size) == NULL)
		return refuse_outside_ram(layout, part, err);
	for (unsigned i = 0; i < layout->nr_parts; i++) {
		const struct boot_part *other = &layout->parts[i];
		if (ranges_overlap(part->gpa, part->size, other->gpa, other->size))
			return error_set(err, ERROR_DATA,
					 "%s: %s at 0x%" PRIx64 " of 0x%" PRIx64
					 " bytes: expected apart from %s at 0x%" PRIx64 " of 0x%" PRIx64 " bytes",
					 layout->request->image.name, part->name, part->gpa, part->size, other->name,
					 other->gpa, other->size);
	}
	layout->parts[layout->nr_parts++] = *part;
	return 0;
}

/* Adds the request's modules: page aligned, one behind the other, above the parts so far and above 1 MiB. */
static int add_modules(struct boot_layout *layout, struct error *err)
{
	uint64_t next = BOOT_LOW_HOLE_END;
	for (unsigned i = 0; i < layout->nr_parts; i++) {
		const struct boot_part *part = &layout->parts[i];
		if (part->gpa < MEMORY_LOW_MAX && part->gpa + part->size > next)
			next = part->gpa + part->size;
	}
	for (unsigned i = 0; i < layout->request->nr_modules; i++) {
		const struct boot_file *module = &layout->request->modules[i];
		struct boot_part part = { .gpa = align_up(next, MEMORY_PAGE),
					  .size = module->contents.size,
					  .contents = module->contents };
		snprintf(part.name, sizeof(part.name), "module %s", boot_base_name(module->name));
		int status = boot_layout_add(layout, &part, err);
		if (status < 0)
			return status;
		next = part.gpa + part.size;
	}
	return 0;
}

int boot_layout_check_entry(const struct boot_layout *layout, const char *field, uint64_t entry, struct error *err)
{
	if (entry > UINT32_MAX)
		return error_set(err, ERROR_DATA, "%s: %s is 0x%" PRIx64 ": expected an address below 4 GiB",
				 layout->request->image.name, field, entry);
	for (unsigned i = 0; i < layout->nr_parts; i++) {
		const struct boot_part *part = &layout->parts[i];
		if (entry >= part->gpa && entry - part->gpa < part->contents.size)
			return 0;
	}
	return error_set(err, ERROR_DATA,
			 "%s: %s is 0x%" PRIx64 ": expected a physical address inside what the image loads",
			 layout->request->image.name, field, entry);
}

void boot_layout_write(const struct boot_layout *layout)
{
	for (unsigned i = 0; i < layout->nr_parts; i++) {
		const struct boot_part *part = &layout->parts[i];
		uint8_t *at = memory_at(layout->memory, part->gpa, part->size);
		assert(at != NULL);
		if (part->contents.size > 0)
			memcpy(at, part->contents.data, part->contents.size);
		memset(at + part->contents.size, 0, part->size - part->contents.size);
	}
}

const char *boot_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

unsigned boot_memory_map(const struct memory *memory, struct boot_map_entry ret[BOOT_MAP_MAX])
{
	uint64_t low = memory_ram_low(memory), high = memory_ram_high(memory);
	const struct boot_map_entry map[BOOT_MAP_MAX] = {
		{ .gpa = 0, .size = BOOT_LOW_END, .type = BOOT_MAP_RAM },
		{ .gpa = BOOT_LOW_END, .size = BOOT_LOW_HOLE_END - BOOT_LOW_END, .type = BOOT_MAP_RESERVED },
		{ .gpa = BOOT_LOW_HOLE_END, .size = low - BOOT_LOW_HOLE_END, .type = BOOT_MAP_RAM },
		{ .gpa = APICS_GPA, .size = MEMORY_HIGH_GPA - APICS_GPA, .type = BOOT_MAP_RESERVED },
		{ .gpa = MEMORY_HIGH_GPA, .size = high, .type = BOOT_MAP_RAM },
	};
	assert(low >= MEMORY_RAM_MIN);
	unsigned nr = 0;
	for (unsigned i = 0; i < BOOT_MAP_MAX; i++)
		if (map[i].size != 0)
			ret[nr++] = map[i];
	return nr;
}

uint32_t boot_handover_add(struct boot_handover *handover, const void *data, size_t size)
{
	uint32_t at = handover->size;
	if (size > BOOT_HANDOVER_MAX - at) {
		handover->is_full = true;
		return BOOT_INFO_GPA;
	}
	if (data != NULL)
		memcpy(handover->data + at, data, size);
	handover->size = (uint32_t)align_up(at + size, 8);
	return BOOT_INFO_GPA + at;
}

uint32_t boot_handover_add_string(struct boot_handover *handover, const char *string)
{
	return boot_handover_add(handover, string, strlen(string) + 1);
}

/* Adds all of it to the layout as one part. */
static int add_handover(struct boot_layout *layout, const struct boot_handover *handover, struct error *err)
{
	if (handover->is_full)
		return error_set(err, ERROR_DATA,
				 "%s: the command line and the names of image and modules need more than the %u bytes "
				 "that the guest's boot information has",
				 layout->request->image.name, BOOT_HANDOVER_MAX);
	return boot_layout_add(layout,
			       &(struct boot_part){ .name = "the boot information",
						    .gpa = BOOT_INFO_GPA,
						    .size = handover->size,
						    .contents = { handover->data, handover->size } },
			       err);
}

int boot_handover_load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		       int (*add_image)(struct boot_layout *layout, uint32_t *ret_entry, struct error *err),
		       boot_inform_function *inform, struct error *err)
{
	struct boot_layout layout = { .request = request, .memory = memory };
	struct boot_handover handover = { 0 };
	uint32_t entry = 0;
	int status = add_image(&layout, &entry, err);
	const struct boot_part *modules = &layout.parts[layout.nr_parts];
	if (status == 0)
		status = add_modules(&layout, err);
	if (status == 0)
		inform(request, memory, modules, &handover);
	if (status == 0)
		status = add_handover(&layout, &handover, err);
	if (status < 0)
		return status;
	boot_layout_write(&layout);
	boot_set_protected_mode(registers, entry);
	registers->regs.rbx = BOOT_INFO_GPA;
	return 0;
}
