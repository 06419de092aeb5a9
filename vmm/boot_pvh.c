/*
 * PVH: an ELF file of either class whose Xen note names a 32-bit entry point (Xen: docs/misc/pvh.pandoc,
 * xen/include/public/arch-x86/hvm/start_info.h and elfnote.h).  Linux can be started by it.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "boot_layout.h"
#include "elf_file.h"
#include "guest/abi.h"

#define NOTE_OWNER        "Xen"
#define NOTE_PHYS32_ENTRY 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
#define START_MAGIC       0x336ec578
#define START_VERSION     1
#define COMMAND_LINE_MAX  2048 /* Linux's COMMAND_LINE_SIZE on x86 */

/* struct hvm_start_info; addresses are guest-physical, 0 where there is nothing. */
struct start_info {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t nr_map_entries, reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "not Xen's layout");

/* struct hvm_modlist_entry */
struct module {
	uint64_t gpa, size, command_line, reserved;
};

/* struct hvm_memmap_table_entry */
struct map_entry {
	uint64_t gpa, size;
	uint32_t type, reserved;
};

static bool find_note(const struct elf *elf, struct bytes *ret)
{
	return elf_find_note(elf, NOTE_OWNER, NOTE_PHYS32_ENTRY, ret);
}

static bool recognises(struct bytes image)
{
	struct boot_file file = { .name = "", .contents = image };
	struct elf elf;
	struct bytes note;
	return elf_read(&file, &elf, NULL) == 0 && find_note(&elf, &note);
}

/* Adds the image; the note's value is as wide as its writer's addresses. */
static int add_image(struct boot_layout *layout, uint32_t *ret_entry, struct error *err)
{
	const struct boot_file *file = &layout->request->image;
	struct elf elf;
	struct bytes note;
	uint64_t entry = 0;
	int status = elf_read(file, &elf, err);
	if (status < 0)
		return status;
	if (!find_note(&elf, &note))
		return error_set(err, ERROR_DATA, "%s: expected a note of type %u (PHYS32_ENTRY) by \"%s\"", file->name,
				 NOTE_PHYS32_ENTRY, NOTE_OWNER);
	if (note.size != sizeof(uint32_t) && note.size != sizeof(uint64_t))
		return error_set(err, ERROR_DATA, "%s: note PHYS32_ENTRY: %zu bytes: expected 4 or 8", file->name,
				 note.size);
	memcpy(&entry, note.data, note.size);
	status = elf_add_segments(&elf, layout, err);
	if (status == 0)
		status = boot_layout_check_entry(layout, "note PHYS32_ENTRY", entry, err);
	if (status == 0)
		*ret_entry = (uint32_t)entry;
	return status;
}

static void inform(const struct boot_request *request, const struct memory *memory, const struct boot_part *parts,
		   struct boot_handover *handover)
{
	struct start_info info = { .magic = START_MAGIC, .version = START_VERSION, .nr_modules = request->nr_modules };
	struct module modules[BOOT_MODULES_MAX];
	struct map_entry entries[BOOT_MAP_MAX];
	struct boot_map_entry map[BOOT_MAP_MAX];
	boot_handover_add(handover, NULL, sizeof(info));
	for (unsigned i = 0; i < request->nr_modules; i++) {
		const char *name = boot_base_name(request->modules[i].name);
		modules[i] = (struct module){ .gpa = parts[i].gpa,
					      .size = parts[i].size,
					      .command_line = boot_handover_add_string(handover, name) };
	}
	if (request->nr_modules != 0)
		info.modules = boot_handover_add(handover, modules, request->nr_modules * sizeof(modules[0]));
	info.command_line = boot_handover_add_string(handover, request->command_line);
	info.nr_map_entries = boot_memory_map(memory, map);
	for (unsigned i = 0; i < info.nr_map_entries; i++)
		entries[i] = (struct map_entry){ .gpa = map[i].gpa, .size = map[i].size, .type = map[i].type };
	info.memory_map = boot_handover_add(handover, entries, info.nr_map_entries * sizeof(entries[0]));
	memcpy(handover->data, &info, sizeof(info));
}

static int load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		struct error *err)
{
	return boot_handover_load(request, memory, registers, add_image, inform, err);
}

const struct boot_loader boot_pvh = {
	.kind = BOOT_PVH,
	.name = "PVH",
	.command_line_max = COMMAND_LINE_MAX,
	.modules_max = BOOT_MODULES_MAX,
	.recognises = recognises,
	.load = load,
};
