/*
 * Multiboot, version 1 (Multiboot Specification 0.6.96): an ELF file of either class, or any file whose header says
 * where it goes (the "a.out kludge"), entered in 32-bit protected mode without paging.
 * The command line begins with the image's file name, as kvm-unit-tests and most Multiboot guests expect it.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "boot_layout.h"
#include "elf_file.h"
#include "guest/abi.h"

/* 3.1.1: the header stands in the first 8192 bytes, aligned to 4. */
#define HEADER_SEARCH        8192
#define HEADER_MAGIC         0x1badb002
#define HEADER_REQUIRED      0xffff /* flags that a loader must know or else refuse */
#define HEADER_ALIGN_MODULES 0x1
#define HEADER_MEMORY        0x2
#define HEADER_ADDRESSES     0x10000
#define HEADER_KNOWN         (HEADER_ALIGN_MODULES | HEADER_MEMORY)

#define ENTRY_MAGIC      0x2badb002 /* 3.2: in EAX */
#define COMMAND_LINE_MAX 2048

/* The addresses count only with HEADER_ADDRESSES. */
struct header {
	uint32_t magic, flags, checksum;
	uint32_t header_gpa, load_gpa, load_end_gpa, bss_end_gpa, entry_gpa;
};
#define HEADER_SHORT offsetof(struct header, header_gpa)

/* 3.3, "Boot information format". */
#define INFO_MEMORY       0x1
#define INFO_COMMAND_LINE 0x4
#define INFO_MODULES      0x8
#define INFO_MEMORY_MAP   0x40
#define INFO_LOADER_NAME  0x200

struct info {
	uint32_t flags;
	uint32_t memory_lower, memory_upper; /* KiB from 0, and from 1 MiB up to the first hole */
	uint32_t boot_device;
	uint32_t command_line;
	uint32_t nr_modules, modules;
	uint32_t symbols[4];
	uint32_t memory_map_size, memory_map;
	uint32_t drives_size, drives;
	uint32_t config_table;
	uint32_t loader_name;
	uint32_t unused[12]; /* APM and video */
};
_Static_assert(offsetof(struct info, loader_name) == 64 && sizeof(struct info) == 116, "not Multiboot's layout");

struct module {
	uint32_t start, end, string, reserved;
};

struct map_entry {
	uint32_t size; /* of what follows */
	uint64_t gpa, length;
	uint32_t type;
} __attribute__((packed));
_Static_assert(sizeof(struct map_entry) == 24, "not Multiboot's layout");

/* Finds the header; bytes that the file does not have are 0 in *ret. */
static bool find_header(struct bytes image, struct header *ret, uint32_t *ret_offset)
{
	size_t size = image.size < HEADER_SEARCH ? image.size : HEADER_SEARCH;
	struct bytes searched = { image.data, size };
	for (uint32_t offset = 0; offset + HEADER_SHORT <= size; offset += 4) {
		struct header header = { 0 };
		bytes_read(searched, offset, &header, HEADER_SHORT);
		if (header.magic != HEADER_MAGIC || header.magic + header.flags + header.checksum != 0)
			continue;
		*ret = header;
		*ret_offset = offset;
		return true;
	}
	return false;
}

static bool recognises(struct bytes image)
{
	struct header header;
	uint32_t offset;
	return find_header(image, &header, &offset);
}

/* Adds what the header's addresses say: bytes of the file, then the bss.  An end that is 0 is the file's, or no bss. */
static int add_by_addresses(const struct header *h, uint32_t offset, struct boot_layout *layout, struct error *err)
{
	const struct boot_file *file = &layout->request->image;
	if (h->header_gpa < h->load_gpa || h->header_gpa - h->load_gpa > offset)
		return error_set(err, ERROR_DATA,
				 "%s: Multiboot header: header_addr is 0x%" PRIx32
				 ": expected from load_addr 0x%" PRIx32 " on at most 0x%" PRIx32
				 " bytes, the header's offset in the file",
				 file->name, h->header_gpa, h->load_gpa, offset);
	uint64_t start = offset - (h->header_gpa - h->load_gpa);
	uint64_t file_end = h->load_gpa + (file->contents.size - start);
	uint64_t end = h->load_end_gpa != 0 ? h->load_end_gpa : file_end;
	if (end < h->load_gpa || end > file_end)
		return error_set(err, ERROR_DATA,
				 "%s: Multiboot header: load_end_addr is 0x%" PRIx32 ": expected load_addr 0x%" PRIx32
				 " to 0x%" PRIx64 ", where the file ends",
				 file->name, h->load_end_gpa, h->load_gpa, file_end);
	if (h->bss_end_gpa != 0 && h->bss_end_gpa < end)
		return error_set(err, ERROR_DATA,
				 "%s: Multiboot header: bss_end_addr is 0x%" PRIx32 ": expected at least 0x%" PRIx64
				 ", where the loaded bytes end",
				 file->name, h->bss_end_gpa, end);
	struct boot_part part = { .name = "load_addr to bss_end_addr", .gpa = h->load_gpa };
	bytes_slice(file->contents, start, end - h->load_gpa, &part.contents);
	part.size = (h->bss_end_gpa != 0 ? h->bss_end_gpa : end) - h->load_gpa;
	int status = boot_layout_add(layout, &part, err);
	return status == 0 ? boot_layout_check_entry(layout, "entry_addr", h->entry_gpa, err) : status;
}

