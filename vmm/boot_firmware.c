/*
 * A firmware ROM: it ends at 4 GiB, its upper part is seen once more below 1 MiB, and the vCPU starts at the reset
 * vector as a real one does (SDM volume 3, 10.1.4).
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "boot_layout.h"

#define ROM_UNIT          (64u << 10)
#define ROM_END           0x100000000ull
#define SHADOW_MAX        (128u << 10)
#define SHADOW_END        0x100000
#define RESET_VECTOR_SIZE 16

/* CS:IP after a reset, the base of its CS, and CR0 with the caches off (SDM volume 3, table 10-1). */
#define RESET_CS      0xf000
#define RESET_IP      0xfff0
#define RESET_CS_BASE 0xffff0000
#define RESET_CR0     0x60000010

#define NOP 0x90
static const uint8_t jumps[] = { 0xe9, 0xea, 0xeb };

static bool has_size(struct bytes image)
{
	return image.size != 0 && image.size % ROM_UNIT == 0 && image.size <= MEMORY_ROM_MAX;
}

/* The reset vector's 16 bytes are a jump; some ROMs put NOPs before it. */
static bool recognises(struct bytes image)
{
	if (!has_size(image))
		return false;
	const uint8_t *vector = image.data + image.size - RESET_VECTOR_SIZE;
	size_t i = 0;
	while (i < RESET_VECTOR_SIZE - 1 && vector[i] == NOP)
		i++;
	return memchr(jumps, vector[i], sizeof(jumps)) != NULL;
}

static int needs(const struct boot_request *request, struct memory_range *ret_range, struct error *err)
{
	size_t size = request->image.contents.size;
	if (!has_size(request->image.contents))
		return error_set(err, ERROR_DATA, "%s: firmware: %zu bytes: expected a multiple of %u, at most %llu",
				 request->image.name, size, ROM_UNIT, MEMORY_ROM_MAX);
	*ret_range = (struct memory_range){ .gpa = ROM_END - size, .size = size, .flags = MEMORY_ROM };
	return 0;
}

static int load(const struct boot_request *request, struct memory *memory, struct boot_registers *registers,
		struct error *err)
{
	struct bytes image = request->image.contents;
	struct memory_range range;
	int status = needs(request, &range, err);
	if (status < 0)
		return status;
	uint32_t shadow = (uint32_t)(image.size < SHADOW_MAX ? image.size : SHADOW_MAX);
	if (memory_at(memory, range.gpa, range.size) == NULL || memory_at(memory, SHADOW_END - shadow, shadow) == NULL)
		return error_set(err, ERROR_INTERNAL,
				 "%s: firmware: expected memory at 0x%" PRIx64 " and at 0x%x for its %zu bytes",
				 request->image.name, range.gpa, SHADOW_END - shadow, image.size);
	memory_write(memory, range.gpa, image.data, image.size);
	memory_write(memory, SHADOW_END - shadow, image.data + image.size - shadow, shadow);

	/* After a reset RDX holds the processor's signature, which KVM has put there. */
	uint64_t signature = registers->regs.rdx;
	boot_set_real_mode(registers, RESET_CS, RESET_IP);
	registers->regs.rdx = signature;
	registers->sregs.cs.base = RESET_CS_BASE;
	registers->sregs.cr0 = RESET_CR0;
	return 0;
}

const struct boot_loader boot_firmware = {
	.kind = BOOT_FIRMWARE,
	.name = "firmware ROM",
	.recognises = recognises,
	.needs = needs,
	.load = load,
};
