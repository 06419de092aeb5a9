/*
 * Images without any header: the user says where they go (or takes guest/abi.h's addresses) and in which mode they are
 * entered.
 */
#include <inttypes.h>

#include "boot_layout.h"
#include "guest/abi.h"

#define REAL_MODE_END (1u << 20)

/* Adds the image at the address that the request or else the mode gives, and checks its entry. */
static int add_image(struct boot_layout *layout, uint64_t default_gpa, uint64_t *ret_entry, struct error *err)
{
	const struct boot_request *request = layout->request;
	uint64_t gpa = request->has_load ? request->load_gpa : default_gpa;
	uint64_t entry = request->has_entry ? request->entry_gpa : gpa;
	struct boot_part part = { .name = "the flat image",
				  .gpa = gpa,
				  .size = request->image.contents.size,
				  .contents = request->image.contents };
	int status = boot_layout_add(layout, &part, err);
	if (status == 0)
		status = boot_layout_check_entry(layout, "its entry", entry, err);
	if (status == 0)
		*ret_entry = entry;
	return status;
}

static int load_real(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		     struct error *err)
{
	struct boot_layout layout = { .request = request, .memory = memory };
	uint64_t entry = 0;
	int status = add_image(&layout, REAL_LOAD_GPA, &entry, err);
	if (status < 0)
		return status;
	if (entry >= REAL_MODE_END)
		return error_set(err, ERROR_USAGE, "%s: its entry is 0x%" PRIx64 ": expected below 1 MiB for real mode",
				 request->image.name, entry);
	boot_layout_write(&layout);
	/* The highest CS with its low 12 bits 0, so that 0x7c00 is entered as 0:7C00. */
	boot_set_real_mode(registers, (uint16_t)(entry >> 4 & 0xf000), (uint16_t)entry);
	registers->regs.rdx = REAL_BOOT_DRIVE;
	return 0;
}

static int load_long(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		     struct error *err)
{
	struct boot_layout layout = { .request = request, .memory = memory };
	uint64_t entry = 0;
	int status = boot_layout_add(&layout, &boot_long_mode_part, err);
	if (status == 0)
		status = add_image(&layout, LONG_LOAD_GPA, &entry, err);
	if (status < 0)
		return status;
	boot_layout_write(&layout);
	return boot_set_long_mode(request, memory, entry, registers, err);
}

const struct boot_loader boot_flat_real = {
	.kind = BOOT_FLAT_REAL,
	.name = "flat real-mode image",
	.takes_addresses = true,
	.load = load_real,
};

const struct boot_loader boot_flat_long = {
	.kind = BOOT_FLAT_LONG,
	.name = "flat long-mode image",
	.takes_addresses = true,
	.command_line_max = BOOT_INFO_COMMAND_LINE,
	.load = load_long,
};
