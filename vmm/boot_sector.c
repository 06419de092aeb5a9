/*
 * A boot sector, or several in a row: loaded to 0:7C00 and entered there with the drive's number in DL, as a BIOS does
 * it.  There is no BIOS behind it.
 */
#include <inttypes.h>
#include <string.h>

#include "boot_layout.h"
#include "guest/abi.h"

#define SECTOR           512
#define SIGNATURE_OFFSET 510
#define BASE_MEMORY_END  0x9fc00 /* where a PC's extended BIOS data begins */
#define SECTORS_MAX      ((BASE_MEMORY_END - REAL_LOAD_GPA) / SECTOR)

static const uint8_t signature[] = { 0x55, 0xaa };

static bool has_signature(struct bytes image)
{
	uint8_t found[sizeof(signature)];
	return bytes_read(image, SIGNATURE_OFFSET, found, sizeof(found)) &&
	       memcmp(found, signature, sizeof(signature)) == 0;
}

static bool has_size(struct bytes image)
{
	return image.size % SECTOR == 0 && image.size / SECTOR <= SECTORS_MAX;
}

static bool recognises(struct bytes image)
{
	return has_size(image) && has_signature(image);
}

static int load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		struct error *err)
{
	struct bytes image = request->image.contents;
	struct boot_layout layout = { .request = request, .memory = memory };
	struct boot_part part = {
		.name = "the boot sector", .gpa = REAL_LOAD_GPA, .size = image.size, .contents = image
	};
	if (!has_size(image))
		return error_set(err, ERROR_DATA, "%s: boot sector: %zu bytes: expected 1 to %u sectors of %u bytes",
				 request->image.name, image.size, SECTORS_MAX, SECTOR);
	if (!has_signature(image))
		return error_set(err, ERROR_DATA, "%s: boot sector: expected its signature 55 aa at offset %u",
				 request->image.name, SIGNATURE_OFFSET);
	int status = boot_layout_add(&layout, &part, err);
	if (status < 0)
		return status;
	boot_layout_write(&layout);
	boot_set_real_mode(registers, 0, REAL_LOAD_GPA);
	registers->regs.rdx = REAL_BOOT_DRIVE;
	return 0;
}

const struct boot_loader boot_sector = {
	.kind = BOOT_SECTOR,
	.name = "boot sector",
	.recognises = recognises,
	.load = load,
};
