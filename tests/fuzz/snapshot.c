/*
 * A snapshot from a stranger, as a file and through a pipe: it gives an error, or an image that can be validated,
 * verified, shown, compared and taken apart.
 */
#include "crc_fix.h"
#include "image_checks.h"
#include "source.h"

#define FILE_MAX (1u << 20)  /* a longer one is left as short as the input is */
#define RAM_MAX  (64u << 10) /* more is not read: reading is not what is tested */

/*
 * While fuzzing, one input of so many that ask for it is shown and compared, for that takes more time than
 * everything else together, and the target component does it to each payload.  Replayed inputs all are
 * (CMakeLists.txt).
 */
static bool is_shown(unsigned flags, struct bytes input)
{
	return (flags & FUZZ_SHOW) != 0 && crc32c(0, input.data, input.size) % FUZZ_SHOW_ONE_IN == 0;
}

static void check_sections(const struct image *image)
{
	const struct machine *machine = image_machine(image);
	FUZZ_CHECK(machine != NULL && machine_check(machine, NULL) == 0);
	FUZZ_CHECK(image_validate(image, NULL) == 0);
	for (size_t i = 0; i < image->nr_sections; i++) {
		const struct section *section = &image->sections[i];
		FUZZ_CHECK(section->instance < component_instances(section->component, machine));
		FUZZ_CHECK(image_find(image, section->component, section->instance) == section);
	}
}

static void check_image(const struct image *image, bool show)
{
	const struct machine *machine = image_machine(image);
	uint64_t ram = 0;
	check_sections(image);
	for (unsigned i = 0; i < machine->nr_ranges; i++)
		ram += machine->ranges[i].size;
	if (ram <= RAM_MAX)
		file_verify_ram(image, NULL);
	if (show)
		fuzz_check_shown(image, ram <= RAM_MAX);
	for (unsigned i = 0; i < machine->nr_vcpus; i++)
		fuzz_check_put(image, i);
}

/* Flags, then the file's first bytes; behind them it is zeros up to the size that its header asks for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_open;
	struct bytes input = { data, size };
	unsigned flags = (unsigned)fuzz_take(&input, 1);
	enum fuzz_way way = (flags & FUZZ_IS_PIPE) != 0 ? FUZZ_PIPE : FUZZ_FILE;
	struct format_header header = { 0 };
	struct image image;
	struct error err;
	if (!is_open)
		fuzz_source_open();
	is_open = true;
	uint8_t *file = malloc(input.size + 1);
	FUZZ_CHECK(file != NULL);
	memcpy(file, input.data, input.size);
	if ((flags & FUZZ_FIX_PLACES) != 0)
		fuzz_fix_places(file, input.size);
	if ((flags & FUZZ_FIX_CRCS) != 0)
		fuzz_fix_crcs(file, input.size);
	fuzz_source_put(way, 0, file, input.size);
	bytes_read((struct bytes){ file, input.size }, 0, &header, sizeof(header));
	if (header.size > input.size && header.size <= FILE_MAX)
		fuzz_source_extend((uint64_t)way + header.size);
	if (fuzz_source_read(way, (flags & FUZZ_COPY) != 0, &image, &err) == 0) {
		check_image(&image, is_shown(flags, input));
		image_done(&image);
	}
	free(file);
	return 0;
}
