/*
 * Boot images: found by their contents or as they are said to be, loaded into a small machine's RAM.  RAM and ROM are
 * memory of the target's own, so that an input costs no mapping.
 */
#include "fuzz.h"
#include "guest/abi.h"
#include "vmm/boot.h"

#define RAM_SIZE (2u << 20)
#define ROM_UNIT (64u << 10)
#define FRESH    0xa5

static uint8_t ram[RAM_SIZE];

/* How the image reaches the loader; all of it comes from the input's head. */
struct plan {
	struct boot_request request;
	char *command_line, *module_names[BOOT_MODULES_MAX];
	uint8_t *image;
};

enum plan_flags { HAS_LOAD = 1, HAS_ENTRY = 2, HAS_NX = 4, SMALL_RAM = 8, PAD_TO_ROM = 16 };

static unsigned take_plan(struct bytes *input, struct plan *plan)
{
	struct boot_request *request = &plan->request;
	unsigned kind = (unsigned)fuzz_take(input, 1) % (BOOT_FIRMWARE + 1), flags = (unsigned)fuzz_take(input, 1);
	request->kind = (enum boot_kind)kind;
	request->has_load = (flags & HAS_LOAD) != 0;
	request->has_entry = (flags & HAS_ENTRY) != 0;
	request->has_nx = (flags & HAS_NX) != 0;
	request->load_gpa = request->has_load ? fuzz_take(input, 8) : 0;
	request->entry_gpa = request->has_entry ? fuzz_take(input, 8) : 0;
	request->nr_vcpus = 1;
	request->irqchip = IRQCHIP_FULL;
	request->nr_modules = (unsigned)fuzz_take(input, 1) % (BOOT_MODULES_MAX + 1);
	plan->command_line = fuzz_take_string(input, fuzz_take(input, 2) % 4096);
	request->command_line = plan->command_line;
	for (unsigned i = 0; i < request->nr_modules; i++) {
		plan->module_names[i] = fuzz_take_string(input, fuzz_take(input, 1));
		size_t size = fuzz_take(input, 2);
		struct bytes contents = { input->data, size < input->size ? size : input->size };
		request->modules[i] = (struct boot_file){ .name = plan->module_names[i], .contents = contents };
		input->data += contents.size;
		input->size -= contents.size;
	}
	return flags;
}

/* The rest of the input is the image, in memory of just its size; a ROM's end is what counts, so it is filled up in
 * front. */
static void take_image(struct bytes *input, unsigned flags, struct plan *plan)
{
	size_t size = input->size;
	if ((flags & PAD_TO_ROM) != 0)
		size = align_up(size, ROM_UNIT);
	plan->image = calloc(1, size + 1);
	FUZZ_CHECK(plan->image != NULL);
	uint8_t *image = plan->image + 1; /* the byte in front is a guard, too: nothing reads it */
	memcpy(image + size - input->size, input->data, input->size);
	plan->request.image = (struct boot_file){ .name = "folder/image", .contents = { image, size } };
}

static void load(struct plan *plan, struct memory *memory)
{
	const struct boot_request *request = &plan->request;
	const struct boot_loader *loader;
	struct boot_registers registers, fresh;
	struct memory_range range;
	struct error err = { 0 };
	uint8_t *rom = NULL;
	memset(&fresh, FRESH, sizeof(fresh));
	registers = fresh;
	int status = boot_find(request, &loader, &err);
	if (status == 0 && loader->needs != NULL)
		status = loader->needs(request, &range, &err);
	if (status == 0 && loader->needs != NULL) {
		FUZZ_CHECK(memory_check_ranges(&range, 1, NULL) == 0);
		rom = calloc(1, range.size);
		FUZZ_CHECK(rom != NULL);
		memory->regions[memory->nr_regions++] = (struct memory_region){ .range = range, .hva = rom, .fd = -1 };
	}
	if (status == 0)
		status = loader->load(request, memory, &registers, &err);
	if (status < 0) {
		FUZZ_CHECK(err.code != ERROR_NONE && err.text[0] != '\0');
		FUZZ_CHECK(memcmp(&registers, &fresh, sizeof(fresh)) == 0);
	} else {
		FUZZ_CHECK(memory_at(memory, registers.sregs.cs.base + registers.regs.rip, 1) != NULL);
	}
	free(rom);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	struct plan plan = { 0 };
	unsigned flags = take_plan(&input, &plan);
	uint64_t ram_size = (flags & SMALL_RAM) != 0 ? MEMORY_RAM_MIN : RAM_SIZE;
	struct memory memory = { .nr_regions = 1,
				 .regions = { { .range = { .size = ram_size }, .hva = ram, .fd = -1 } } };
	take_image(&input, flags, &plan);
	load(&plan, &memory);
	free(plan.image);
	free(plan.command_line);
	for (unsigned i = 0; i < plan.request.nr_modules; i++)
		free(plan.module_names[i]);
	return 0;
}
