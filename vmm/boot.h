/*
 * Boot images: recognised by their contents, checked, loaded into guest RAM, and turned into the
 * registers that the first vCPU starts with.
 */
#ifndef STASIS_VMM_BOOT_H
#define STASIS_VMM_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "bytes.h"
#include "error.h"
#include "kvm_uapi.h"
#include "memory.h"

#define BOOT_MODULES_MAX 8
#define BOOT_IMAGE_MAX (1u << 30) /* bytes of an image or module */

enum boot_kind {
	BOOT_AUTO, /* by content */
	BOOT_SECTOR,
	BOOT_FLAT_REAL,
	BOOT_FLAT_LONG,
	BOOT_ELF64,
	BOOT_MULTIBOOT,
	BOOT_PVH,
	BOOT_FIRMWARE,
};

/* A file that goes into the guest, with the name that errors call it by. */
struct boot_file {
	const char *name;
	struct bytes contents;
};

/* What the user asked for. */
struct boot_request {
	struct boot_file image;
	enum boot_kind kind;
	uint64_t load_gpa, entry_gpa; /* of flat images; used where the has_ flag is set */
	bool has_load, has_entry;
	const char *command_line; /* never NULL */
	struct boot_file modules[BOOT_MODULES_MAX];
	unsigned nr_modules;
	/* the machine, for what the guest is told of it */
	uint32_t nr_vcpus, irqchip, tsc_khz;
	bool has_nx; /* CPUID.80000001H:EDX.NX */
};

/* How the first vCPU starts: filled over the values that KVM gave the fresh vCPU. */
struct boot_registers {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* One kind of image.  Rows stand in the order in which contents are looked at. */
struct boot_loader {
	enum boot_kind kind;
	const char *name;	 /* for --help and messages: "ELF64" */
	/* Is this the contents' kind?  NULL: never by content. */
	bool (*recognises)(struct bytes image);
	/*
	 * The region that the image needs besides RAM (a ROM), before the machine is made: NULL where there is none.
	 * Leaves *ret_range.size 0 where it needs none.
	 */
	int (*needs)(const struct boot_request *request, struct memory_range *ret_range, struct error *err);
	int (*load)(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		    struct error *err);
};

/* The loader that the request names or the contents ask for; an error lists what is known. */
int boot_find(const struct boot_request *request, const struct boot_loader **ret_loader, struct error *err);

/* The rows, ended by one without a name. */
const struct boot_loader *boot_loaders(void);

/* What several loaders use. */

/* Fills a flat 64-bit, 32-bit protected or real-mode segment state into sregs (SDM volume 3, 3.4.5 and 20.1.4). */
void boot_set_real_mode(struct boot_registers *registers, uint16_t cs, uint16_t ip);
void boot_set_protected_mode(struct boot_registers *registers, uint32_t entry);

/*
 * Writes GDT, page tables and struct boot_info into RAM and sets long mode as guest/abi.h promises it.
 * Errors: RAM too small.
 */
int boot_set_long_mode(const struct boot_request *request, const struct memory *memory, uint64_t entry,
		       struct boot_registers *registers, struct error *err);

/* Copies a part of the image to gpa and clears the rest up to memory_size; errors name what, gpa and RAM. */
int boot_place(const struct boot_request *request, const struct memory *memory, const char *what, uint64_t gpa,
	       struct bytes contents, uint64_t memory_size, struct error *err);

/* The rows' functions: one file a kind, boot_sector.c, boot_flat.c, boot_elf64.c, boot_multiboot.c, boot_pvh.c,
 * boot_firmware.c. */
extern const struct boot_loader boot_sector, boot_flat_real, boot_flat_long, boot_elf64, boot_multiboot, boot_pvh,
	boot_firmware;

#endif
