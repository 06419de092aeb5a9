/*
 * What is going to stand in the guest's RAM.  A loader collects all parts first, each held against RAM and against
 * the parts before it; only a layout that is whole is written, so a bad image leaves the guest untouched.
 */
#ifndef STASIS_VMM_BOOT_LAYOUT_H
#define STASIS_VMM_BOOT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "boot.h"

#define BOOT_PARTS_MAX    48
#define BOOT_MAP_MAX      5
#define BOOT_HANDOVER_MAX 0x2000

struct boot_part {
	char name[48]; /* what errors call it: "segment 2" */
	uint64_t gpa, size;
	struct bytes contents; /* go to gpa; the rest of size is cleared */
};

struct boot_layout {
	const struct boot_request *request;
	const struct memory *memory;
	unsigned nr_parts;
	struct boot_part parts[BOOT_PARTS_MAX];
};

/* Where boot_set_long_mode() puts its tables: a part that images of long mode stay clear of. */
extern const struct boot_part boot_long_mode_part;

/* Adds a part; an error says which RAM or which other part it collides with. */
int boot_layout_add(struct boot_layout *layout, const struct boot_part *part, struct error *err);

/*
 * Is the entry below 4 GiB, where every way of starting here can reach it, and among the bytes that come from the
 * image?  field is what the image's format calls it.
 */
int boot_layout_check_entry(const struct boot_layout *layout, const char *field, uint64_t entry, struct error *err);

void boot_layout_write(const struct boot_layout *layout);

/* The last component of a path. */
const char *boot_base_name(const char *path);

/*
 * The memory map that Multiboot and PVH guests are given.  Types are those of ACPI (ACPI 6.5, table 15.2), which
 * both use.  What no entry covers is a hole.
 */
#define BOOT_MAP_RAM      1
#define BOOT_MAP_RESERVED 2

struct boot_map_entry {
	uint64_t gpa, size;
	uint32_t type;
};

#define BOOT_LOW_END      0xa0000 /* 640 KiB: from here to 1 MiB a PC has video memory and ROMs */
#define BOOT_LOW_HOLE_END 0x100000

/* Returns the number of entries, ascending; RAM must be at least MEMORY_RAM_MIN. */
unsigned boot_memory_map(const struct memory *memory, struct boot_map_entry ret[BOOT_MAP_MAX]);

/* The information that a Multiboot or PVH guest is handed: pieces one behind the other, from BOOT_INFO_GPA on. */
struct boot_handover {
	uint32_t size;
	bool is_full; /* a piece did not fit */
	uint8_t data[BOOT_HANDOVER_MAX];
};

/* Appends a piece (zero bytes where data is NULL), aligned to 8, and returns its gpa. */
uint32_t boot_handover_add(struct boot_handover *handover, const void *data, size_t size);
uint32_t boot_handover_add_string(struct boot_handover *handover, const char *string);

/* Makes what is handed over.  modules are the parts of the request's modules, in the same order. */
typedef void boot_inform_function(const struct boot_request *request, const struct memory *memory,
				  const struct boot_part *modules, struct boot_handover *handover);

/*
 * Loads an image that is entered in 32-bit mode with the address of its information in EBX.  add_image puts the image's
 * parts into the layout and tells the entry.  Modules come page aligned, one behind the other, above the image and
 * above 1 MiB.
 */
int boot_handover_load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		       int (*add_image)(struct boot_layout *layout, uint32_t *ret_entry, struct error *err),
		       boot_inform_function *inform, struct error *err);

#endif