/* Adds the image itself. */
static int add_image(struct boot_layout *layout, uint32_t *ret_entry, struct error *err)
{
	const struct boot_file *file = &layout->request->image;
	struct header header;
	uint32_t offset;
	if (!find_header(file->contents, &header, &offset))
		return error_set(err, ERROR_DATA, "%s: expected a Multiboot header in its first %u bytes", file->name,
				 HEADER_SEARCH);
	uint32_t unknown = header.flags & HEADER_REQUIRED & ~(uint32_t)HEADER_KNOWN;
	if (unknown != 0)
		return error_set(err, ERROR_DATA,
				 "%s: Multiboot header: flags are 0x%" PRIx32 ": it requires 0x%" PRIx32
				 ", which is not offered here (0x4 is a video mode)",
				 file->name, header.flags, unknown);
	if ((header.flags & HEADER_ADDRESSES) != 0) {
		if (offset + sizeof(header) > HEADER_SEARCH ||
		    !bytes_read(file->contents, offset, &header, sizeof(header)))
			return error_set(err, ERROR_DATA,
					 "%s: Multiboot header at 0x%" PRIx32
					 ": expected its %zu bytes inside the file and "
					 "its first %u bytes",
					 file->name, offset, sizeof(header), HEADER_SEARCH);
		int status = add_by_addresses(&header, offset, layout, err);
		if (status == 0)
			*ret_entry = header.entry_gpa;
		return status;
	}
	struct elf elf;
	int status = elf_read(file, &elf, err);
	if (status < 0)
		return error_prefix(err, "a Multiboot image without addresses in its header");
	status = elf_add_segments(&elf, layout, err);
	if (status == 0)
		status = boot_layout_check_entry(layout, "e_entry", elf.entry, err);
	if (status == 0)
		*ret_entry = (uint32_t)elf.entry;
	return status;
}

static uint32_t add_command_line(const struct boot_request *request, struct boot_handover *handover)
{
	const char *name = boot_base_name(request->image.name);
	size_t name_size = strlen(name), line_size = strlen(request->command_line);
	if (line_size == 0)
		return boot_handover_add_string(handover, name);
	uint32_t gpa = boot_handover_add(handover, NULL, name_size + 1 + line_size + 1);
	if (!handover->is_full) {
		char *at = (char *)handover->data + (gpa - BOOT_INFO_GPA);
		snprintf(at, name_size + 1 + line_size + 1, "%s %s", name, request->command_line);
	}
	return gpa;
}

static void add_memory_map(const struct memory *memory, struct boot_handover *handover, struct info *info)
{
	struct boot_map_entry map[BOOT_MAP_MAX];
	struct map_entry entries[BOOT_MAP_MAX];
	unsigned nr = boot_memory_map(memory, map);
	for (unsigned i = 0; i < nr; i++)
		entries[i] = (struct map_entry){ .size = sizeof(entries[i]) - sizeof(entries[i].size),
						 .gpa = map[i].gpa,
						 .length = map[i].size,
						 .type = map[i].type };
	info->memory_map_size = nr * (uint32_t)sizeof(entries[0]);
	info->memory_map = boot_handover_add(handover, entries, info->memory_map_size);
	info->memory_lower = BOOT_LOW_END / 1024;
	info->memory_upper = (uint32_t)((memory_ram_low(memory) - BOOT_LOW_HOLE_END) / 1024);
}

static void inform(const struct boot_request *request, const struct memory *memory, const struct boot_part *parts,
		   struct boot_handover *handover)
{
	struct module modules[BOOT_MODULES_MAX] = { 0 };
	struct info info = {
		.flags = INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME,
		.nr_modules = request->nr_modules,
	};
	boot_handover_add(handover, NULL, sizeof(info));
	for (unsigned i = 0; i < request->nr_modules; i++)
		modules[i] = (struct module){
			.start = (uint32_t)parts[i].gpa,
			.end = (uint32_t)(parts[i].gpa + parts[i].size),
			.string = boot_handover_add_string(handover, boot_base_name(request->modules[i].name)),
		};
	info.modules = boot_handover_add(handover, modules, request->nr_modules * sizeof(modules[0]));
	info.command_line = add_command_line(request, handover);
	info.loader_name = boot_handover_add_string(handover, "Stasis " STASIS_VERSION);
	add_memory_map(memory, handover, &info);
	memcpy(handover->data, &info, sizeof(info));
}

static int load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		struct error *err)
{
	int status = boot_handover_load(request, memory, registers, add_image, inform, err);
	if (status == 0)
		registers->regs.rax = ENTRY_MAGIC;
	return status;
}

const struct boot_loader boot_multiboot = {
	.kind = BOOT_MULTIBOOT,
	.name = "Multiboot",
	.command_line_max = COMMAND_LINE_MAX,
	.modules_max = BOOT_MODULES_MAX,
	.recognises = recognises,
	.load = load,
};
