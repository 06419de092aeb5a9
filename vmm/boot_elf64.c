/*
 * A 64-bit ELF file: its segments go to their physical addresses, and it is entered in long mode at e_entry as
 * guest/abi.h promises it.
 */
#include <elf.h>

#include "boot_layout.h"
#include "elf_file.h"
#include "guest/abi.h"

static int load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		struct error *err)
{
	struct boot_layout layout = { .request = request, .memory = memory };
	struct elf elf;
	int status = elf_read(&request->image, &elf, err);
	if (status < 0)
		return status;
	if (elf.class != ELFCLASS64)
		return error_set(
			err, ERROR_DATA,
			"%s: ELF header: e_ident[EI_CLASS] is %u: expected %u (64 bits), as there is neither a "
			"Multiboot header nor a PVH note",
			request->image.name, elf.class, ELFCLASS64);
	status = boot_layout_add(&layout, &boot_long_mode_part, err);
	if (status == 0)
		status = elf_add_segments(&elf, &layout, err);
	if (status == 0)
		status = boot_layout_check_entry(&layout, "e_entry", elf.entry, err);
	if (status < 0)
		return status;
	boot_layout_write(&layout);
	return boot_set_long_mode(request, memory, elf.entry, registers, err);
}

const struct boot_loader boot_elf64 = {
	.kind = BOOT_ELF64,
	.name = "ELF64",
	.command_line_max = BOOT_INFO_COMMAND_LINE,
	.recognises = elf_is_elf,
	.load = load,
};
