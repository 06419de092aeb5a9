/* The command line: the first two bytes' bits are the groups of options, then the arguments, one a line. */
#include "fuzz.h"
#include "vmm/options.h"

#define ARGUMENTS_MAX 100

static void check_options(const struct options *options, int argc)
{
	FUZZ_CHECK(options->cpus >= 1 && options->cpus <= VM_VCPUS_MAX);
	FUZZ_CHECK(options->irqchip <= IRQCHIP_FULL);
	FUZZ_CHECK(options->baseline < CPUID_BASELINES);
	FUZZ_CHECK(options->command_line != NULL);
	FUZZ_CHECK(options->nr_modules <= BOOT_MODULES_MAX);
	FUZZ_CHECK(options->restore.nr_allow <= RESTORE_NAMES_MAX && options->restore.nr_without <= RESTORE_NAMES_MAX);
	FUZZ_CHECK(options->nr_arguments < (unsigned)argc);
	for (unsigned i = 0; i < options->nr_arguments; i++)
		FUZZ_CHECK(options->arguments[i] != NULL);
	FUZZ_CHECK(options->arguments[options->nr_arguments] == NULL);
}

static void check_values(const char *text)
{
	uint64_t number, size, time;
	bool is_number = parse_number(text, &number), is_size = parse_size(text, &size);
	FUZZ_CHECK(!parse_time(text, &time) || time <= 1ull << 62);
	FUZZ_CHECK(!is_size || size <= 1ull << 62);
	/* A plain decimal number is the same number of bytes, as far as a double holds it. */
	if (is_number && is_size && text[0] != '0' && number < 1ull << 53)
		FUZZ_CHECK(number == size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes input = { data, size };
	char *argv[ARGUMENTS_MAX + 1] = { strdup("run") }, *all[ARGUMENTS_MAX];
	int argc = 1;
	unsigned groups = (unsigned)fuzz_take(&input, 2);
	struct options options;
	struct error err;
	bool help;
	while (input.size > 0 && argc < ARGUMENTS_MAX) {
		const uint8_t *end = memchr(input.data, '\n', input.size);
		argv[argc++] = fuzz_take_string(&input, end != NULL ? (size_t)(end - input.data) : input.size);
		fuzz_take(&input, 1);
	}
	memcpy(all, argv, sizeof(all)); /* getopt_long() changes their order */
	if (options_parse(argc, argv, groups, &options, &help, &err) == 0) {
		if (!help)
			check_options(&options, argc);
	} else {
		FUZZ_CHECK(err.code == ERROR_USAGE && err.text[0] != '\0');
	}
	for (int i = 0; i < argc; i++) {
		check_values(all[i]);
		free(all[i]);
	}
	return 0;
}
