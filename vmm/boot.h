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
#define BOOT_IMAGE_MAX   (1u << 30) /* bytes of an image or module */

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

/* One kind of image. */
struct boot_loader {
	enum boot_kind kind;
	const char *name;          /* for --help and messages: "ELF64" */
	bool takes_addresses;      /* --load and --entry */
	uint32_t command_line_max; /* bytes, the final 0 included; 0: takes no command line */
	unsigned modules_max;      /* 0: takes none */
	/* Is this the contents' kind?  NULL: never by content. */
	bool (*recognises)(struct bytes image);
	/*
	 * The region that the image needs besides RAM (a ROM), before the machine is made: NULL where there is none.
	 */
	int (*needs)(const struct boot_request *request, struct memory_range *ret_range, struct error *err);
	/* Puts the image into memory; registers hold what KVM gave the fresh vCPU.  An error leaves both as they were.
	 */
	int (*load)(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		    struct error *err);
};

/*
 * The loader that the request names or the contents ask for, and that takes what the request gives it (addresses,
 * command line, modules).  Only such a request is passed to needs() and load().  Errors list what is known.
 */
int boot_find(const struct boot_request *request, const struct boot_loader **ret_loader, struct error *err);

/* One file a kind: boot_sector.c, boot_flat.c (two), boot_elf64.c, boot_multiboot.c, boot_pvh.c, boot_firmware.c. */
extern const struct boot_loader boot_sector, boot_flat_real, boot_flat_long, boot_elf64, boot_multiboot, boot_pvh,
	boot_firmware;

/*
 * The modes that a vCPU is started in (boot_mode.c).  Each sets all general registers (those not named to 0), RFLAGS to
 * its fixed bit, the code and data segments, CR0 to CR4, EFER, GDTR and IDTR; the rest stays as KVM gave it.
 */

/* Real mode at cs:ip, caches on, the IVT at 0 (SDM volume 3, 21.1). */
void boot_set_real_mode(struct boot_registers *registers, uint16_t cs, uint16_t ip);

/*
 * 32-bit protected mode at entry: flat segments and a busy TSS without a descriptor table behind them, no paging; what
 * Multiboot 0.6.96, 3.2 and Xen's PVH boot ABI (docs/misc/pvh.pandoc) ask for.
 */
void boot_set_protected_mode(struct boot_registers *registers, uint32_t entry);

/*
 * Writes GDT, page tables and struct boot_info into RAM and sets long mode as guest/abi.h promises it.
 * Errors: RAM too small.
 */
int boot_set_long_mode(const struct boot_request *request, const struct memory *memory, uint64_t entry,
		       struct boot_registers *registers, struct error *err);

#endif
